//! Entries that the join has set aside: which ones of a batch no consumer sees, and those that come
//! back.
//!
//! The join writes both in one commit; the queue's writer removes a held entry in the same commit
//! in which what replaces it is queued, so that it is never there twice, and never gone.

use super::Entry;
use crate::database::{HeldStore, Writes, number};
use anyhow::Result;
use bytes::Bytes;
use std::ops::Range;

/// The batch of a held entry, and its index there.
pub type HeldKey = (u64, u32);

/// See the module.
pub struct HeldEntries {
    store: HeldStore,
}

impl HeldEntries {
    /// Opens the entries of these tables.
    pub fn new(store: HeldStore) -> Self {
        HeldEntries { store }
    }

    /// Begins writes for the other methods.
    pub fn writes(&self) -> Writes {
        self.store.database.writes()
    }

    /// Indexes of the batch's entries that were left out or held back, in order.
    pub fn skipped(&self, sequence: u64) -> Result<Vec<u32>> {
        let value = self.store.skipped.get(sequence.to_be_bytes())?;
        let index = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        let mut indexes: Vec<u32> =
            value.map(|value| value.chunks_exact(4).map(index).collect()).unwrap_or_default();
        indexes.sort_unstable();
        Ok(indexes)
    }

    /// Hides these entries of the batch from all consumers.
    pub fn skip(&self, writes: &mut Writes, sequence: u64, indexes: &[u32]) {
        let value: Vec<u8> = indexes.iter().flat_map(|index| index.to_le_bytes()).collect();
        writes.insert(&self.store.skipped, sequence.to_be_bytes(), value);
    }

    /// Forgets which entries of these batches are not seen: the batches are removed.
    pub fn forget_skipped(&self, writes: &mut Writes, batches: Range<u64>) -> Result<()> {
        for entry in self.store.skipped.range(batches.start.to_be_bytes()..batches.end.to_be_bytes()) {
            writes.remove(&self.store.skipped, entry.key()?);
        }
        Ok(())
    }

    /// Everything that is held; what cannot be read is left where it is.
    pub fn held(&self) -> impl Iterator<Item = Result<(HeldKey, Entry)>> {
        self.store.held.iter().filter_map(|held| match held.into_inner() {
            Ok((key, value)) => {
                let index = key.get(8..12).unwrap_or_default().try_into().unwrap_or_default();
                let entry = Entry::read(&mut Bytes::copy_from_slice(&value))?;
                Some(Ok(((number(&key), u32::from_be_bytes(index)), entry)))
            }
            Err(problem) => Some(Err(problem.into())),
        })
    }

    /// Holds an entry under a key, instead of another that was held under it.
    pub fn hold(&self, writes: &mut Writes, key: HeldKey, entry: &Entry) {
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        writes.insert(&self.store.held, held_key(key), bytes);
    }

    /// Holds an entry no longer.
    pub fn release(&self, writes: &mut Writes, key: HeldKey) {
        writes.remove(&self.store.held, held_key(key));
    }
}

fn held_key((sequence, index): HeldKey) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&sequence.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}
