//! The starts of a job that have no end, read a part at a time.

use super::{
    Jobs,
    error::JobError,
    index::{JobIndex, Position, ValueReader},
};
use crate::{
    job_key::job_key,
    queue::{Entry, Kind},
};
use std::sync::Arc;

/// Starts of one part.
const AT_ONCE: usize = 500;

/// See the module.
pub struct OpenStartReader {
    index: Arc<JobIndex>,
    next: usize,
}

impl OpenStartReader {
    /// Begins with the first process of the job.
    pub fn new(jobs: &Jobs, job_id: &[u8], cluster: Option<&[u8]>) -> Result<Self, JobError> {
        Ok(OpenStartReader { index: jobs.index(&job_key(job_id), cluster)?, next: 0 })
    }

    /// The next ones; none where there are no more.
    pub fn read(&mut self, jobs: &Jobs) -> Result<Vec<Entry>, JobError> {
        loop {
            let open = self.positions();
            let starts = self.entries(jobs, &open)?;
            // A part without starts, which others may follow, is not the last one.
            if !starts.is_empty() || open.is_empty() {
                return Ok(starts);
            }
        }
    }

    /// The places of the next events without an end.
    fn positions(&mut self) -> Vec<Position> {
        let mut open: Vec<Position> = Vec::new();
        while open.len() < AT_ONCE
            && let Some(process) = self.index.process(self.next)
        {
            self.next += 1;
            open.extend(process.end.is_none().then_some(process.first));
        }
        open.sort_unstable();
        open
    }

    fn entries(&self, jobs: &Jobs, open: &[Position]) -> Result<Vec<Entry>, JobError> {
        let mut starts = Vec::new();
        let mut values = ValueReader::new(jobs.values(), &self.index, open);
        for of_value in open.chunk_by(|left, right| left.value == right.value) {
            // What was deleted in this moment is left out.
            let Some(entries) = values.read(of_value[0].value)? else { continue };
            for position in of_value {
                let mut rest = entries.slice((position.offset as usize).min(entries.len())..);
                starts.extend(Entry::read(&mut rest).filter(|entry| entry.kind == Kind::Start));
            }
        }
        Ok(starts)
    }
}
