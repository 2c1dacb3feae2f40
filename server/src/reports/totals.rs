//! The figures of one line.

use super::{Order, job_union::JobUnion, names::RowNames, number_hash::NumberSet};
use crate::sums::{EndSum, JobSet, STATUSES, Status, SumRow};
use serde_json::{Value, json};

/// The word for processes without a known end: they still run, or nobody told.
const OPEN: &str = "open";

/// See the module.
pub struct Totals {
    started: u64,
    ends: [EndSum; STATUSES.len()],
    node_us: u64,
    core_us: u64,
    claimed: u64,
    claimed_cpu_us: u64,
    users: NumberSet<u32>,
    accounts: NumberSet<u32>,
    jobs: JobUnion,
}

impl Totals {
    /// Nothing, of a site with so many jobs.
    pub fn new(jobs: u64) -> Self {
        Totals {
            started: 0,
            ends: Default::default(),
            node_us: 0,
            core_us: 0,
            claimed: 0,
            claimed_cpu_us: 0,
            users: NumberSet::default(),
            accounts: NumberSet::default(),
            jobs: JobUnion::new(jobs),
        }
    }

    /// Adds a row with its names and its jobs, as they are on disk; true where not all of its jobs
    /// are known.
    pub fn add(&mut self, row: &SumRow, names: &RowNames, mut jobs: &[u8], is_claimed: bool) -> bool {
        self.started += row.processes;
        self.ends.iter_mut().zip(&row.ends).for_each(|(end, more)| end.add(more));
        if is_claimed {
            self.claimed += row.processes;
            self.claimed_cpu_us += row.ends.iter().map(|end| end.cpu_us).sum::<u64>();
        }
        if names.user != 0 {
            self.users.insert(names.user);
        }
        if names.account != 0 {
            self.accounts.insert(names.account);
        }
        self.node_us = self.node_us.saturating_add(row.node_us);
        self.core_us = self.core_us.saturating_add(row.core_us);
        JobSet::read_each(&mut jobs, |job| self.jobs.add(job)).unwrap_or(true)
    }

    /// CPU time, in microseconds.
    pub fn cpu_us(&self) -> u64 {
        self.ends.iter().map(|end| end.cpu_us).sum()
    }

    /// The time from start to end, in microseconds.
    fn wall_us(&self) -> u64 {
        self.ends.iter().map(|end| end.wall_us).sum()
    }

    /// What shares are of, in this order.
    pub fn shared_us(&self, order: Order) -> u64 {
        if order == Order::Wall { self.wall_us() } else { self.cpu_us() }
    }

    /// What lines are ordered by.
    pub fn rank(&self, order: Order) -> u64 {
        match order {
            Order::Cpu => self.cpu_us(),
            Order::Node => self.node_us,
            Order::Wall => self.wall_us(),
            Order::Processes => self.processes(),
        }
    }

    /// Processes: an end may be known without its start.
    pub fn processes(&self) -> u64 {
        self.started.max(self.ended())
    }

    fn ended(&self) -> u64 {
        self.ends.iter().map(|end| end.processes).sum()
    }

    /// The figures with their keys, and the share of all.
    pub fn json(&mut self, order: Order, all_us: u64) -> Value {
        let of = |status: Status| self.ends[status as usize].processes;
        let processes = self.processes();
        let mut json = json!({
            "processes": processes,
            "jobs": self.jobs.count(),
            "users": self.users.len(),
            "accounts": self.accounts.len(),
            "cpu_us": self.cpu_us(),
            "wall_us": self.wall_us(),
            "node_us": self.node_us,
            "core_us": self.core_us,
            "completed": of(Status::Completed),
            "failed": of(Status::Failed),
            "killed": of(Status::Killed),
            "oom": of(Status::Oom),
            "exec": of(Status::Exec),
            "end_unknown": of(Status::Unseen) + (processes - self.ended()),
            "claimed": self.claimed,
            "claimed_cpu_us": self.claimed_cpu_us,
        });
        add_share(&mut json, self.shared_us(order), all_us);
        json
    }

    /// The figures of each status that some process has. Which jobs and users had it is not known.
    pub fn json_by_status(&self, order: Order, all_us: u64) -> Vec<Value> {
        let open = EndSum { processes: self.processes() - self.ended(), ..EndSum::default() };
        let ends = STATUSES.iter().map(|status| (status.text(), self.ends[*status as usize]));
        ends.chain([(OPEN, open)])
            .filter(|(_, end)| end.processes > 0)
            .map(|(status, EndSum { processes, cpu_us, wall_us })| {
                let mut json =
                    json!({ "status": status, "processes": processes, "cpu_us": cpu_us, "wall_us": wall_us });
                add_share(&mut json, if order == Order::Wall { wall_us } else { cpu_us }, all_us);
                json
            })
            .collect()
    }
}

fn add_share(json: &mut Value, us: u64, all_us: u64) {
    if all_us > 0 {
        json["share"] = (us as f64 / all_us as f64).into();
    }
}
