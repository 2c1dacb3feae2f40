//! All events that are kept, job by job, for who counts them again.

use super::{
    CONSUMER, Jobs,
    keys::{losses_begin, losses_end},
};
use crate::join::Want;
use anyhow::{Context, Result, ensure};

impl Jobs {
    /// Keeps what the join has passed, up to this batch of the queue.
    pub fn keep_until(&self, until: u64) -> Result<()> {
        let mut next = self.queue.offset(CONSUMER);
        let reader = self.documents.reader(next, Want::Entries);
        while next < until {
            next = self.write(&reader, next, until)?;
        }
        Ok(())
    }

    /// Hands the entries of each value to `each`, one after the other as the queue has them. Those
    /// of one job come together, and in their order. It fails where something is damaged.
    pub fn each_value(&self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut bytes = 0;
        let values = &self.store.values;
        for value in values.range(..losses_begin()).chain(values.range(losses_end()..)) {
            let (key, packed) = value.into_inner()?;
            bytes += (key.len() + packed.len()) as u64;
            let entries = lz4_flex::decompress_size_prepended(&packed)
                .context("what is kept of a job is damaged on disk")?;
            each(&entries)?;
        }
        let written = self.store.bytes.get()?;
        ensure!(
            bytes >= written,
            "of {written} bytes that are kept of jobs, only {bytes} are there: the disk may be damaged"
        );
        Ok(())
    }
}
