//! Numbers of programs: those seen lately from memory, the others from disk, new ones given.
//!
//! A new program is on disk before a count that names it: [`ProgramNumbers::write`] comes first.
//! One that was written and then not counted, because of a crash, is found again by its digest when
//! its events come again.

use super::{
    ProgramNumber,
    hash_key::{HashKey, HashKeys},
    objects::{self, ObjectNumber, ObjectNumbers},
    program::UseEvent,
    rows::Whole,
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
const FRESH_OBJECTS_MAX: usize = 8192;

/// Objects for each program that there may be.
const OBJECTS_FOR_EACH: u64 = 4;

/// See the module.
pub struct ProgramNumbers {
    recent: LruMap<HashKey, ProgramNumber>,
    keys: HashKeys,
    objects: ObjectNumbers,
    /// Objects that were left out of programs, because there are too many.
    objects_dropped: u64,
    fresh: HashMap<[u8; 16], NewProgram>,
    fresh_bytes: usize,
    /// Programs on disk and fresh, and the number of the next; read when first needed.
    numbers: Option<(u64, ProgramNumber)>,
}

struct NewProgram {
    number: ProgramNumber,
    bytes: Vec<u8>,
    signatures: Vec<(Signature, bool)>,
    objects: Vec<ObjectNumber>,
}

impl Default for ProgramNumbers {
    fn default() -> Self {
        ProgramNumbers {
            recent: LruMap::new(RECENT),
            keys: HashKeys::default(),
            objects: ObjectNumbers::default(),
            objects_dropped: 0,
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
        let key = self.keys.of(|bytes| event.write_raw(bytes));
        if let Some(program) = self.recent.get(&key) {
            return Ok(Some(*program));
        }
        let is_full = self.fresh.len() >= FRESH_MAX || self.fresh_bytes >= FRESH_BYTES_MAX;
        if is_full || self.objects.fresh() >= FRESH_OBJECTS_MAX {
            self.write(store)?;
        }
        let (programs, next) = match self.numbers {
            Some(numbers) => numbers,
            None => (store.program_count.get()?, store.next_program.get()?),
        };
        let has_room = programs < programs_max;
        let (mut program, names) = event.program();
        for name in &names {
            let objects_max = if has_room { programs_max.saturating_mul(OBJECTS_FOR_EACH) } else { 0 };
            match self.objects.number(store, name, objects_max)? {
                Some(object) => program.objects.push(object),
                // What nobody had is no known program's.
                None if !has_room => return Ok(None),
                None => self.objects_dropped += 1,
            }
        }
        program.objects.sort_unstable();
        let bytes = program.bytes();
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(&bytes)[..16]);
        let known = match self.fresh.get(&digest) {
            Some(fresh) => Some(fresh.number),
            None => store.program_numbers.get(digest)?.map(|known| number(&known)),
        };
        let found = match known {
            Some(known) => known,
            None if !has_room => return Ok(None),
            None => {
                self.numbers = Some((programs + 1, next + 1));
                let of_executable = program.executable.iter().map(|signature| (*signature, true));
                let of_libraries = program.libraries.iter().map(|signature| (*signature, false));
                let signatures = of_executable.chain(of_libraries).collect();
                self.fresh_bytes += bytes.len() + 8 * program.objects.len();
                self.fresh
                    .insert(digest, NewProgram { number: next, bytes, signatures, objects: program.objects });
                next
            }
        };
        self.recent.insert(key, found);
        Ok(Some(found))
    }

    /// Writes the new ones.
    pub fn write(&mut self, store: &UsesStore) -> Result<()> {
        let mut writes = store.database.writes();
        self.objects.put(store, &mut writes);
        for (digest, fresh) in &self.fresh {
            let program = fresh.number;
            writes.insert(&store.program_numbers, *digest, program.to_be_bytes());
            writes.insert(&store.programs, program.to_be_bytes(), &fresh.bytes[..]);
            writes.insert(&store.rows, program.to_be_bytes(), Whole::default().value());
            for (signature, is_program) in &fresh.signatures {
                let key = [&signature.as_bytes()[..], &program.to_be_bytes()].concat();
                writes.insert(&store.programs_with, key, [u8::from(*is_program)]);
            }
            objects::put_program(store, program, &fresh.objects, &mut writes);
        }
        if let Some((programs, next)) = self.numbers {
            writes.set(&store.program_count, programs);
            writes.set(&store.next_program, next);
        }
        if self.objects_dropped > 0 {
            writes.set(&store.objects_dropped, store.objects_dropped.get()? + self.objects_dropped);
        }
        if !writes.is_empty() {
            writes.commit()?;
        }
        self.objects.written();
        self.objects_dropped = 0;
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
