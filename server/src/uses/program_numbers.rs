//! Numbers of programs: those seen lately from memory, the others from disk, new ones given.
//!
//! A new program is on disk before a count that names it: [`ProgramNumbers::write`] comes first.
//! One that was written and then not counted, because of a crash, is found again by its digest when
//! its events come again.

use super::{
    ProgramNumber,
    hash_key::{HashKey, HashKeys},
    program::UseEvent,
};
use crate::{
    database::{UsesStore, number},
    registry::LruMap,
};
use anyhow::Result;
use ogrt_note::Signature;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Programs in one generation of those remembered: as many as fit into a table of 2^17 slots, 3.3
/// MB.
const RECENT: usize = (1 << 17) / 8 * 7;

/// New programs that wait to be written together, by number and by bytes.
const FRESH_MAX: usize = 1000;
const FRESH_BYTES_MAX: usize = 1 << 20;

/// See the module.
pub struct ProgramNumbers {
    recent: LruMap<HashKey, ProgramNumber>,
    keys: HashKeys,
    fresh: HashMap<[u8; 16], NewProgram>,
    fresh_bytes: usize,
    /// Programs on disk and fresh, and the number of the next; read when first needed.
    numbers: Option<(u64, ProgramNumber)>,
}

struct NewProgram {
    number: ProgramNumber,
    bytes: Box<[u8]>,
    signatures: Vec<(Signature, bool)>,
}

impl Default for ProgramNumbers {
    fn default() -> Self {
        ProgramNumbers {
            recent: LruMap::new(RECENT),
            keys: HashKeys::default(),
            fresh: HashMap::new(),
            fresh_bytes: 0,
            numbers: None,
        }
    }
}

impl ProgramNumbers {
    /// The number of the event's program; `None` when there are too many to take another.
    pub fn number(
        &mut self,
        store: &UsesStore,
        event: &UseEvent<'_>,
        programs_max: u64,
    ) -> Result<Option<ProgramNumber>> {
        let key = self.keys.of(|bytes| event.write_program(bytes));
        if let Some(program) = self.recent.get(&key) {
            return Ok(Some(*program));
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(self.keys.bytes())[..16]);
        let known = match self.fresh.get(&digest) {
            Some(fresh) => Some(fresh.number),
            None => store.program_numbers.get(digest)?.map(|known| number(&known)),
        };
        let program = match known {
            Some(known) => known,
            None => match self.add(store, digest, event, programs_max)? {
                Some(fresh) => fresh,
                None => return Ok(None),
            },
        };
        self.recent.insert(key, program);
        Ok(Some(program))
    }

    fn add(
        &mut self,
        store: &UsesStore,
        digest: [u8; 16],
        event: &UseEvent<'_>,
        programs_max: u64,
    ) -> Result<Option<ProgramNumber>> {
        if self.fresh.len() >= FRESH_MAX || self.fresh_bytes >= FRESH_BYTES_MAX {
            self.write(store)?;
        }
        let (programs, next) = match self.numbers {
            Some(numbers) => numbers,
            None => (store.program_count.get()?, store.next_program.get()?),
        };
        if programs >= programs_max {
            return Ok(None);
        }
        self.numbers = Some((programs + 1, next + 1));
        let executable = event.executable.iter().map(|signature| (*signature, true));
        let signatures = executable.chain(event.libraries.iter().map(|signature| (*signature, false)));
        let fresh =
            NewProgram { number: next, bytes: self.keys.bytes().into(), signatures: signatures.collect() };
        self.fresh_bytes += fresh.bytes.len();
        self.fresh.insert(digest, fresh);
        Ok(Some(next))
    }

    /// Writes the new ones.
    pub fn write(&mut self, store: &UsesStore) -> Result<()> {
        let Some((programs, next)) = self.numbers else { return Ok(()) };
        let mut writes = store.database.writes();
        for (digest, fresh) in &self.fresh {
            let program = fresh.number;
            writes.insert(&store.program_numbers, *digest, program.to_be_bytes());
            writes.insert(&store.programs, program.to_be_bytes(), fresh.bytes.as_ref());
            for (signature, is_program) in &fresh.signatures {
                let key = [&signature.as_bytes()[..], &program.to_be_bytes()].concat();
                writes.insert(&store.programs_with, key, [u8::from(*is_program)]);
            }
        }
        writes.set(&store.program_count, programs);
        writes.set(&store.next_program, next);
        writes.commit()?;
        self.fresh.clear();
        self.fresh_bytes = 0;
        self.numbers = None;
        Ok(())
    }

    /// Forgets all, because some were removed from the disk, or were never written.
    pub fn forget(&mut self) {
        *self = ProgramNumbers::default();
    }
}
