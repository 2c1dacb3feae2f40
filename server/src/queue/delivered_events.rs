//! Which events acknowledging streams have delivered, so that one sent again is queued once.
//!
//! A client that got no acknowledgement sends the event again, perhaps days later from its spool.
//! Only such streams repeat themselves, so only their events are remembered: on disk, in the same
//! write as the event. Two generations of a bounded number each: when the younger is full, the
//! older is emptied and takes its place. The ends that the kernel told are remembered as well: what
//! a process said of its own end may come from a spool much later. With each event stand its
//! senders: what one of them sent does not keep out what another may know better. What was imported
//! of another tracker is remembered for good: nobody knows when its files are imported again.

use super::{
    Sender,
    event_key::{PartKey, end_key},
};
use crate::database::{QueueStore, Writes};
use std::collections::{HashMap, HashSet};

/// Events in one generation.
const GENERATION: u64 = 4_000_000;

/// Senders of one event that are remembered; all but one or two of them forge.
const SENDERS_MAX: usize = 16;

/// The senders of an event, one after the other, as [`Sender::to_bytes`] writes them. Servers
/// before 1.0 wrote none.
type Senders = Vec<u8>;

pub struct DeliveredEvents {
    store: QueueStore,
    young: usize,
    count: u64,
    pending: HashMap<PartKey, Senders>,
    /// Imported records that are not committed yet.
    imported: HashSet<PartKey>,
}

impl DeliveredEvents {
    pub fn open(store: QueueStore) -> fjall::Result<Self> {
        let (young, count) = (store.delivered_young.get()? as usize % 2, store.delivered_count.get()?);
        Ok(DeliveredEvents { store, young, count, pending: HashMap::new(), imported: HashSet::new() })
    }

    /// Remembers an event with the writes of `batch`; false when it tells nothing new.
    pub fn insert(
        &mut self,
        batch: &mut Writes,
        key: PartKey,
        sender: Sender,
        claimed_uid: Option<u32>,
    ) -> fjall::Result<bool> {
        let mut senders = match self.senders(&key)? {
            Some(known) if known.is_empty() => return Ok(false),
            known => known.unwrap_or_default(),
        };
        let read = |bytes: &[u8]| Sender::from_bytes(bytes.try_into().ok()?);
        if senders.chunks_exact(5).filter_map(read).any(|known| known.covers(sender, claimed_uid)) {
            return Ok(false);
        }
        if senders.len() < SENDERS_MAX * 5 {
            senders.extend(sender.to_bytes());
            batch.insert(&self.store.delivered[self.young], key, &senders);
            self.pending.insert(key, senders);
        }
        Ok(true)
    }

    /// Remembers an imported record for good; false when it was imported before.
    pub fn insert_import(&mut self, batch: &mut Writes, key: PartKey) -> fjall::Result<bool> {
        if self.imported.contains(&key) || self.store.imported.contains_key(key)? {
            return Ok(false);
        }
        batch.insert(&self.store.imported, key, []);
        self.imported.insert(key);
        Ok(true)
    }

    /// Remembers an end that the kernel told of a process of this user.
    pub fn insert_end(&mut self, batch: &mut Writes, event_id: &[u8; 16], uid: u32) {
        let (key, senders) = (end_key(event_id), Sender::Process(uid).to_bytes().to_vec());
        batch.insert(&self.store.delivered[self.young], key, &senders);
        self.pending.insert(key, senders);
    }

    /// True if the kernel has told the end that this sender tells.
    pub fn is_ended(&self, event_id: &[u8; 16], sender: Sender) -> fjall::Result<bool> {
        let Some(known) = self.senders(&end_key(event_id))? else { return Ok(false) };
        let teller = known.first_chunk().and_then(|bytes| Sender::from_bytes(*bytes));
        Ok(match teller {
            Some(Sender::Process(uid)) => Sender::kernel_covers(uid, sender),
            _ => true,
        })
    }

    fn senders(&self, key: &PartKey) -> fjall::Result<Option<Senders>> {
        if let Some(known) = self.pending.get(key) {
            return Ok(Some(known.clone()));
        }
        for table in [self.young, 1 - self.young] {
            if let Some(known) = self.store.delivered[table].get(key)? {
                return Ok(Some(known.to_vec()));
            }
        }
        Ok(None)
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
        self.imported.clear();
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
