//! What this kernel tells of processes that are not our children.

use crate::process::exit_status;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use std::{fs, os::fd::OwnedFd, thread, time::Duration};

/// `PIDFD_THREAD` (Linux 6.9): a pidfd of one thread.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0o200);

/// How long the kernel may take to clear away a thread that has ended.
const CLEARING_MS: u32 = 500;

/// What the kernel tells of the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelOffer {
    /// When it ended, and how.
    ExitStatus,
    /// Only when it ended.
    ExitTime,
    /// Nothing.
    Nothing,
}

impl KernelOffer {
    /// Tries it, with a thread that ends: no process is started for it.
    pub fn find_out() -> Self {
        if pidfd_open(getpid(), PidfdFlags::empty()).is_err() {
            return KernelOffer::Nothing;
        }
        match thread::spawn(pidfd_of_this_thread).join() {
            Ok(Some(thread)) if tells_how_it_ended(&thread) => KernelOffer::ExitStatus,
            _ => KernelOffer::ExitTime,
        }
    }

    /// One of "exit status", "exit time" and "no", as people and `/healthz` say it.
    pub fn text(self) -> &'static str {
        match self {
            KernelOffer::ExitStatus => "exit status",
            KernelOffer::ExitTime => "exit time",
            KernelOffer::Nothing => "no",
        }
    }
}

fn pidfd_of_this_thread() -> Option<OwnedFd> {
    let path = fs::read_link("/proc/thread-self").ok()?;
    let thread = path.file_name()?.to_str()?.parse().ok()?;
    pidfd_open(Pid::from_raw(thread)?, THREAD).ok()
}

fn tells_how_it_ended(thread: &OwnedFd) -> bool {
    (0..CLEARING_MS).any(|_| {
        let is_told = matches!(exit_status(thread), Ok(Some(_)));
        if !is_told {
            thread::sleep(Duration::from_millis(1));
        }
        is_told
    })
}
