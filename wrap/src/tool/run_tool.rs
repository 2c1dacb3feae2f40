//! Running the real tool: in our place, or as a child whose exit status becomes ours.
//!
//! The tool starts as our caller would have started it: with its standard streams, directory, umask
//! and descriptors, and with the signals ignored that the caller had ignored. std would reset
//! SIGPIPE, and `exec` resets each signal that we catch. So where that matters the call is made by
//! nix, and a signal that is ignored is not caught.

use crate::environment;
use crate::tool::{caller_signals, processor};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags};
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The signals that are passed on to the tool.
const FORWARDED: [(i32, rustix::process::Signal); 4] = [
    (SIGHUP, rustix::process::Signal::HUP),
    (SIGINT, rustix::process::Signal::INT),
    (SIGQUIT, rustix::process::Signal::QUIT),
    (SIGTERM, rustix::process::Signal::TERM),
];

/// The longest delay of a signal that arrives between our check and our sleep.
const NAP: Duration = Duration::from_millis(50);

/// The longest sleep on kernels before 5.3, where the end of a process does not wake us.
const NAP_WITHOUT_PIDFD: Duration = Duration::from_millis(1);

/// A call of a tool.
#[derive(Debug)]
pub struct Call<'a> {
    /// The program.
    pub program: &'a Path,
    /// The `argv[0]` of the program.
    pub argv0: &'a OsStr,
    /// The arguments after `argv[0]`.
    pub arguments: &'a [OsString],
    /// Variables that are set for the program.
    pub set: Vec<(&'static str, OsString)>,
    /// Variables that the program does not see.
    pub removed: &'a [&'static str],
}

impl Call<'_> {
    /// Becomes the tool. Returns only if that failed.
    pub fn exec(&self) -> io::Error {
        if !caller_signals::ignored(SIGPIPE) {
            let mut command = Command::new(self.program);
            command.arg0(self.argv0).args(self.arguments).envs(self.set.iter().cloned());
            for name in self.removed {
                command.env_remove(name);
            }
            return command.exec();
        }
        let become_tool = || -> io::Result<std::convert::Infallible> {
            let program = CString::new(self.program.as_os_str().as_bytes())?;
            Ok(nix::unistd::execve(&program, &self.argv()?, &self.environment()?)?)
        };
        match become_tool() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Starts the tool as a child.
    pub fn spawn(&self) -> io::Result<RunningTool> {
        self.start(PosixSpawnFileActions::init()?)
    }

    /// Starts the tool as a child whose standard output and standard error are these.
    pub fn spawn_into(&self, streams: [&OwnedFd; 2]) -> io::Result<RunningTool> {
        let mut actions = PosixSpawnFileActions::init()?;
        for (descriptor, stream) in (1..).zip(streams) {
            actions.add_dup2(stream.as_raw_fd(), descriptor)?;
        }
        self.start(actions)
    }

    fn start(&self, actions: PosixSpawnFileActions) -> io::Result<RunningTool> {
        // The signals are caught before there is a child, so that none is lost.
        let caught = FORWARDED.into_iter().filter(|(number, _)| !caller_signals::ignored(*number));
        let signals = caught.filter_map(|(number, signal)| Some((signal, catch(number).ok()?))).collect();
        let mut attributes = PosixSpawnAttr::init()?;
        if !caller_signals::ignored(SIGPIPE) {
            let mut default = SigSet::empty();
            default.add(Signal::SIGPIPE);
            attributes.set_sigdefault(&default)?;
            attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        }
        let pid = nix::spawn::posix_spawn(
            self.program,
            &actions,
            &attributes,
            &self.argv()?,
            &self.environment()?,
        )?;
        let pid = Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        Ok(RunningTool { pid, pidfd, signals })
    }

    fn argv(&self) -> io::Result<Vec<CString>> {
        let words = std::iter::once(self.argv0).chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(|word| Ok(CString::new(word.as_bytes())?)).collect()
    }

    fn environment(&self) -> io::Result<Vec<CString>> {
        let replaced = |name: &OsStr| {
            self.removed.iter().any(|removed| name == *removed)
                || self.set.iter().any(|(set, _)| name == *set)
        };
        let inherited = environment::all().iter().filter(|(name, _)| !replaced(name));
        let inherited = inherited.map(|(name, value)| variable(name, value));
        let set = self.set.iter().map(|(name, value)| variable(OsStr::new(name), value));
        inherited.chain(set).collect()
    }
}

/// Starts a program of ours that outlives us. It inherits only these of our descriptors, as 0, 1
/// and 2.
pub fn start_apart(program: &Path, argv0: &str, streams: &[&OwnedFd]) -> io::Result<()> {
    let mut actions = PosixSpawnFileActions::init()?;
    let nowhere = OwnedFd::from(std::fs::File::options().write(true).open("/dev/null")?);
    for (descriptor, stream) in (0..3).zip(streams.iter().copied().chain(std::iter::repeat(&nowhere))) {
        actions.add_dup2(stream.as_raw_fd(), descriptor)?;
    }
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        // One of them reads this directory; closing it twice does no harm in a process of one
        // thread.
        if let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && descriptor > 2
        {
            actions.add_close(descriptor)?;
        }
    }
    let argv = [CString::new(argv0)?];
    let call = Call { program, argv0: OsStr::new(argv0), arguments: &[], set: Vec::new(), removed: &[] };
    nix::spawn::posix_spawn(program, &actions, &PosixSpawnAttr::init()?, &argv, &call.environment()?)?;
    Ok(())
}

