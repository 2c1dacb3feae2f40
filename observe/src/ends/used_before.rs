//! What a process had used when it became another program.

use crate::task_statistics::split;
use std::{fs::File, io::Read};

/// CPU time from which on clock ticks say how much of it was in which mode.
const TICKS_COUNT_FROM_US: u64 = 10_000;

/// Microseconds of a clock tick: USER_HZ is 100 on every Linux that we run on.
const TICK_US: u64 = 10_000;

/// CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    pub user_us: u64,
    pub system_us: u64,
}

impl CpuTime {
    /// What a process has used so far, threads that have ended among it; `None` where it is gone.
    pub fn of(pid: u32) -> Option<CpuTime> {
        let mut buffer = [0; 1024];
        let mut read = |name| {
            let length = File::open(format!("/proc/{pid}/{name}")).ok()?.read(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        // That of the first thread; it has no name in it.
        let run_us = read("schedstat")?.split(' ').next()?.parse::<u64>().ok()? / 1000;
        if run_us < TICKS_COUNT_FROM_US {
            return Some(CpuTime { user_us: run_us, system_us: 0 });
        }
        let (user_us, system_us) = ticks(&read("stat")?)?;
        let (user_us, system_us) = split(run_us.max(user_us + system_us), user_us, system_us);
        Some(CpuTime { user_us, system_us })
    }
}

/// Times in user and in system mode, as /proc/PID/stat tells them.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    // The name of the program, field 2, may hold anything but ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut us = || Some(fields.next()?.parse::<u32>().map_or(0, u64::from) * TICK_US);
    Some((us()?, us()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_time_is_known_and_that_of_nobody_is_not() {
        let before = CpuTime::of(std::process::id()).unwrap();
        assert_eq!(CpuTime::of(u32::MAX), None);
        let until = std::time::Instant::now() + std::time::Duration::from_millis(60);
        while std::time::Instant::now() < until {}
        // This test may run in another thread than the first, which only ticks tell.
        let after = CpuTime::of(std::process::id()).unwrap();
        assert!(after.user_us + after.system_us >= before.user_us + before.system_us);
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) 9 (b) R 1 7 7 0 -1 4194304 97 0 0 0 12 5 300 400 20 0 1 0 5555";
        assert_eq!(ticks(stat), Some((120_000, 50_000)));
        assert_eq!(ticks(&stat[..40]), None);
    }
}
