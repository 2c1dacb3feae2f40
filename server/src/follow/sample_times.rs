//! The times at which processes are looked at: the first time at a certain age, then whenever the
//! age has grown by a twentieth.
//!
//! So an end knows what its process used up to the last twentieth of its life, at a cost that does
//! not grow with it. Looks are bounded in number by the second. Where there are too many processes,
//! each waits longer, and users take turns: who has had the fewest looks has the next one. So who
//! has very many processes only delays the looks at his own
//! (`who_has_very_many_processes_delays_nobody_elses_looks`).

use super::{process_key::ProcessKey, usage::PART};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

/// A look at a process, as long as it is this start's.
pub type SampleSubject = (ProcessKey, [u8; 16]);

/// Processes that are gone and taken out of the order at once.
const GONE_AT_ONCE: usize = 100_000;

/// See the module.
pub struct SampleTimes {
    users: HashMap<u32, UserLooks>,
    first_age: Duration,
    per_second: u64,
    /// Looks that may be made now, and when that was reckoned.
    credit: f64,
    reckoned: Instant,
    /// The looks that a user has had who comes now.
    had: u64,
}

/// The looks at the processes of one user.
#[derive(Default)]
struct UserLooks {
    due: BinaryHeap<Reverse<(Instant, ProcessKey, [u8; 16])>>,
    /// The number of looks that he has had, or has let pass.
    had: u64,
}

impl SampleTimes {
    /// First looks at this age, and no more than so many a second. None where it is 0.
    pub fn new(first_age: Duration, per_second: u64) -> Self {
        let (users, reckoned) = (HashMap::new(), Instant::now());
        SampleTimes { users, first_age, per_second, credit: 0.0, reckoned, had: 0 }
    }

    /// Has a process of this user looked at that is followed from now on.
    pub fn begin(&mut self, uid: u32, (key, event_id): SampleSubject, age: Duration) {
        if self.per_second > 0 {
            let first = self.first_age.saturating_sub(age);
            self.put(uid, (Instant::now() + first, key, event_id));
        }
    }

    /// Has it looked at again, when its age has grown by a part.
    pub fn again(&mut self, uid: u32, (key, event_id): SampleSubject, age: Duration) {
        self.put(uid, (Instant::now() + age / PART as u32, key, event_id));
    }

    fn put(&mut self, uid: u32, look: (Instant, ProcessKey, [u8; 16])) {
        self.users.entry(uid).or_default().due.push(Reverse(look));
    }

    /// The time until the next look is due.
    pub fn next(&self) -> Option<Duration> {
        let first =
            self.users.values().filter_map(|user| user.due.peek()).map(|Reverse((at, ..))| *at).min()?;
        // There may be no leave for it yet.
        let leave = (1.0 - self.credit).max(0.0) / self.per_second.max(1) as f64;
        let due = first.saturating_duration_since(Instant::now());
        Some(due.max(Duration::try_from_secs_f64(leave).unwrap_or_default()))
    }

    /// Notes that a look was at so many processes, and not at one.
    pub fn was_at(&mut self, uid: u32, processes: usize) {
        let more = processes.saturating_sub(1) as u64;
        self.credit -= more as f64;
        if let Some(user) = self.users.get_mut(&uid) {
            user.had += more;
        }
    }