/// `NAME=value`, allocated at its final length, because a site's modules may set hundreds.
fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = Vec::with_capacity(name.len() + value.len() + 2);
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
    Ok(CString::new(text)?)
}

fn catch(number: i32) -> io::Result<Arc<AtomicBool>> {
    let arrived = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(number, arrived.clone())?;
    Ok(arrived)
}

/// A tool that was started.
#[derive(Debug)]
pub struct RunningTool {
    pid: Pid,
    /// Becomes readable when the tool ends; `None` on kernels before 5.3.
    pidfd: Option<OwnedFd>,
    signals: Vec<(rustix::process::Signal, Arc<AtomicBool>)>,
}

/// A tool that has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedTool {
    /// Its status.
    pub status: ExitStatus,
    /// Somebody wanted it to end: it was passed a signal.
    pub was_signalled: bool,
}

impl RunningTool {
    /// Sleeps until the tool ends, but for no longer than `time` and only until a signal comes for
    /// it. The result tells whether it has ended.
    pub fn ends_within(&self, time: Duration) -> bool {
        self.pidfd.as_ref().is_some_and(|pidfd| sleep_until(&[pidfd], time))
    }

    /// Leaves our processor to the tool, if there are others.
    pub fn leave_processor(&self) {
        processor::leave_to(self.pid);
    }

    /// The tool has ended already, and has failed. It is still to be waited for.
    pub fn has_failed(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = rustix::process::waitid(WaitId::Pid(self.pid), options);
        matches!(ended, Ok(Some(status)) if status.exit_status() != Some(0))
    }

    /// Waits for the end of the tool. Signals that are meant for the tool reach us, and are passed
    /// on. (From a terminal, the whole process group has got the signal already; a second one
    /// changes nothing.)
    pub fn wait(self) -> io::Result<EndedTool> {
        let mut was_signalled = false;
        loop {
            for (signal, arrived) in &self.signals {
                if arrived.swap(false, Ordering::Relaxed) {
                    was_signalled = true;
                    // The tool may have ended meanwhile.
                    let _ = rustix::process::kill_process(self.pid, *signal);
                }
            }
            if let Some((_, status)) = rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG)? {
                return Ok(EndedTool { status: ExitStatus::from_raw(status.as_raw()), was_signalled });
            }
            match &self.pidfd {
                Some(pidfd) => sleep_until(&[pidfd], NAP),
                None => sleep_until(&[], NAP_WITHOUT_PIDFD),
            };
        }
    }
}

/// Sleeps until one of the processes ends, a signal comes, or a short time has passed. The result
/// tells whether a process has ended.
fn sleep_until(ends: &[&OwnedFd], time: Duration) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    let mut ends: Vec<PollFd> = ends.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    // A signal interrupts the call, which is not an error.
    matches!(poll(&mut ends, Some(&timeout)), Ok(1..))
}

/// Ends as the tool ended: with its exit status, or by the same signal.
pub fn end_like(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal() {
        // Our core file must not overwrite that of the tool.
        let none = rustix::process::Rlimit { current: Some(0), maximum: None };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        // Neither call returns when it works.
        if signal == SIGKILL {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        std::process::exit(128 + signal);
    }
    // Without destructors: nothing of ours is left to write, and the kernel frees the rest.
    signal_hook::low_level::exit(status.code().unwrap_or(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(line: &str) -> RunningTool {
        let arguments = ["-c".into(), line.into()];
        let program = Path::new("/bin/sh");
        Call { program, argv0: OsStr::new("sh"), arguments: &arguments, set: Vec::new(), removed: &[] }
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_failure_is_seen_before_it_is_waited_for() {
        let running = started("read line < /dev/zero");
        assert!(!running.has_failed(), "it is at work");
        rustix::process::kill_process(running.pid, rustix::process::Signal::TERM).unwrap();
        for (running, fails) in [(running, true), (started("exit 3"), true), (started("exit 0"), false)] {
            for _ in 0..2000 {
                if running.has_failed() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(if fails { 5 } else { 0 }));
            }
            assert_eq!(running.has_failed(), fails);
            assert_eq!(running.wait().unwrap().status.success(), !fails);
        }
    }

    #[test]
    fn a_tool_is_waited_for_as_long_as_it_was_said() {
        let running = started("read line < /dev/zero");
        assert!(!running.ends_within(Duration::from_millis(1)), "it is at work");
        rustix::process::kill_process(running.pid, rustix::process::Signal::TERM).unwrap();
        // One that has no pidfd says so at once, as on an old kernel.
        let has_pidfd = running.pidfd.is_some();
        let has_ended = (0..2000).any(|_| running.ends_within(Duration::from_millis(5)));
        assert_eq!(has_ended, has_pidfd);
        assert!(!running.wait().unwrap().status.success());
    }
}
