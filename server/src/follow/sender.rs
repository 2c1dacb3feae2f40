//! The process behind a start: by the pidfd that came with it, else by its pid.

use super::process_table::{ProcessKey, ProcessStart, has_ended};
use nix::errno::Errno;
use ogrt_observe::process_number;
use rustix::{
    io::Errno as Refusal,
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{fs, os::fd::OwnedFd, sync::LazyLock};

/// Nanoseconds of a clock tick, in which /proc gives times: USER_HZ is 100 on every Linux that we
/// run on.
const TICK_NS: i64 = 10_000_000;

/// See the module.
pub enum SenderProcess {
    /// The process lives, or the kernel still knows it.
    Found {
        /// The name of the process in the table.
        key: ProcessKey,
        /// The descriptor that tells its end.
        pidfd: OwnedFd,
    },
    /// The process has ended, and nobody can say how.
    Gone,
}

impl SenderProcess {
    /// Finds the process; the error says why it cannot be followed.
    pub fn open(start: &ProcessStart<'_>, pidfd: Option<OwnedFd>) -> Result<Self, Errno> {
        let pidfd = match pidfd {
            Some(pidfd) => pidfd,
            None => match by_pid(start.credentials.pid, first_known_ns(start)) {
                Ok(pidfd) => pidfd,
                Err(Refusal::SRCH) => return Ok(SenderProcess::Gone),
                Err(refusal) => return Err(Errno::from_raw(refusal.raw_os_error())),
            },
        };
        Ok(SenderProcess::Found { key: key(start, &pidfd), pidfd })
    }

    /// Finds the process of a start that came to an earlier run of the server: ESRCH where it is
    /// gone, another error where nobody can say.
    pub fn again(start: &ProcessStart<'_>) -> Result<(ProcessKey, OwnedFd), Refusal> {
        // The start was received while its process lived, by the clock that we have, too.
        let pidfd = by_pid(start.credentials.pid, start.received_ns)?;
        Ok((key(start, &pidfd), pidfd))
    }
}

fn key(start: &ProcessStart<'_>, pidfd: &OwnedFd) -> ProcessKey {
    let by_pid = ProcessKey::of_pid(start.credentials.pid);
    process_number(pidfd).map_or(by_pid, ProcessKey::of_number)
}

/// The first time at which the process is known to have been there.
fn first_known_ns(start: &ProcessStart<'_>) -> i64 {
    start.start_ns.unwrap_or(start.received_ns).min(start.received_ns)
}

/// A pidfd by the number, unless that is another process's by now: one that began after this time.
fn by_pid(pid: u32, latest_ns: i64) -> Result<OwnedFd, Refusal> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Refusal::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    match began_ns(pid) {
        Some(began) if began <= latest_ns + TICK_NS => Ok(pidfd),
        Some(_) => Err(Refusal::SRCH),
        None if has_ended(&pidfd) => Err(Refusal::SRCH),
        // /proc shows us no processes of others, so it may be another one.
        None => Err(Refusal::ACCESS),
    }
}

/// When the process was made, Unix time in nanoseconds, as exactly as the kernel says.
fn began_ns(pid: Pid) -> Option<i64> {
    static BOOT_NS: LazyLock<Option<i64>> = LazyLock::new(|| {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let seconds =
            text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<i64>().ok()?;
        seconds.checked_mul(1_000_000_000)
    });
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // Field 22; the name of the program, field 2, may hold anything but ends with the last
    // parenthesis.
    let ticks: i64 = text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    BOOT_NS.and_then(|boot| boot.checked_add(ticks.checked_mul(TICK_NS)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::now_ns, queue::Credentials};

    #[test]
    fn a_pid_is_followed_only_while_it_is_the_senders() {
        let open = |start_ns: i64, pid: u32| {
            let credentials = Credentials { pid, uid: 0, gid: 0 };
            let start = ProcessStart {
                event_id: [1; 16],
                credentials,
                start_ns: Some(start_ns),
                received_ns: now_ns(),
                parent_pid: None,
                job_id: b"",
                cluster: b"",
                hostname: b"",
                message: b"",
            };
            SenderProcess::open(&start, None)
        };
        let ours = std::process::id();
        assert!(matches!(open(now_ns(), ours), Ok(SenderProcess::Found { .. })));
        // We did not live an hour ago: whoever sent that start had our pid before us.
        assert!(matches!(open(now_ns() - 3_600_000_000_000, ours), Ok(SenderProcess::Gone)));
        // No process has a pid this large.
        assert!(matches!(open(now_ns(), 0x3FFF_FFFF), Ok(SenderProcess::Gone)));
    }
}
