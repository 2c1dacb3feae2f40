//! When which process is looked at: at an age of 2 s, 30 s, 10 min, then each hour.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

/// Processes that are looked at later, at most.
const PROCESSES_MAX: usize = 65_536;

/// The ages, and the time between two looks after the last.
const AGES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(30), Duration::from_secs(600)];
const LATER: Duration = Duration::from_secs(3600);

/// A program that a process runs since an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunningProgram {
    /// The process.
    pub pid: u32,
    /// The exec, Unix time in nanoseconds.
    pub exec_ns: i64,
}

/// See the module.
#[derive(Default)]
pub struct LookTimes {
    /// The next looks, the earliest on top; with the number of looks so far.
    due: BinaryHeap<Reverse<(Instant, RunningProgram, usize)>>,
    /// The last exec of each process that is looked at.
    last: HashMap<u32, i64>,
    /// The number of processes for which there was no room.
    pub overflows: u64,
}

impl LookTimes {
    /// A process has become another program.
    pub fn begin(&mut self, program: RunningProgram, now: Instant) {
        if self.due.len() >= PROCESSES_MAX {
            self.overflows += 1;
            // What it was before it is no more.
            self.last.remove(&program.pid);
            return;
        }
        self.last.insert(program.pid, program.exec_ns);
        self.due.push(Reverse((now + AGES[0], program, 0)));
    }

    /// True if the process is still this program, as far as we were told.
    pub fn is_current(&self, program: RunningProgram) -> bool {
        self.last.get(&program.pid) == Some(&program.exec_ns)
    }

    /// A program that is due, with the number of looks at it so far.
    pub fn take_due(&mut self, now: Instant) -> Option<(RunningProgram, usize)> {
        loop {
            let Reverse((due, program, looks)) = self.due.peek().copied()?;
            if due > now {
                return None;
            }
            self.due.pop();
            if self.is_current(program) {
                return Some((program, looks));
            }
        }
    }

    /// A program is looked at again, at its next age.
    pub fn again(&mut self, program: RunningProgram, looks: usize, now: Instant) {
        let wait = match looks {
            0 => AGES[1] - AGES[0],
            1 => AGES[2] - AGES[1],
            _ => LATER,
        };
        self.due.push(Reverse((now + wait, program, looks + 1)));
    }

    /// A program is not looked at any more.
    pub fn end(&mut self, program: RunningProgram) {
        if self.is_current(program) {
            self.last.remove(&program.pid);
        }
    }

    /// The time until the next look.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, _, _))| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_at_ever_more_rarely() {
        let (mut times, start) = (LookTimes::default(), Instant::now());
        let program = RunningProgram { pid: 7, exec_ns: 1 };
        times.begin(program, start);
        let mut ages = Vec::new();
        let mut now = start;
        while ages.len() < 5 {
            now += times.wait(now).expect("a look");
            let (due, looks) = times.take_due(now).expect("a look");
            assert_eq!((due, looks), (program, ages.len()));
            ages.push((now - start).as_secs());
            times.again(program, looks, now);
        }
        assert_eq!(ages, [2, 30, 600, 4200, 7800]);
        times.end(program);
        assert_eq!(times.take_due(now + LATER), None);
    }

    #[test]
    fn what_a_process_was_before_is_not_looked_at() {
        let (mut times, now) = (LookTimes::default(), Instant::now());
        times.begin(RunningProgram { pid: 7, exec_ns: 1 }, now);
        times.begin(RunningProgram { pid: 7, exec_ns: 2 }, now);
        let due = times.take_due(now + AGES[0]);
        assert_eq!(due, Some((RunningProgram { pid: 7, exec_ns: 2 }, 0)));
        assert_eq!(times.take_due(now + AGES[0]), None);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let (mut times, now) = (LookTimes::default(), Instant::now());
        for pid in 0..PROCESSES_MAX as u32 + 9 {
            times.begin(RunningProgram { pid, exec_ns: 1 }, now);
        }
        assert_eq!((times.due.len(), times.last.len(), times.overflows), (PROCESSES_MAX, PROCESSES_MAX, 9));
    }
}
