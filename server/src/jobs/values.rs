//! The values of jobs as answers read them, wherever they are kept: compressed entries, in an
//! order that each reader finds again.

use super::{
    error::JobError,
    keys::{cluster_of, loss_key, loss_prefix, old_value_prefix, value_prefix},
};
use crate::database::JobsStore;
use std::ops::ControlFlow;

/// What tells a value from others of its job, and keeps their order. Values from before there were
/// clusters are not new, and come first.
pub type ValueTail<'a> = (bool, &'a [u8]);

/// A value of a job.
pub struct JobValue<'a> {
    pub tail: ValueTail<'a>,
    /// The key of the cluster.
    pub cluster: &'a [u8],
    /// Entries of one sender, compressed.
    pub packed: &'a [u8],
}

/// What is done with each value.
pub type Visit<'v> = dyn FnMut(&JobValue<'_>) -> Result<ControlFlow<()>, JobError> + 'v;

/// See the module.
pub trait JobValues: Send + Sync {
    /// What changes whenever the job has a further value; empty where it has none.
    fn version(&self, job: &[u8]) -> Result<Vec<u8>, JobError>;

    /// Visits the values of a job in their order, in one cluster or in all, until it breaks off.
    fn visit(&self, job: &[u8], cluster: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), JobError>;

    /// How many values are best read at once.
    fn at_once(&self) -> usize;

    /// Values by their tails; `None` for what was deleted meanwhile.
    fn get(&self, job: &[u8], tails: &[ValueTail<'_>]) -> Result<Vec<Option<Vec<u8>>>, JobError>;

    /// Tells whether a part of the job was deleted; of one cluster where its key is given.
    fn has_lost(&self, job: &[u8], cluster: Option<&[u8]>) -> Result<bool, JobError>;
}

/// The server's own database.
impl JobValues for JobsStore {
    fn version(&self, job: &[u8]) -> Result<Vec<u8>, JobError> {
        Ok(match self.values.prefix(value_prefix(job)).next_back() {
            Some(entry) => entry.into_inner()?.0.to_vec(),
            None => Vec::new(),
        })
    }

    fn visit(&self, job: &[u8], cluster: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), JobError> {
        let prefixes = [old_value_prefix(job), value_prefix(job)];
        for (is_new, prefix) in [false, true].into_iter().zip(&prefixes) {
            for value in self.values.prefix(prefix) {
                let (key, packed) = value.into_inner()?;
                let in_cluster = cluster_of(&key, job);
                if cluster.is_some_and(|cluster| cluster != in_cluster) {
                    continue;
                }
                let tail = (is_new, key.get(prefix.len()..).unwrap_or_default());
                let value = JobValue { tail, cluster: in_cluster, packed: &packed };
                if visit(&value)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn at_once(&self) -> usize {
        1
    }

    fn get(&self, job: &[u8], tails: &[ValueTail<'_>]) -> Result<Vec<Option<Vec<u8>>>, JobError> {
        let value = |(is_new, tail): &ValueTail<'_>| {
            let mut key = if *is_new { value_prefix(job) } else { old_value_prefix(job) };
            key.extend_from_slice(tail);
            Ok(self.values.get(key)?.map(|packed| packed.to_vec()))
        };
        tails.iter().map(value).collect()
    }

    fn has_lost(&self, job: &[u8], cluster: Option<&[u8]>) -> Result<bool, JobError> {
        match cluster {
            Some(cluster) => Ok(self.values.get(loss_key(job, cluster))?.is_some()),
            None => Ok(self.values.prefix(loss_prefix(job)).next().is_some()),
        }
    }
}
