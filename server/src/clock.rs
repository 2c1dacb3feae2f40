//! The time of day, as everything here counts it, and whose clock is believed.
//!
//! A sender's clock may be wrong by years. What it says is kept in documents; but what is ordered,
//! deleted by its age or asked for by time goes by the receipt where the two differ much.
//!
//! This machine's own clock may jump by years too: a battery is empty, somebody sets it. What is
//! deleted then is gone. So the clock is compared with the time that passed, which the kernel
//! counts apart. After a jump of more than a day the time goes on as it was, for a day; if the
//! clock says the same after that, it is believed. What happened while the server was down cannot
//! be known: where its last mark is more than a day old, nothing is deleted by its age for a day.

use nix::time::{ClockId, clock_gettime};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;
use tracing::warn;

/// The largest difference from the receipt with which a sender's time is believed: ten minutes.
/// Clocks that are kept in step differ by less.
const DIFFERENCE_MAX_NS: i64 = 600 * 1_000_000_000;

const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// The largest jump of our own clock that is followed at once. A machine that slept, or a virtual
/// one that stood still, comes back with a smaller one.
const JUMP_MAX_NS: i64 = DAY_NS;

/// The time for which a larger jump is not believed, and for which nothing is deleted after a start
/// with an old mark.
const DOUBTED_NS: i64 = DAY_NS;

/// No clock was right before this: 2026-01-01. A machine without a battery starts in 1970.
const IMPOSSIBLE_BEFORE_NS: i64 = 1_767_225_600 * 1_000_000_000;

/// The file in the data directory whose content is the last known time.
const MARK: &str = "last-time";

/// The time between two marks.
const MARK_EVERY: Duration = Duration::from_secs(600);

static CLOCK: Clock = Clock::new();

/// Now, in nanoseconds of Unix time.
pub fn now_ns() -> i64 {
    match CLOCK.read(wall_ns(), passed_ns()) {
        (now, None) => now,
        (now, Some(jump)) => {
            jump.tell();
            now
        }
    }
}

/// What is older than this may be deleted. Nothing may while the clock is in doubt.
pub fn oldest_kept_ns(keep: Duration) -> i64 {
    let now = now_ns();
    if CLOCK.deletes_nothing(passed_ns()) {
        return i64::MIN;
    }
    now.saturating_sub(i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX))
}

/// The time of an event, never after its receipt: the sender's where it may be right.
pub fn believed_ns(claimed: Option<i64>, received_ns: i64) -> i64 {
    match claimed {
        Some(claimed) if claimed >= received_ns.saturating_sub(DIFFERENCE_MAX_NS) => claimed.min(received_ns),
        _ => received_ns,
    }
}

/// The file that says when the server last ran.
#[derive(Debug)]
pub struct Mark(PathBuf);

impl Mark {
    /// Compares the clock with the last mark.
    pub fn open(data_dir: &Path) -> Self {
        let mark = Mark(data_dir.join(MARK));
        let last = fs::read_to_string(&mark.0).ok().and_then(|text| text.trim().parse::<i64>().ok());
        if let Some(last) = last {
            let gap = now_ns().saturating_sub(last.saturating_mul(1_000_000_000));
            if gap.saturating_abs() > JUMP_MAX_NS {
                CLOCK.doubt(passed_ns());
                warn!(
                    "the clock differs by {} hours from when this server last ran, so nothing is deleted by its age \
                     for a day. If it is wrong, set it right before that",
                    gap / 3_600_000_000_000
                );
            }
        }
        mark
    }

    /// Sets the mark again and again.
    pub async fn keep(self) {
        loop {
            self.set();
            sleep(MARK_EVERY).await;
        }
    }

    fn set(&self) {
        let fresh = self.0.with_extension("new");
        let written = fs::write(&fresh, format!("{}\n", now_ns() / 1_000_000_000));
        if let Err(problem) = written.and_then(|()| fs::rename(&fresh, &self.0)) {
            warn!("cannot write {}: {problem}. It is tried again", self.0.display());
        }
    }
}

/// A jump of our own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    /// The difference, positive if the clock went forwards.
    by_ns: i64,
    is_believed: bool,
}

impl Jump {
    fn tell(self) {
        let hours = self.by_ns / 3_600_000_000_000;
        if self.is_believed {
            warn!("the clock has said so for a day: the time jumps by {hours} hours");
        } else {
            warn!(
                "the clock jumped by {hours} hours. For a day the time goes on as it was, so that nothing is deleted \
                 by mistake. If the clock is right, restart the server"
            );
        }
    }
}

/// A clock that goes by what the machine's says, and follows no large jump at once.
#[derive(Debug)]
struct Clock {
    /// What is added to the passed time.
    offset_ns: AtomicI64,
    /// The passed time at which the machine's clock had jumped; 0 if it has not.
    jumped_ns: AtomicI64,
    /// The passed time until which nothing is deleted.
    doubted_until_ns: AtomicI64,
}

