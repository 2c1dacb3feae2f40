//! What one row gets more, of days, months or hosts.

use super::{EndSum, STATUSES, SumRow, tally::SumTally};

/// A job's number; `None` outside of jobs, and where the number has no room.
pub type JobNumber = Option<u32>;

/// See the module.
#[derive(Default)]
pub struct Change {
    /// Processes that started.
    pub processes: u64,
    ends: [EndSum; STATUSES.len()],
    pub node_us: i64,
    pub core_us: i64,
    jobs: Vec<u32>,
    /// A job of it has no number.
    is_cut: bool,
}

impl Change {
    /// Adds a tally, whose job has this number.
    pub fn add(&mut self, tally: &SumTally<'_>, job: JobNumber) {
        self.processes += tally.processes;
        if let Some((status, sum)) = &tally.ends {
            self.ends[*status as usize].add(sum);
        }
        self.jobs.extend(job);
        self.is_cut |= job.is_none() && !tally.job.is_empty();
    }

    /// Both together.
    pub fn merge(&mut self, other: &Change) {
        self.processes += other.processes;
        self.ends.iter_mut().zip(&other.ends).for_each(|(end, more)| end.add(more));
        self.node_us = self.node_us.wrapping_add(other.node_us);
        self.core_us = self.core_us.wrapping_add(other.core_us);
        self.jobs.extend(&other.jobs);
        self.is_cut |= other.is_cut;
    }

    /// The row as it is with this change.
    pub fn applied_to(self, mut row: SumRow) -> SumRow {
        row.processes = row.processes.saturating_add(self.processes);
        row.ends.iter_mut().zip(&self.ends).for_each(|(end, more)| end.add(more));
        row.node_us = row.node_us.saturating_add_signed(self.node_us);
        row.core_us = row.core_us.saturating_add_signed(self.core_us);
        row.jobs.add(&self.jobs);
        row.jobs.is_cut |= self.is_cut;
        row
    }
}
