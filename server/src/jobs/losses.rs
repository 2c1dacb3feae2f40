//! Marks of jobs of which a part was deleted: because it was old, or because its sender has more
//! than its share. An answer about such a job says that it is truncated.
//!
//! A mark goes with the last events of its job where these were old. One of a job that was pushed
//! out stays for as long as events are kept, since more of the job may come. There is a bound on
//! their number.

use super::{
    Jobs,
    keys::{cluster_of, job_of, loss_key, losses_begin, losses_end, old_value_prefix, value_prefix},
};
use crate::{clock::now_ns, database::Writes};
use bytes::Buf;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// Most marks of jobs of which nothing is left.
const MARKS_MAX: u64 = 1_000_000;

/// Marks that are looked at in one pass.
const SWEPT_AT_ONCE: usize = 10_000;

/// Values of a job that are looked at for one that is left in a cluster, and values in all, for one
/// removal. Who sends one job's id with very many clusters makes no removal long: what is not found
/// counts as gone, and has a mark while there are few.
const LOOKED_AT_MAX: usize = 1000;
const LOOKED_AT_IN_ALL: usize = 100_000;

/// The keys of a job and of its cluster.
type JobInCluster<'a> = (&'a [u8], &'a [u8]);

/// The progress of the sweep over marks.
#[derive(Default)]
pub struct LossSweep(Mutex<Vec<u8>>);

impl Jobs {
    /// Removes values, given by their keys, and puts marks where something of their jobs is lost.
    pub(super) fn remove_values(
        &self,
        keys: &[impl AsRef<[u8]>],
        is_old: bool,
        writes: &mut Writes,
    ) -> fjall::Result<()> {
        let mut jobs: BTreeMap<JobInCluster<'_>, BTreeSet<&[u8]>> = BTreeMap::new();
        for key in keys {
            let key = key.as_ref();
            writes.remove(&self.store.values, key);
            if let Some(job) = job_of(key) {
                jobs.entry((job, cluster_of(key, job))).or_default().insert(key);
            }
        }
        let before = self.store.losses.get()?;
        let mut marks = before;
        let mut may_look_at = LOOKED_AT_IN_ALL;
        for ((job, cluster), gone) in jobs {
            let mut is_left = false;
            // Those from before there were clusters have none.
            let old = cluster.is_empty().then(|| self.store.values.prefix(old_value_prefix(job)));
            let all = old.into_iter().flatten().chain(self.store.values.prefix(value_prefix(job)));
            for entry in all.take(LOOKED_AT_MAX.min(may_look_at)) {
                may_look_at -= 1;
                let key = entry.key()?;
                if cluster_of(&key, job) == cluster && !gone.contains(&key[..]) {
                    is_left = true;
                    break;
                }
            }
            let mark = loss_key(job, cluster);
            let is_marked = self.store.values.get(&mark)?.is_some();
            if is_left || (!is_old && marks < MARKS_MAX) {
                marks += u64::from(!is_marked);
                writes.insert(&self.store.values, mark, now_ns().to_be_bytes());
            } else if is_marked && is_old {
                marks = marks.saturating_sub(1);
                writes.remove(&self.store.values, mark);
            }
        }
        if marks != before {
            writes.set(&self.store.losses, marks);
        }
        Ok(())
    }

    /// Removes marks that are older than this and whose jobs have nothing left, a slice at a time.
    pub(super) fn sweep_losses(&self, oldest: i64) -> fjall::Result<()> {
        let mut after = self.sweep.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = if after.is_empty() { losses_begin() } else { std::mem::take(&mut *after) };
        let before = self.store.losses.get()?;
        let (mut marks, mut looked) = (before, 0);
        let mut writes = self.store.database.writes();
        for entry in self.store.values.range(from..losses_end()).take(SWEPT_AT_ONCE) {
            let (key, time) = entry.into_inner()?;
            looked += 1;
            let is_old = (&*time).try_get_i64().is_ok_and(|time| time < oldest);
            if is_old
                && let Some(job) = job_of(&key)
                && self.store.values.prefix(value_prefix(job)).next().is_none()
            {
                marks = marks.saturating_sub(1);
                writes.remove(&self.store.values, key.clone());
            }
            *after = key.to_vec();
        }
        if looked < SWEPT_AT_ONCE {
            after.clear();
        }
        if marks != before {
            writes.set(&self.store.losses, marks);
        }
        writes.commit()
    }
}
