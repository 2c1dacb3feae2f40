//! The process behind a start: by the pidfd that came with it, else by its pid.

use super::{
    proc_usage::made_ns,
    process_key::ProcessKey,
    process_table::{ProcessStart, has_ended},
};
use nix::errno::Errno;
use ogrt_observe::{ProcessStat, TICK_NS};
use rustix::{
    io::Errno as Refusal,
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::os::fd::OwnedFd;

/// The time by which the clock may have been set between two runs of the server. A process does not
/// get the number of another one so soon.
const CLOCK_NS: i64 = 1_000_000_000;

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
        Ok(SenderProcess::Found { key: ProcessKey::of(start.credentials.pid, Some(&pidfd)), pidfd })
    }

    /// Finds the process of a start that came to an earlier run of the server: ESRCH where it is
    /// gone, another error where nobody can say. `made_ticks` is when the process was made, where
    /// that was seen.
    pub fn again(
        start: &ProcessStart<'_>,
        made_ticks: Option<i64>,
    ) -> Result<(ProcessKey, OwnedFd), Refusal> {
        let pid = start.credentials.pid;
        // The clock may have been set since.
        let latest_ns = if made_ticks.is_some() { i64::MAX - TICK_NS } else { start.received_ns + CLOCK_NS };
        let pidfd = by_pid(pid, latest_ns)?;
        match (ProcessStat::of(pid), made_ticks) {
            (Some(usage), Some(made_ticks)) if usage.made_ticks != made_ticks => Err(Refusal::SRCH),
            _ => Ok((ProcessKey::of(pid, Some(&pidfd)), pidfd)),
        }
    }
}

/// The first time at which the process is known to have been there.
fn first_known_ns(start: &ProcessStart<'_>) -> i64 {
    start.start_ns.unwrap_or(start.received_ns).min(start.received_ns)
}

/// A pidfd by the number, unless that is another process's by now: one that began after this time.
fn by_pid(number: u32, latest_ns: i64) -> Result<OwnedFd, Refusal> {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw).ok_or(Refusal::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|refusal| match refusal {
        // The number is a thread's of another process by now: EINVAL before Linux 6.15.
        Refusal::NOENT | Refusal::INVAL => Refusal::SRCH,
        refusal => refusal,
    })?;
    match ProcessStat::of(number).and_then(|usage| made_ns(usage.made_ticks)) {
        Some(began) if began <= latest_ns + TICK_NS => Ok(pidfd),
        Some(_) => Err(Refusal::SRCH),
        None if has_ended(&pidfd) => Err(Refusal::SRCH),
        // /proc shows us no processes of others, so it may be another one.
        None => Err(Refusal::ACCESS),
    }
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
                is_outermost: false,
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
