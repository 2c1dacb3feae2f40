//! Numbers of digests, which rows name: of sets of environment modules, and of programs whose start
//! has not come.
//!
//! ```text
//! 'd' digest -> number    'n' number -> digest, then the names where they are known
//! ```
//! A start tells the names of its modules, its end their digest. Whichever comes first gives the
//! digest its number.

use super::tally::{Modules, SumTally};
use crate::{
    database::{SumsStore, Writes, number},
    fair_shares::ShareHolder,
    start_digest::{self, StartDigest},
};
use std::collections::{BTreeMap, HashMap};

/// The numbers of some tallies' digests.
pub struct DigestNumbers<'a> {
    store: &'a SumsStore,
    known: HashMap<StartDigest, KnownDigest>,
    /// What has changed, by number.
    changed: BTreeMap<u64, (StartDigest, Option<Vec<u8>>)>,
    first: u64,
    next: u64,
}

#[derive(Clone, Copy)]
struct KnownDigest {
    number: u64,
    has_names: bool,
}

impl<'a> DigestNumbers<'a> {
    /// None yet.
    pub fn new(store: &'a SumsStore) -> fjall::Result<Self> {
        let next = store.next_digest.get()?.max(1);
        Ok(DigestNumbers { store, known: HashMap::new(), changed: BTreeMap::new(), first: next, next })
    }

    /// Puts the numbers into the key of a tally's row. A digest is new where there is room for it.
    pub fn put_into(
        &mut self,
        tally: &mut SumTally<'_>,
        takes_room: &mut dyn FnMut(ShareHolder) -> bool,
    ) -> fjall::Result<()> {
        let holder = tally.key.holder();
        let number = match tally.modules {
            Modules::None => Some(0),
            Modules::Names(names) => {
                self.number(start_digest::of_modules(names), Some(names), &holder, takes_room)?
            }
            Modules::Digest(digest) => self.number(digest, None, &holder, takes_room)?,
            Modules::Unknown => None,
        };
        tally.key.modules = number.unwrap_or(0);
        tally.key.is_partial |= number.is_none();
        if let Some(digest) = tally.started {
            let number = self.number(digest, None, &holder, takes_room)?;
            tally.key.started = number.unwrap_or(0);
            tally.key.is_partial |= number.is_none();
        }
        Ok(())
    }

    fn number(
        &mut self,
        digest: StartDigest,
        names: Option<&[u8]>,
        holder: &ShareHolder,
        takes_room: &mut dyn FnMut(ShareHolder) -> bool,
    ) -> fjall::Result<Option<u64>> {
        let known = match self.known.get(&digest) {
            Some(known) => Some(*known),
            None => self.on_disk(&digest)?,
        };
        let known = match known {
            Some(known) => known,
            None if takes_room(holder.clone()) => {
                self.next += 1;
                let known = KnownDigest { number: self.next - 1, has_names: false };
                self.changed.insert(known.number, (digest, None));
                known
            }
            None => return Ok(None),
        };
        if let Some(names) = names.filter(|_| !known.has_names) {
            self.changed.insert(known.number, (digest, Some(names.to_vec())));
        }
        let has_names = known.has_names || names.is_some();
        self.known.insert(digest, KnownDigest { has_names, ..known });
        Ok(Some(known.number))
    }

    fn on_disk(&self, digest: &StartDigest) -> fjall::Result<Option<KnownDigest>> {
        let Some(value) = self.store.digests.get(digest_key(digest))? else { return Ok(None) };
        let number = number(&value);
        let has_names = digest_of(self.store, number)?.is_some_and(|(_, names)| names.is_some());
        Ok(Some(KnownDigest { number, has_names }))
    }

    /// Puts what has changed among the writes.
    pub fn put(&self, writes: &mut Writes) {
        for (number, (digest, names)) in &self.changed {
            writes.insert(&self.store.digests, digest_key(digest), number.to_be_bytes());
            let names = names.as_ref().map(|names| [&[1], &names[..]].concat()).unwrap_or_default();
            writes.insert(&self.store.digests, number_key(*number), [&digest[..], &names].concat());
        }
        if self.next != self.first {
            writes.set(&self.store.next_digest, self.next);
        }
    }
}

fn digest_key(digest: &StartDigest) -> Vec<u8> {
    [&b"d"[..], digest].concat()
}

fn number_key(number: u64) -> Vec<u8> {
    [&b"n"[..], &number.to_be_bytes()].concat()
}

/// The digest with a number; and the names of modules, with a NUL behind each, where they are
/// known.
pub fn digest_of(store: &SumsStore, number: u64) -> fjall::Result<Option<(StartDigest, Option<Vec<u8>>)>> {
    let Some(value) = store.digests.get(number_key(number))? else { return Ok(None) };
    let read = value.split_first_chunk().map(|(digest, rest)| {
        let names = rest.split_first().map(|(_, names)| names.to_vec());
        (*digest, names)
    });
    Ok(read)
}
