//! Running the real tool: in our place, or as a child whose end becomes ours.

use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

/// A call of a tool.
#[derive(Debug)]
pub struct Call<'a> {
    /// The program.
    pub program: &'a Path,
    /// What it sees as `argv[0]`.
    pub argv0: &'a OsStr,
    /// What follows.
    pub arguments: &'a [OsString],
    /// Variables set for it.
    pub set: Vec<(&'static str, OsString)>,
    /// Variables it does not see.
    pub removed: &'a [&'static str],
}

impl Call<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg0(self.argv0).args(self.arguments);
        for (name, value) in &self.set {
            command.env(name, value);
        }
        for name in self.removed {
            command.env_remove(name);
        }
        command
    }

    /// Becomes the tool. Returns only when that failed.
    pub fn exec(&self) -> io::Error {
        self.command().exec()
    }

    /// Starts the tool as a child with our standard streams, directory, umask and descriptors.
    pub fn spawn(&self) -> io::Result<Running> {
        // The signals are caught before there is a child, so that none falls between the two; one that arrives
        // in that moment waits in the iterator.
        let signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]).ok();
        let child = self.command().spawn()?;
        let forwarding = signals.map(|signals| forward(signals, &child));
        Ok(Running { child, forwarding })
    }
}

/// A tool that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    forwarding: Option<Handle>,
}

impl Running {
    /// Waits for its end.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        if let Some(handle) = self.forwarding.take() {
            handle.close();
        }
        status
    }
}

/// A signal meant for the linker reaches us, who stand in its place: it is passed on. (From a terminal the whole
/// process group has it already, and a second one changes nothing.)
fn forward(mut signals: Signals, child: &Child) -> Handle {
    let handle = signals.handle();
    let pid = rustix::process::Pid::from_child(child);
    std::thread::spawn(move || {
        for number in signals.forever() {
            let signal = match number {
                SIGHUP => rustix::process::Signal::HUP,
                SIGINT => rustix::process::Signal::INT,
                SIGQUIT => rustix::process::Signal::QUIT,
                _ => rustix::process::Signal::TERM,
            };
            // It may have ended in the meantime.
            let _ = rustix::process::kill_process(pid, signal);
        }
    });
    handle
}

/// Ends as the tool ended: with its exit status, or by the same signal.
pub fn end_like(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal() {
        // The tool's core, if it left one, is not to be overwritten by ours.
        let none = rustix::process::Rlimit { current: Some(0), maximum: None };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        // Neither call returns when it works.
        if signal == SIGKILL {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        std::process::exit(128 + signal);
    }
    std::process::exit(status.code().unwrap_or(1));
}
