//! What goes from the jobs, so that they stay bounded: what is old, and the oldest of senders with
//! more than their share.

use super::{
    Jobs,
    keys::{WITH_SENDER, log_prefix, old_value_prefix},
};
use crate::{
    clock::oldest_kept_ns,
    database::Writes,
    fair_shares::{ShareHolder, Shares},
};
use anyhow::Result;
use bytes::Buf;
use std::sync::PoisonError;

/// Entries of the log that are looked at in one pass for each sender.
const PRUNED_AT_ONCE: usize = 10_000;

impl Jobs {
    /// Removes events that are too old, and the oldest of senders with more than their share where
    /// there are too many.
    pub(super) fn prune(&self) -> Result<()> {
        let oldest = oldest_kept_ns(self.config.keep.0);
        let bytes_max = self.config.bytes_max.0;
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let senders: Vec<ShareHolder> = shares.iter().map(|(sender, _)| sender.clone()).collect();
        for sender in senders {
            self.prune_one(&mut shares, &sender, oldest, u64::MAX)?;
        }
        // What has no sender is from before there were any.
        let total = self.store.bytes.get()?;
        let mut unknown = total.saturating_sub(shares.total());
        for entry in self.store.log.range(..vec![WITH_SENDER]).take(PRUNED_AT_ONCE) {
            let (sequence, value) = entry.into_inner()?;
            let mut log = &*value;
            let (Ok(time), Ok(bytes)) = (log.try_get_i64(), log.try_get_u64()) else { continue };
            if time >= oldest && shares.total() + unknown <= bytes_max {
                break;
            }
            let mut writes = self.store.database.writes();
            let jobs = listed(log).into_iter();
            let keys: Vec<_> = jobs.map(|job| [&old_value_prefix(job)[..], &sequence].concat()).collect();
            self.remove_values(&keys, time < oldest, &mut writes)?;
            self.put_lost(&mut writes, time)?;
            unknown = unknown.saturating_sub(bytes);
            writes.set(&self.store.bytes, shares.total() + unknown);
            writes.remove(&self.store.log, sequence);
            writes.commit()?;
        }
        if shares.total() + unknown > bytes_max {
            // A little less, so that this is not done for each event.
            let capacity = (bytes_max - bytes_max / 16).saturating_sub(unknown);
            let allowance = shares.allowance(capacity);
            for (sender, before) in shares.over(&allowance) {
                let excess = shares.total().saturating_sub(capacity);
                let least = allowance.of(&sender).max(before.saturating_sub(excess));
                self.prune_one(&mut shares, &sender, oldest, least)?;
                let lost = before.saturating_sub(shares.get(&sender));
                self.metrics.sender_over("jobs.bytes_max", &sender, lost);
            }
        }
        self.metrics.jobs_bytes.set(shares.total() + unknown);
        Ok(self.sweep_losses(oldest)?)
    }

    /// Removes events of a sender that are too old, and the oldest beyond so many bytes.
    fn prune_one(
        &self,
        shares: &mut Shares,
        sender: &ShareHolder,
        oldest: i64,
        bytes_max: u64,
    ) -> Result<()> {
        for entry in self.store.log.prefix(log_prefix(sender)).take(PRUNED_AT_ONCE) {
            let (key, value) = entry.into_inner()?;
            let mut log = &*value;
            let (Ok(time), Ok(bytes)) = (log.try_get_i64(), log.try_get_u64()) else { continue };
            let there = shares.get(sender);
            if time >= oldest && there <= bytes_max {
                break;
            }
            let mut writes = self.store.database.writes();
            self.remove_values(&listed(log), time < oldest, &mut writes)?;
            self.put_lost(&mut writes, time)?;
            let left = there.saturating_sub(bytes);
            self.put_share(&mut writes, sender, left);
            writes.set(&self.store.bytes, self.store.bytes.get()?.saturating_sub(bytes));
            writes.remove(&self.store.log, key);
            writes.commit()?;
            shares.set(sender.clone(), left);
        }
        Ok(())
    }

    /// Puts what a sender has among the writes.
    pub(super) fn put_share(&self, writes: &mut Writes, sender: &ShareHolder, amount: u64) {
        match amount {
            0 => writes.remove(&self.store.senders, sender.as_bytes()),
            _ => writes.insert(&self.store.senders, sender.as_bytes(), amount.to_be_bytes()),
        }
    }
}

/// What stands behind the time and the bytes in a value of the log, each with its length in front.
fn listed(mut log: &[u8]) -> Vec<&[u8]> {
    let next = || {
        let len = log.try_get_u16().ok()?;
        log.split_off(..usize::from(len))
    };
    std::iter::from_fn(next).collect()
}
