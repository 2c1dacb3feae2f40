//! CPU time and memory of processes that live, by looking at them from time to time
//! ([`super::sample_times`]). An end says what it knows only if the last look was late enough
//! ([`Usage::told`]).
//!
//! CPU time survives exec. So of a program that another one became, what was there before is taken
//! away; where nobody knows how much that was, only what was used since the first look counts.

use super::proc_usage::{children, cpus_allowed, made_ns, peak_kib};
use ogrt_observe::ProcessStat;
use std::collections::HashMap;

/// The part of its age by which a process grows from one look to the next.
pub const PART: i64 = 20;

/// Time between the making of a process and the start that it tells, up to which it was this
/// program all the time: the loader's time on a busy machine.
const LOADING_NS: i64 = 100_000_000;

/// Workers of one process that are remembered, and generations of them.
const WORKERS_MAX: usize = 256;
const GENERATIONS_MAX: usize = 4;

/// What a process has used, as far as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The time from which on usage counts, and what there was before.
    since: Option<(i64, ProcessStat)>,
    last: Option<Sample>,
    /// CPU time of each child that is no program of its own.
    workers: HashMap<Worker, u64>,
    /// The number of CPUs that it may run on, when it was first looked at.
    pub cpus_allowed: Option<u32>,
}

/// A child that is no program of its own: its number, and when it was made.
type Worker = (u32, i64);

/// One look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at_ns: i64,
    usage: ProcessStat,
    peak_kib: Option<u64>,
}

/// What an end tells of the resources of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldUsage {
    pub user_us: u64,
    pub system_us: u64,
    pub peak_kib: Option<u64>,
    pub worker_us: Option<u64>,
}

impl Usage {
    /// The usage of a program that a process has just become.
    pub fn of_next_program(look: &Look) -> Usage {
        Usage { since: Some((look.at_ns, look.usage)), ..Usage::default() }
    }

    /// Takes up what a look has found.
    pub fn add(&mut self, look: Look, start_ns: i64) {
        let Look { at_ns, usage, peak_kib, cpus_allowed, children } = look;
        self.cpus_allowed = self.cpus_allowed.or(cpus_allowed);
        self.since.get_or_insert_with(|| match made_ns(usage.made_ticks) {
            Some(made_ns) if start_ns - made_ns <= LOADING_NS => (start_ns, ProcessStat::default()),
            _ => (at_ns, usage),
        });
        let peak_kib = peak_kib.max(self.last.and_then(|last| last.peak_kib));
        self.last = Some(Sample { at_ns, usage, peak_kib });
        if !self.workers.is_empty() {
            self.workers.retain(|(pid, _), _| !children.programs.contains(pid));
        }
        for (worker, cpu_us) in children.workers {
            if self.workers.len() < WORKERS_MAX || self.workers.contains_key(&worker) {
                self.workers.insert(worker, cpu_us);
            }
        }
    }

    /// True after the first look.
    pub fn was_looked_at(&self) -> bool {
        self.last.is_some()
    }

    /// What the end tells; `None` if more than a twentieth of the life was not seen.
    pub fn told(&self, start_ns: i64, ended_ns: i64) -> Option<ToldUsage> {
        let ((since_ns, before), last) = (self.since?, self.last?);
        let life = ended_ns.checked_sub(start_ns).filter(|life| *life > 0)?;
        let unseen = (since_ns - start_ns).max(0) + (ended_ns - last.at_ns).max(0);
        // The looks come when it is their time, and a moment later.
        if unseen > life / PART + life / (4 * PART) {
            return None;
        }
        Some(ToldUsage {
            user_us: last.usage.user_us.saturating_sub(before.user_us),
            system_us: last.usage.system_us.saturating_sub(before.system_us),
            peak_kib: last.peak_kib,
            worker_us: Some(self.workers.values().sum()).filter(|sum| *sum > 0),
        })
    }
}

/// What one look at a process has found.
pub struct Look {
    pub at_ns: i64,
    usage: ProcessStat,
    peak_kib: Option<u64>,
    cpus_allowed: Option<u32>,
    children: Children,
}

/// The descendants of a process, down to those that are programs of their own.
#[derive(Default)]
struct Children {
    programs: Vec<u32>,
    /// The others, with their CPU time.
    workers: Vec<(Worker, u64)>,
}

impl Children {
    fn of(pid: u32, is_program: impl Fn(u32) -> bool) -> Children {
        let mut found = Children::default();
        let mut generation = children(pid);
        for _ in 0..GENERATIONS_MAX {
            let mut next = Vec::new();
            for child in generation {
                if is_program(child) {
                    found.programs.push(child);
                } else if let Some(usage) =
                    ProcessStat::of(child).filter(|_| found.workers.len() < WORKERS_MAX)
                {
                    found.workers.push(((child, usage.made_ticks), usage.cpu_us()));
                    next.extend(children(child));
                }
            }
            generation = next;
        }
        found
    }
}