impl Clock {
    const fn new() -> Self {
        Clock {
            offset_ns: AtomicI64::new(i64::MIN),
            jumped_ns: AtomicI64::new(0),
            doubted_until_ns: AtomicI64::new(0),
        }
    }

    /// The time, and a jump that is to be told. Two threads that read at once may both tell it.
    fn read(&self, wall_ns: i64, passed_ns: i64) -> (i64, Option<Jump>) {
        let offset = wall_ns.saturating_sub(passed_ns);
        let believed = self.offset_ns.load(Relaxed);
        let by_ns = offset.saturating_sub(believed);
        let time = passed_ns.saturating_add(believed);
        let follow = || {
            self.offset_ns.store(offset, Relaxed);
            self.jumped_ns.store(0, Relaxed);
        };
        if believed == offset {
            return (wall_ns, None);
        }
        if believed == i64::MIN || by_ns.saturating_abs() <= JUMP_MAX_NS || time < IMPOSSIBLE_BEFORE_NS {
            follow();
            return (wall_ns, None);
        }
        match self.jumped_ns.load(Relaxed) {
            0 => {
                self.jumped_ns.store(passed_ns.max(1), Relaxed);
                (time, Some(Jump { by_ns, is_believed: false }))
            }
            since if passed_ns.saturating_sub(since) > DOUBTED_NS => {
                follow();
                (wall_ns, Some(Jump { by_ns, is_believed: true }))
            }
            _ => (time, None),
        }
    }

    fn doubt(&self, passed_ns: i64) {
        self.doubted_until_ns.store(passed_ns.saturating_add(DOUBTED_NS), Relaxed);
    }

    fn deletes_nothing(&self, passed_ns: i64) -> bool {
        passed_ns < self.doubted_until_ns.load(Relaxed)
    }
}

fn wall_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The time since the machine started, sleep included.
fn passed_ns() -> i64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * 1_000_000_000;
    const YEAR: i64 = 365 * DAY_NS;
    const TODAY: i64 = 1_800_000_000_000_000_000;

    #[test]
    fn a_clock_that_is_far_off_is_not_believed() {
        let two_years = 2 * YEAR;
        let believed = |difference| believed_ns(Some(TODAY + difference), TODAY) - TODAY;
        assert_eq!([-MINUTE, -two_years, MINUTE, two_years].map(believed), [-MINUTE, 0, 0, 0]);
        assert_eq!([None, Some(0), Some(i64::MIN)].map(|none| believed_ns(none, TODAY)), [TODAY; 3]);
    }

    /// The times of a clock that is read so many nanoseconds after its start, when the machine's
    /// clock is so far off.
    fn times(reads: &[(i64, i64)]) -> Vec<(i64, bool)> {
        let clock = Clock::new();
        let read = |&(passed, off): &(i64, i64)| {
            let (time, jump) = clock.read(TODAY + passed + off, 7 + passed);
            (time - TODAY - passed, jump.is_some())
        };
        reads.iter().map(read).collect()
    }

    #[test]
    fn small_steps_are_followed_at_once() {
        let steps = [(0, 0), (5, 3), (MINUTE, -MINUTE), (2 * MINUTE, 20 * 60 * MINUTE)];
        assert_eq!(times(&steps), steps.map(|(_, off)| (off, false)));
    }

    #[test]
    fn a_large_jump_is_followed_after_a_day_and_one_that_is_undone_never() {
        for jump in [10 * YEAR, -3 * YEAR, 2 * DAY_NS] {
            assert_eq!(
                times(&[(0, 0), (1, jump), (MINUTE, jump), (2 * MINUTE, MINUTE), (3 * MINUTE, 0)]),
                [(0, false), (0, true), (0, false), (MINUTE, false), (0, false)]
            );
            assert_eq!(
                times(&[(0, 0), (1, jump), (DAY_NS, jump), (DAY_NS + 2, jump), (DAY_NS + 3, jump)]),
                [(0, false), (0, true), (0, false), (jump, true), (jump, false)]
            );
        }
    }

    #[test]
    fn a_clock_that_began_in_1970_is_set_right_at_once() {
        let clock = Clock::new();
        assert_eq!(clock.read(5, 5), (5, None));
        assert_eq!(clock.read(TODAY, 6), (TODAY, None));
    }

    #[test]
    fn after_a_doubt_nothing_is_deleted_for_a_day() {
        let clock = Clock::new();
        assert!(!clock.deletes_nothing(0));
        clock.doubt(5);
        assert!(clock.deletes_nothing(6) && clock.deletes_nothing(DAY_NS + 4));
        assert!(!clock.deletes_nothing(DAY_NS + 5));
    }
}
