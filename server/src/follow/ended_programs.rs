//! The programs of processes that have ended, for starts that come late.
//!
//! A start that waited in a stream may come when its process has gone on as another program, and
//! that one has ended. How the process ended says nothing of the earlier program: it ended by exec,
//! where the next one began. The latest processes are remembered, up to a bound.

use super::process_key::ProcessKey;
use std::collections::{BTreeSet, VecDeque};

/// Programs that are remembered.
const PROGRAMS_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub struct EndedPrograms {
    /// The process, and the time at which the program began.
    began: BTreeSet<(u64, i64)>,
    /// The same, as they came.
    order: VecDeque<(u64, i64)>,
}

impl EndedPrograms {
    /// Remembers a program.
    pub fn add(&mut self, key: ProcessKey, began_ns: i64) {
        // A pid may be another process's by then.
        let Some(number) = key.number() else { return };
        if !self.began.insert((number, began_ns)) {
            return;
        }
        self.order.push_back((number, began_ns));
        if self.order.len() > PROGRAMS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.began.remove(&oldest);
        }
    }

    /// The time at which the process became its next program after this one.
    pub fn next(&self, key: ProcessKey, began_ns: i64) -> Option<i64> {
        let number = key.number()?;
        let next = self.began.range((number, began_ns.checked_add(1)?)..=(number, i64::MAX)).next()?;
        Some(next.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_program_of_the_same_process_is_found() {
        let mut ended = EndedPrograms::default();
        let one = ProcessKey::of_number(1);
        for began_ns in [30, 20] {
            ended.add(one, began_ns);
        }
        ended.add(ProcessKey::of_number(2), 25);
        ended.add(ProcessKey::of_pid(7), 25);
        assert_eq!(
            [10, 20, 29, 30].map(|began| ended.next(one, began)),
            [Some(20), Some(30), Some(30), None]
        );
        assert_eq!(ended.next(ProcessKey::of_pid(7), 10), None, "a pid may be another process's");
        for number in 10..10 + PROGRAMS_MAX as u64 {
            ended.add(ProcessKey::of_number(number), 1);
        }
        assert_eq!((ended.next(one, 10), ended.began.len()), (None, PROGRAMS_MAX));
    }
}
