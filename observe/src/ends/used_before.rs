//! What a process had used when it became another program.

use crate::{process_stat::ProcessStat, task_statistics::split};
use std::fs;

/// CPU time from which on clock ticks say how much of it was in which mode.
const TICKS_COUNT_FROM_US: u64 = 10_000;

/// CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    pub user_us: u64,
    pub system_us: u64,
}

impl CpuTime {
    /// What a process has used so far, threads that have ended among it; `None` where it is gone.
    pub fn of(pid: u32) -> Option<CpuTime> {
        // That of the first thread; it has no name in it.
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
        let run_us = text.split(' ').next()?.parse::<u64>().ok()? / 1000;
        if run_us < TICKS_COUNT_FROM_US {
            return Some(CpuTime { user_us: run_us, system_us: 0 });
        }
        let ticks = ProcessStat::of(pid)?;
        let (user_us, system_us) = split(run_us.max(ticks.cpu_us()), ticks.user_us, ticks.system_us);
        Some(CpuTime { user_us, system_us })
    }
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
}