    /// The processes that are due, with their users, as many as may be looked at now. `is_there`
    /// tells who is gone: that costs no look.
    pub fn due(&mut self, is_there: impl Fn(SampleSubject) -> bool) -> Vec<(u32, SampleSubject)> {
        let now = Instant::now();
        let per_second = self.per_second as f64;
        self.credit += now.duration_since(self.reckoned).as_secs_f64() * per_second;
        // A moment's worth may come at once.
        self.credit = self.credit.min(per_second / 10.0 + 1.0);
        self.reckoned = now;
        let is_due = |user: &UserLooks| user.due.peek().is_some_and(|Reverse((at, ..))| *at <= now);
        let waiting = self.users.iter().filter(|(_, user)| is_due(user));
        // What a user has let pass is not saved.
        let mut turns: BinaryHeap<Reverse<(u64, u32)>> =
            waiting.map(|(uid, user)| Reverse((user.had.max(self.had), *uid))).collect();
        let (mut due, mut gone) = (Vec::new(), 0);
        while self.credit >= 1.0
            && gone < GONE_AT_ONCE
            && let Some(Reverse((had, uid))) = turns.pop()
            && let Some(user) = self.users.get_mut(&uid)
        {
            (user.had, self.had) = (had, had);
            while is_due(user)
                && let Some(Reverse((_, key, event_id))) = user.due.pop()
            {
                if is_there((key, event_id)) {
                    user.had += 1;
                    self.credit -= 1.0;
                    due.push((uid, (key, event_id)));
                    break;
                }
                gone += 1;
            }
            if is_due(user) {
                turns.push(Reverse((user.had, uid)));
            }
        }
        self.users.retain(|_, user| !user.due.is_empty() || user.had > self.had);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: u64) -> SampleSubject {
        (ProcessKey::of_number(number), [0; 16])
    }

    /// Lets so much time pass.
    fn later(times: &mut SampleTimes, seconds: u64) {
        times.reckoned -= Duration::from_secs(seconds);
    }

    #[test]
    fn looks_are_bounded_by_the_second() {
        let mut times = SampleTimes::new(Duration::ZERO, 10);
        later(&mut times, 60);
        (0..100).for_each(|number| times.begin(7, subject(number), Duration::ZERO));
        let count = |times: &mut SampleTimes| times.due(|_| true).len();
        assert_eq!([count(&mut times), count(&mut times)], [2, 0]);
        // A look at a process with many workers is many looks.
        times.was_at(7, 31);
        later(&mut times, 2);
        assert_eq!(count(&mut times), 0);
        later(&mut times, 2);
        assert_eq!(count(&mut times), 2);
        let mut none = SampleTimes::new(Duration::ZERO, 0);
        none.begin(7, subject(1), Duration::ZERO);
        assert!(none.users.is_empty());
    }

    #[test]
    fn who_has_very_many_processes_delays_nobody_elses_looks() {
        let mut times = SampleTimes::new(Duration::ZERO, 100);
        (0..10_000).for_each(|number| times.begin(1, subject(number), Duration::ZERO));
        (0..5).for_each(|number| times.begin(2, subject(20_000 + number), Duration::ZERO));
        later(&mut times, 1);
        let first = times.due(|_| true);
        assert_eq!((first.len(), first.iter().filter(|(uid, _)| *uid == 2).count()), (11, 5));
        // Who comes later has his turn at once, and no more turns than others from then on.
        times.begin(3, subject(30_000), Duration::ZERO);
        (0..100).for_each(|number| times.begin(4, subject(40_000 + number), Duration::ZERO));
        later(&mut times, 1);
        let looks = |times: &mut SampleTimes| {
            let due = times.due(|_| true);
            [1, 3, 4].map(|of| due.iter().filter(|(uid, _)| *uid == of).count())
        };
        assert_eq!(looks(&mut times), [5, 1, 5]);
        // The workers of a process are its user's looks.
        times.was_at(4, 8);
        later(&mut times, 1);
        assert_eq!(looks(&mut times), [9, 0, 2]);
    }

    #[test]
    fn processes_that_are_gone_cost_no_look_and_no_memory() {
        let mut times = SampleTimes::new(Duration::ZERO, 10);
        (0..50_000).for_each(|number| times.begin(1, subject(number), Duration::ZERO));
        times.begin(1, subject(50_000), Duration::ZERO);
        later(&mut times, 1);
        assert_eq!(times.due(|subject| subject.0 == ProcessKey::of_number(50_000)), [(1, subject(50_000))]);
        assert!(times.users.get(&1).is_none_or(|user| user.due.is_empty()));
    }
}
