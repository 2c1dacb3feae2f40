//! The times at which processes are looked at: the first time at a certain age, then whenever the
//! age has grown by a twentieth.
//!
//! So an end knows what its process used up to the last twentieth of its life, at a cost that does
//! not grow with it. Looks are bounded in number by the second; where there are too many processes,
//! each waits longer.

use super::{process_table::ProcessKey, usage::PART};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

/// See the module.
pub struct SampleTimes {
    due: BinaryHeap<Reverse<(Instant, ProcessKey, [u8; 16])>>,
    first_age: Duration,
    per_second: u64,
    /// Looks that may be made now, and when that was reckoned.
    credit: f64,
    reckoned: Instant,
}

impl SampleTimes {
    /// First looks at this age, and no more than so many a second. None where it is 0.
    pub fn new(first_age: Duration, per_second: u64) -> Self {
        let (due, reckoned) = (BinaryHeap::new(), Instant::now());
        SampleTimes { due, first_age, per_second, credit: 0.0, reckoned }
    }

    /// Has a process looked at that is followed from now on.
    pub fn begin(&mut self, key: ProcessKey, event_id: [u8; 16], age: Duration) {
        if self.per_second > 0 {
            let first = self.first_age.saturating_sub(age);
            self.due.push(Reverse((Instant::now() + first, key, event_id)));
        }
    }

    /// Has it looked at again, when its age has grown by a part.
    pub fn again(&mut self, key: ProcessKey, event_id: [u8; 16], age: Duration) {
        self.due.push(Reverse((Instant::now() + age / PART as u32, key, event_id)));
    }

    /// Notes that a look was at so many processes, and not at one.
    pub fn was_at(&mut self, processes: usize) {
        self.credit -= processes.saturating_sub(1) as f64;
    }

    /// Those that are due, as many as may be looked at now.
    pub fn due(&mut self) -> Vec<(ProcessKey, [u8; 16])> {
        let now = Instant::now();
        let per_second = self.per_second as f64;
        self.credit += now.duration_since(self.reckoned).as_secs_f64() * per_second;
        // A moment's worth may come at once.
        self.credit = self.credit.min(per_second / 10.0 + 1.0);
        self.reckoned = now;
        let mut due = Vec::new();
        while self.credit >= 1.0
            && let Some(Reverse((at, key, event_id))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            self.credit -= 1.0;
            due.push((key, event_id));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_bounded_by_the_second() {
        let mut times = SampleTimes::new(Duration::ZERO, 10);
        times.reckoned = Instant::now() - Duration::from_secs(60);
        (0..100).for_each(|number| times.begin(ProcessKey::of_number(number), [0; 16], Duration::ZERO));
        assert_eq!(times.due().len(), 2);
        assert_eq!(times.due().len(), 0);
        // A look at a process with many workers is many looks.
        times.was_at(31);
        times.reckoned -= Duration::from_secs(2);
        assert_eq!(times.due().len(), 0);
        times.reckoned -= Duration::from_secs(2);
        assert_eq!(times.due().len(), 2);
        let mut none = SampleTimes::new(Duration::ZERO, 0);
        none.begin(ProcessKey::of_number(1), [0; 16], Duration::ZERO);
        assert!(none.due.is_empty());
    }
}
