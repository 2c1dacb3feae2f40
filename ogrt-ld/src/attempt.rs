//! One run of the tool with the note on its line, and whether its failure counts.
//!
//! A failing link is run again, as its line stood, only where the note can be the cause. An
//! ordinary failure (an undefined reference, a missing library) must not take twice the time. So
//! the evidence is looked at:
//!
//! - A link in doubt (a script, fixed addresses, fatal warnings: see `ordinary_output.rs`) has its
//!   messages withheld. If it fails, they tell an ordinary failure, and are passed on; otherwise
//!   they are dropped, and the second run speaks.
//! - Every other link speaks for itself. It is run again, in silence, if the tool crashed, or if
//!   nobody knows whether this tool can open the note and it did not.
//!
//! Either way each message is told once, to the same descriptor (`tests/wrappers/tests/doubt.rs`).

use crate::link_request::LinkRequest;
use ogrt_wrap::line::our_note;
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::tool::run_tool::{EndedTool, RunningTool};
use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// The most bytes of withheld messages that are searched.
const SEARCHED_BYTES_MAX: u64 = 1024 * 1024;

/// What a failure tells that the note has nothing to do with.
const ORDINARY: [&str; 11] = [
    "undefined reference",
    "undefined symbol",
    "cannot find",
    "unable to find library",
    "library not found",
    "No such file",
    "multiple definition",
    "duplicate symbol",
    "unrecognized option",
    "unknown argument",
    "syntax error",
];

/// What a failure tells to which the note may have contributed.
const DOUBTFUL: [&str; 12] = [
    ".note",
    "overlap",
    "region",
    "overflow",
    "out of range",
    "truncated",
    "warning",
    "segment",
    "program header",
    "exceeds",
    "address",
    "orphan",
];

/// A tool that was started, with the note on its line or without.
#[derive(Debug)]
pub struct Attempt {
    running: RunningTool,
    withheld: Option<WithheldMessages>,
}

/// An attempt that has ended. What it withheld is not told yet.
#[derive(Debug)]
pub struct EndedAttempt {
    /// The tool's status.
    pub status: ExitStatus,
    was_signalled: bool,
    withheld: Option<WithheldMessages>,
}

/// The messages of a tool, in memory files.
#[derive(Debug)]
struct WithheldMessages {
    /// Apart only where standard output and standard error are two files: otherwise the order of
    /// the messages counts.
    stdout: Option<OwnedFd>,
    stderr: OwnedFd,
}

impl Attempt {
    /// Starts the tool with these arguments.
    pub fn start(request: &LinkRequest, arguments: &[OsString], withhold: bool) -> io::Result<Attempt> {
        let call = request.call(arguments);
        let withheld = withhold.then(WithheldMessages::new).transpose()?;
        let running = match &withheld {
            Some(WithheldMessages { stdout, stderr }) => {
                call.spawn_into([stdout.as_ref().unwrap_or(stderr), stderr])?
            }
            None => call.spawn()?,
        };
        Ok(Attempt { running, withheld })
    }

    /// Sleeps until the tool ends, but for no longer than `time`. The result tells whether it has
    /// failed.
    pub fn fails_within(&self, time: Duration) -> bool {
        self.running.ends_within(time) && self.has_failed()
    }

    /// Leaves our processor to the tool, if there are others.
    pub fn leave_processor(&self) {
        self.running.leave_processor();
    }

    /// The tool has ended already, and has failed.
    pub fn has_failed(&self) -> bool {
        self.running.has_failed()
    }

    /// Waits for the end of the tool.
    pub fn wait(self) -> io::Result<EndedAttempt> {
        let EndedTool { status, was_signalled } = self.running.wait()?;
        Ok(EndedAttempt { status, was_signalled, withheld: self.withheld })
    }
}

impl EndedAttempt {
    /// Why the outcome does not count, after a run with the note; `None` if it does.
    pub fn why_it_does_not_count(&self, note: &NoteFile) -> Option<&'static str> {
        if self.status.success() || self.was_signalled {
            return None;
        }
        if let Some(signal) = self.status.signal() {
            let crashes = [Signal::ABORT, Signal::BUS, Signal::FPE, Signal::ILL, Signal::SEGV];
            let is_crash = crashes.iter().any(|crash| crash.as_raw() == signal);
            return is_crash.then_some("the linker crashed with the note");
        }
        match &self.withheld {
            // On a terminal the second run may colour what it tells.
            Some(messages) => (io::stderr().is_terminal() || !messages.tell_an_ordinary_failure())
                .then_some("the link failed with the note"),
            None => note.was_left_unread().then_some("the linker did not open the note"),
        }
    }

    /// Runs the line as it stood. If the first run has told its failure, the second is heard only
    /// if it succeeds.
    pub fn again(self, request: &LinkRequest) -> io::Result<EndedAttempt> {
        let has_told = self.withheld.is_none();
        let second = Attempt::start(request, &request.arguments, has_told)?.wait()?;
        match has_told && !second.status.success() {
            true => Ok(self),
            false => Ok(second),
        }
    }

    /// Tells what was withheld.
    pub fn tell(self) -> ExitStatus {
        if let Some(messages) = self.withheld {
            // Like the tool itself, which does not notice either if nobody listens.
            let _ = messages.tell();
        }
        self.status
    }
}

impl WithheldMessages {
    fn new() -> io::Result<WithheldMessages> {
        let memory = || rustix::fs::memfd_create("messages", MemfdFlags::CLOEXEC);
        let streams = (rustix::fs::fstat(io::stdout()), rustix::fs::fstat(io::stderr()));
        let are_one =
            matches!(streams, (Ok(out), Ok(err)) if (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino));
        Ok(WithheldMessages { stdout: (!are_one).then(memory).transpose()?, stderr: memory()? })
    }

    fn tell_an_ordinary_failure(&self) -> bool {
        let Ok(text) = text_of(&self.stderr) else { return false };
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let names_us = text.contains(&our_note::memory_name()) || text.contains(our_note::DISK_PREFIX);
        has(&ORDINARY) && !has(&DOUBTFUL) && !names_us
    }

    fn tell(self) -> io::Result<()> {
        if let Some(stdout) = self.stdout {
            pass_on(stdout, &mut io::stdout())?;
        }
        pass_on(self.stderr, &mut io::stderr())
    }
}

fn pass_on(messages: OwnedFd, to: &mut dyn Write) -> io::Result<()> {
    let mut file = File::from(messages);
    file.rewind()?;
    io::copy(&mut file, to)?;
    to.flush()
}

fn text_of(messages: &OwnedFd) -> io::Result<String> {
    let mut file = File::from(messages.try_clone()?);
    file.rewind()?;
    let mut bytes = Vec::new();
    (&mut file).take(SEARCHED_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
