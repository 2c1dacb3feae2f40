//! `/proc/PID/stat`: the parent of a process, its CPU time, and when it was made.
//!
//! Everybody may read it, unless `/proc` hides processes of others. A process that has ended and is
//! not reaped still has its CPU time.

use std::{fs::File, io::Read};

/// Nanoseconds of a clock tick, in which procfs gives times: USER_HZ is 100 on every Linux that we
/// run on.
pub const TICK_NS: i64 = 10_000_000;

/// Bytes of the file that hold what we read.
const BYTES: usize = 1024;

/// What it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its parent; 0 where that is in a namespace that we do not see.
    pub parent_pid: u32,
    /// CPU time of all its threads in user mode, those that have ended among them.
    pub user_us: u64,
    /// The same in system mode.
    pub system_us: u64,
    /// The time at which the process was made, in ticks since the machine started.
    pub made_ticks: i64,
}

impl ProcessStat {
    /// That of a process; `None` where it is gone, or not ours to know.
    pub fn of(pid: u32) -> Option<Self> {
        let mut buffer = [0; BYTES];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        ProcessStat::read(buffer.get(..length)?)
    }

    /// That in the bytes of such a file.
    pub fn read(stat: &[u8]) -> Option<Self> {
        // The name of the program, field 2, may hold anything but ends with the last parenthesis.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace();
        let parent_pid = fields.nth(1)?.parse().ok()?;
        let mut us =
            |skipped| Some(fields.nth(skipped)?.parse::<u64>().ok()?.saturating_mul(TICK_NS as u64 / 1000));
        let (user_us, system_us) = (us(9)?, us(0)?);
        let made_ticks = fields.nth(6)?.parse().ok()?;
        Some(ProcessStat { parent_pid, user_us, system_us, made_ticks })
    }

    /// CPU time altogether.
    pub fn cpu_us(&self) -> u64 {
        self.user_us.saturating_add(self.system_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = b"7 (a) 9 (b) R 1 7 7 0 -1 4194304 97 0 0 0 12 5 300 400 20 0 1 0 5555 2600960 390 18446744073709551615 1 1";
        let expected = ProcessStat { parent_pid: 1, user_us: 120_000, system_us: 50_000, made_ticks: 5555 };
        assert_eq!(ProcessStat::read(stat), Some(expected));
        assert_eq!(ProcessStat::read(&stat[..40]), None);
        assert_eq!(ProcessStat::read(b""), None);
    }

    #[test]
    fn our_own_process_is_known_and_one_that_is_not_there_is_not() {
        let ours = ProcessStat::of(std::process::id()).unwrap();
        assert!(ours.made_ticks > 0 && ours.parent_pid == std::os::unix::process::parent_id());
        assert_eq!(ProcessStat::of(u32::MAX), None);
    }
}
