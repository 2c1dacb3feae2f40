//! What procfs tells of the resources that a process has used so far, and of the children that it
//! has.
//!
//! Everybody may read it, unless `/proc` hides processes of others. A process that has ended and is
//! not reaped still has its CPU time.

use crate::clock::now_ns;
use nix::time::{ClockId, clock_gettime};
use std::{fs, fs::File, io::Read};

/// Nanoseconds of a clock tick, in which procfs gives times: USER_HZ is 100 on every Linux that we
/// run on.
pub const TICK_NS: i64 = 10_000_000;

/// Bytes of `/proc/PID/stat` and `/proc/PID/status` that hold what we read.
const STAT_BYTES: usize = 1024;
const STATUS_BYTES: usize = 4096;

/// Children of one process that are looked at.
const CHILDREN_MAX: usize = 256;

/// CPU time, and when the process was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcUsage {
    pub user_us: u64,
    pub system_us: u64,
    /// The time at which the process was made, in ticks since the machine started.
    pub made_ticks: i64,
}

impl ProcUsage {
    /// The usage of all of a process's threads, those that have ended among them; `None` where it
    /// is gone, or not ours to know.
    pub fn of(pid: u32) -> Option<ProcUsage> {
        let mut buffer = [0; STAT_BYTES];
        ProcUsage::read(start_of(&format!("/proc/{pid}/stat"), &mut buffer)?)
    }

    fn read(stat: &[u8]) -> Option<ProcUsage> {
        // The name of the program, field 2, may hold anything but ends with the last parenthesis.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let text = std::str::from_utf8(&stat[end + 1..]).ok()?;
        let mut fields = text.split_ascii_whitespace().skip(11);
        let mut us = || Some(fields.next()?.parse::<u64>().ok()?.saturating_mul(TICK_NS as u64 / 1000));
        let (user_us, system_us) = (us()?, us()?);
        let made_ticks = text.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(ProcUsage { user_us, system_us, made_ticks })
    }

    /// CPU time altogether.
    pub fn cpu_us(&self) -> u64 {
        self.user_us.saturating_add(self.system_us)
    }
}

/// The time of so many ticks since the machine started, Unix time in nanoseconds.
pub fn made_ns(ticks: i64) -> Option<i64> {
    let since_start = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let since_start = since_start.tv_sec().checked_mul(1_000_000_000)?.checked_add(since_start.tv_nsec())?;
    now_ns().checked_sub(since_start)?.checked_add(ticks.checked_mul(TICK_NS)?)
}

/// The largest resident set that the program of a process has had, in KiB.
pub fn peak_kib(pid: u32) -> Option<u64> {
    let mut buffer = [0; STATUS_BYTES];
    let status = start_of(&format!("/proc/{pid}/status"), &mut buffer)?;
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"VmHWM:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// The children of a process's first thread.
pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().take(CHILDREN_MAX).filter_map(|child| child.parse().ok()).collect()
}

/// The first bytes of a file: as many as one read gives.
fn start_of<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = File::open(path).ok()?.read(buffer).ok()?;
    buffer.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = b"7 (a) 9 (b) R 1 7 7 0 -1 4194304 97 0 0 0 12 5 300 400 20 0 1 0 5555 2600960 390 18446744073709551615 1 1";
        let usage = ProcUsage { user_us: 120_000, system_us: 50_000, made_ticks: 5555 };
        assert_eq!(ProcUsage::read(stat), Some(usage));
        assert_eq!(ProcUsage::read(&stat[..40]), None);
        assert_eq!(ProcUsage::read(b""), None);
    }

    #[test]
    fn our_own_process_is_known_and_one_that_is_not_there_is_not() {
        let ours = std::process::id();
        assert!(ProcUsage::of(ours).is_some_and(|usage| usage.made_ticks > 0));
        assert!(peak_kib(ours).is_some_and(|peak| peak > 100));
        assert_eq!((ProcUsage::of(u32::MAX), peak_kib(u32::MAX)), (None, None));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // This test may run in another thread than the first.
        let found: Vec<u32> = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .flat_map(|thread| {
                let path = thread.unwrap().path().join("children");
                fs::read_to_string(path)
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(|pid| pid.parse().unwrap())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(found.is_empty() || found.contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
