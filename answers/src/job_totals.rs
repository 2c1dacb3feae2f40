//! What a job was and used in all: the figures of its sheet.

use crate::{job_document::Job, job_process::JobProcess};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

/// See the module. Processes of which nothing but their end came are not among them.
#[derive(Debug, Default)]
pub struct JobTotals {
    pub users: BTreeSet<Rc<str>>,
    pub accounts: BTreeSet<Rc<str>>,
    pub partitions: BTreeSet<Rc<str>>,
    pub hosts: BTreeSet<Rc<str>>,
    /// The number of nodes, as the scheduler says; 0 where it says none.
    pub nodes: u64,
    /// The first start, and the last start or end.
    pub first_ns: i64,
    pub last_ns: i64,
    pub processes: usize,
    /// Those without a known end, and those that nobody proved.
    pub open: usize,
    pub claimed: usize,
    /// CPU time in microseconds, with that of workers, and the processes of which it is known.
    pub cpu_us: u64,
    pub measured: usize,
    /// The largest memory of one process in KiB, and what that ran.
    pub peak: Option<(u64, Rc<str>)>,
    /// Software that is registered or learned, the one with the most CPU time first.
    pub software: Vec<(Rc<str>, SoftwareUse)>,
    pub unknown: SoftwareUse,
    /// Each program and how it ended without success, the most frequent first.
    pub failures: Vec<Failure>,
}

/// Processes that ran the same and ended in the same way, without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub name: Rc<str>,
    pub ending: Rc<str>,
    pub count: usize,
}

/// Processes of one software.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftwareUse {
    pub processes: usize,
    /// Those of which CPU time is known.
    pub measured: usize,
    pub cpu_us: u64,
}

impl JobTotals {
    /// Adds up a job's processes.
    pub fn of(job: &Job) -> JobTotals {
        let mut totals = JobTotals { first_ns: i64::MAX, ..JobTotals::default() };
        let mut software: HashMap<Rc<str>, SoftwareUse> = HashMap::new();
        let mut failures: BTreeMap<(Rc<str>, Rc<str>), usize> = BTreeMap::new();
        for process in job.processes.iter().filter(|process| !process.is_end_alone) {
            let cpu_us = totals.add(process);
            let used = match process.is_registered || process.is_learned {
                true => software.entry(software_name(process)).or_default(),
                false => &mut totals.unknown,
            };
            used.processes += 1;
            used.measured += usize::from(process.end.cpu_us.is_some());
            used.cpu_us = used.cpu_us.saturating_add(cpu_us);
            let ending = &process.end.ending;
            if ending.starts_with("exit") || ending.starts_with("signal") {
                *failures.entry((process.name.clone(), ending.clone())).or_default() += 1;
            }
        }
        totals.first_ns = totals.first_ns.min(totals.last_ns);
        totals.software = software.into_iter().collect();
        totals.software.sort_by_key(|(name, used)| (Reverse((used.cpu_us, used.processes)), name.clone()));
        let failure = |((name, ending), count)| Failure { name, ending, count };
        totals.failures = failures.into_iter().map(failure).collect();
        totals.failures.sort_by_key(|failure| Reverse(failure.count));
        totals
    }

    fn add(&mut self, process: &JobProcess) -> u64 {
        let facts = &process.job;
        let texts = [
            (&mut self.users, &process.user),
            (&mut self.accounts, &facts.account),
            (&mut self.partitions, &facts.partition),
            (&mut self.hosts, &process.host),
        ];
        for (all, text) in texts {
            if !text.is_empty() && !all.contains(text) {
                all.insert(text.clone());
            }
        }
        self.nodes = self.nodes.max(facts.nodes);
        self.processes += 1;
        self.claimed += usize::from(process.is_claimed);
        self.open += usize::from(process.end.time_ns.is_none());
        if process.start_ns > 0 {
            self.first_ns = self.first_ns.min(process.start_ns);
        }
        self.last_ns = self.last_ns.max(process.start_ns).max(process.end.time_ns.unwrap_or(0));
        let end = &process.end;
        if let Some(kib) = end.max_rss_kib
            && self.peak.as_ref().is_none_or(|(most, _)| kib > *most)
        {
            self.peak = Some((kib, process.name.clone()));
        }
        self.measured += usize::from(end.cpu_us.is_some());
        let cpu_us = end.cpu_us.unwrap_or(0).saturating_add(end.worker_us.unwrap_or(0));
        self.cpu_us = self.cpu_us.saturating_add(cpu_us);
        cpu_us
    }
}

/// The name and version of the build; of a build without a name, that of its file.
fn software_name(process: &JobProcess) -> Rc<str> {
    match process.software.is_empty() {
        true => process.program.rsplit('/').next().unwrap_or_default().into(),
        false => process.software.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_job_is_added_up_and_what_is_not_known_is_not_guessed() {
        let process = |start: i64, build: Value, end: Value| {
            json!({ "binpath": "/sw/bin/app", "hostname": "n1", "username": "ann", "identity": "kernel",
                "account": "chem", "nodes": 2, "start_time_ns": start, "build": build, "end": end })
        };
        let registered = json!({ "source": "record", "name": "GROMACS", "version": "2024.3" });
        let end = |ns: i64, cpu: u64, kib: u64, signal: u64| {
            json!({ "end_time_ns": ns, "user_time_us": cpu, "system_time_us": 1, "max_rss_kib": kib,
                "ended_by": if signal > 0 { "signal" } else { "exit" }, "exit_status": 0, "signal": signal })
        };
        let job = Job::of(&json!({ "processes": [
            process(10, registered.clone(), end(90, 5, 100, 9)),
            process(20, registered, end(80, 6, 300, 9)),
            process(5, json!({ "source": "note", "name": "liar" }), end(50, 1, 20, 0)),
            process(30, json!({ "source": "record" }), Value::Null),
            { "type": "end", "binpath": "/lost", "end": end(500, 9, 9, 9) },
        ] }));
        let totals = JobTotals::of(&job);
        assert_eq!((totals.processes, totals.open, totals.measured, totals.claimed), (4, 1, 3, 0));
        assert_eq!((totals.first_ns, totals.last_ns, totals.nodes), (5, 90, 2));
        assert_eq!((totals.cpu_us, totals.peak), (15, Some((300, "app".into()))));
        let software: Vec<_> = totals.software.iter().map(|(name, used)| (&**name, used.cpu_us)).collect();
        assert_eq!(software, [("GROMACS 2024.3", 13), ("app", 0)]);
        assert_eq!(totals.unknown, SoftwareUse { processes: 1, measured: 1, cpu_us: 2 });
        assert_eq!(totals.failures, [Failure { name: "app".into(), ending: "signal 9".into(), count: 2 }]);
    }
}
