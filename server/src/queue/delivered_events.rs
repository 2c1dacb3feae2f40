//! Which events acknowledging streams have delivered, so that one sent again is queued once.
//!
//! A client that got no acknowledgement sends the event again, perhaps days later from its spool.
//! Only such streams repeat themselves, so only their events are remembered: on disk, in the same
//! write as the event. Two generations of a bounded number each: when the younger is full, the
//! older is emptied and takes its place. The ends that the kernel told are remembered as well: what
//! a process said of its own end may come from a spool much later.

use super::event_key::PartKey;
use crate::database::{QueueStore, Writes};
use std::collections::HashSet;

/// Events in one generation.
const GENERATION: u64 = 4_000_000;

pub struct DeliveredEvents {
    store: QueueStore,
    young: usize,
    count: u64,
    pending: HashSet<PartKey>,
}

impl DeliveredEvents {
    pub fn open(store: QueueStore) -> fjall::Result<Self> {
        let (young, count) = (store.delivered_young.get()? as usize % 2, store.delivered_count.get()?);
        Ok(DeliveredEvents { store, young, count, pending: HashSet::new() })
    }

    /// Remembers `key` with the writes of `batch`; false when it was known.
    pub fn insert(&mut self, batch: &mut Writes, key: PartKey) -> fjall::Result<bool> {
        if self.contains(&key)? {
            return Ok(false);
        }
        self.insert_new(batch, key);
        Ok(true)
    }

    /// Remembers a key that is not known yet.
    pub fn insert_new(&mut self, batch: &mut Writes, key: PartKey) {
        self.pending.insert(key);
        batch.insert(&self.store.delivered[self.young], key, []);
    }

    pub fn contains(&self, key: &PartKey) -> fjall::Result<bool> {
        Ok(self.pending.contains(key)
            || self.store.delivered[0].contains_key(key)?
            || self.store.delivered[1].contains_key(key)?)
    }

    /// Brings the numbers up to date; called before the batch is committed.
    pub fn before_commit(&mut self, batch: &mut Writes) {
        if !self.pending.is_empty() {
            self.count += self.pending.len() as u64;
            batch.set(&self.store.delivered_count, self.count);
        }
    }

    /// Notes that the keys are in the database; called after the commit.
    pub fn after_commit(&mut self) -> fjall::Result<()> {
        self.pending.clear();
        if self.count > GENERATION {
            self.young = 1 - self.young;
            self.count = 0;
            self.store.delivered[self.young].clear()?;
            let mut writes = self.store.database.writes();
            writes.set(&self.store.delivered_young, self.young as u64);
            writes.set(&self.store.delivered_count, 0);
            writes.commit()?;
        }
        Ok(())
    }
}
