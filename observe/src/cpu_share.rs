//! A bound on our own processor time: a share of one processor, and a reserve for bursts.
//!
//! The reserve lets a thousand programs that start at once be told without delay. When it is used
//! up, we sleep; what the kernel tells meanwhile waits in its queues, which have bounds of their
//! own.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Processor time that may be saved up.
const RESERVE: Duration = Duration::from_secs(1);

/// Longest sleep at once.
const SLEEP_MAX: Duration = Duration::from_millis(200);

/// See the module.
pub struct CpuShare {
    share: f64,
    /// Seconds of processor time that are left.
    left: f64,
    used: Duration,
    seen: Instant,
}

impl CpuShare {
    /// This many percent of one processor.
    pub fn new(percent: u32) -> Self {
        CpuShare {
            share: f64::from(percent.max(1)) / 100.0,
            left: RESERVE.as_secs_f64(),
            used: processor_time(),
            seen: Instant::now(),
        }
    }

    /// The time to sleep now, so that the share is kept.
    pub fn rest(&mut self) -> Option<Duration> {
        let (used, now) = (processor_time(), Instant::now());
        let (spent, passed) = (used.saturating_sub(self.used), now.duration_since(self.seen));
        (self.used, self.seen) = (used, now);
        self.account(spent, passed)
    }

    fn account(&mut self, spent: Duration, passed: Duration) -> Option<Duration> {
        self.left += passed.as_secs_f64() * self.share - spent.as_secs_f64();
        self.left = self.left.min(RESERVE.as_secs_f64());
        (self.left < 0.0)
            .then(|| Duration::from_secs_f64((-self.left / self.share).min(SLEEP_MAX.as_secs_f64())))
    }
}

/// The processor time that this process has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_lasts_is_slowed_down_to_the_share() {
        let mut share = CpuShare::new(10);
        let second = Duration::from_secs(1);
        assert_eq!(share.account(second, second), None, "the reserve");
        let sleep = share.account(second, second).expect("a sleep");
        assert!(sleep <= SLEEP_MAX);
        // A minute of work that never ends by itself.
        let (mut worked, mut slept) = (Duration::ZERO, Duration::ZERO);
        let mut passed = Duration::ZERO;
        while slept + worked < Duration::from_secs(600) {
            let sleep = share.account(Duration::from_millis(10), Duration::from_millis(10) + passed);
            passed = sleep.unwrap_or_default();
            (worked, slept) = (worked + Duration::from_millis(10), slept + passed);
        }
        let kept = worked.as_secs_f64() / (worked + slept).as_secs_f64();
        assert!((0.09..0.12).contains(&kept), "{kept}");
    }
}