impl Look {
    /// Looks at a process, for the first time or not; `is_program` tells which processes are
    /// programs of their own.
    pub fn at(pid: u32, now_ns: i64, is_first: bool, is_program: impl Fn(u32) -> bool) -> Option<Look> {
        let (usage, children) = (ProcessStat::of(pid)?, Children::of(pid, is_program));
        let cpus_allowed = if is_first { cpus_allowed(pid) } else { None };
        Some(Look { at_ns: now_ns, usage, peak_kib: peak_kib(pid), cpus_allowed, children })
    }

    /// Looks at CPU time alone: of a process that has just become another program, or has ended and
    /// is not reaped. Its memory and its children are not those of the program that is asked about.
    pub fn at_cpu_time(pid: u32, at_ns: i64) -> Option<Look> {
        let (peak_kib, cpus_allowed, children) = (None, None, Children::default());
        Some(Look { at_ns, usage: ProcessStat::of(pid)?, peak_kib, cpus_allowed, children })
    }

    /// The number of processes that were looked at.
    pub fn processes(&self) -> usize {
        1 + self.children.workers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_observe::TICK_NS;

    const SECOND_NS: i64 = 1_000_000_000;

    fn look(at_ns: i64, user_us: u64, peak: u64) -> Look {
        let made_ticks = (100 * SECOND_NS - made_ns(0).unwrap()) / TICK_NS;
        let usage = ProcessStat { user_us, system_us: 7, made_ticks, ..ProcessStat::default() };
        let (cpus_allowed, children) = (Some(4), Children::default());
        Look { at_ns, usage, peak_kib: Some(peak), cpus_allowed, children }
    }

    #[test]
    fn an_end_tells_what_was_seen_until_the_last_twentieth_of_its_life() {
        let start = 100 * SECOND_NS;
        let mut usage = Usage::default();
        assert_eq!(usage.told(start, start + SECOND_NS), None);
        usage.add(look(start + SECOND_NS, 400, 9), start);
        usage.add(look(start + 10 * SECOND_NS, 5000, 8), start);
        let told = ToldUsage { user_us: 5000, system_us: 7, peak_kib: Some(9), worker_us: None };
        assert_eq!(usage.told(start, start + 10 * SECOND_NS + SECOND_NS / 2), Some(told));
        assert_eq!(usage.told(start, start + 11 * SECOND_NS), None, "too late");
        assert_eq!(usage.cpus_allowed, Some(4));
    }

    #[test]
    fn what_another_program_used_before_is_taken_away_and_never_guessed() {
        // The process was made long before the program's start.
        let start = 200 * SECOND_NS;
        let mut usage = Usage::default();
        usage.add(look(start + SECOND_NS, 90_000, 9), start);
        usage.add(look(start + 15 * SECOND_NS, 95_000, 9), start);
        assert_eq!(usage.told(start, start + 15 * SECOND_NS), None, "a fifteenth is unknown");
        usage.add(look(start + 30 * SECOND_NS, 99_000, 9), start);
        assert_eq!(usage.told(start, start + 30 * SECOND_NS).map(|told| told.user_us), Some(9000));
        let before = ProcessStat { user_us: 60_000, made_ticks: 1, ..ProcessStat::default() };
        let mut usage = Usage { since: Some((start, before)), ..Usage::default() };
        usage.add(look(start + 2 * SECOND_NS, 90_000, 9), start);
        assert_eq!(usage.told(start, start + 2 * SECOND_NS).map(|told| told.user_us), Some(30_000));
    }

    #[test]
    fn a_worker_that_is_gone_still_counts_and_one_that_became_a_program_does_not() {
        let start = 100 * SECOND_NS;
        let mut usage = Usage::default();
        let mut with = |second: i64, programs: Vec<u32>, workers: Vec<(Worker, u64)>| {
            let look = look(start + second * SECOND_NS, 10, 9);
            usage.add(Look { children: Children { programs, workers }, ..look }, start);
            usage.told(start, start + second * SECOND_NS).unwrap().worker_us
        };
        assert_eq!(with(1, vec![], vec![((5, 1), 100), ((6, 1), 30)]), Some(130));
        assert_eq!(with(2, vec![], vec![((5, 1), 150)]), Some(180));
        assert_eq!(with(3, vec![], vec![((5, 2), 1)]), Some(181), "another one of the same number");
        assert_eq!(with(4, vec![6], vec![]), Some(151));
    }
}
