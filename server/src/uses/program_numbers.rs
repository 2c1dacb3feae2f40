//! Numbers of programs: those seen lately from memory, the others from disk, new ones given.
//!
//! A new program is on disk before a count that names it: [`ProgramNumbers::write`] comes first.
//! One that was written and then not counted, because of a crash, is found again by its digest when
//! its events come again.

use super::{
    ProgramNumber, Uses,
    forgotten::Forgotten,
    gone_programs::GonePrograms,
    hash_key::{HashKey, HashKeys},
    object_names::ObjectNumber,
    objects::{self, ObjectNumbers},
    program::{Program, UseEvent},
    rows::Whole,
    shares::{Owner, UseShares},
};
use crate::{
    database::{UsesStore, Writes, number},
    fair_shares::ShareHolder,
    registry::LruMap,
    start_digest::{self, StartDigest},
};
use anyhow::Result;
use ogrt_note::Signature;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Programs in one generation of those remembered: as many as fit into a table of 2^17 slots, 3.3
/// MB.
const RECENT: usize = (1 << 17) / 8 * 7;

/// The same of digests of starts.
const RECENT_STARTS: usize = (1 << 14) / 8 * 7;

/// Most digests of one program: its objects in so many orders.
const STARTS_MAX: usize = 8;

/// New programs that wait to be written together, by number and by bytes.
const FRESH_MAX: usize = 1000;
const FRESH_BYTES_MAX: usize = 1 << 20;
const FRESH_OBJECTS_MAX: usize = 8192;

/// See the module.
pub struct ProgramNumbers {
    recent: LruMap<HashKey, ProgramNumber>,
    keys: HashKeys,
    objects: ObjectNumbers,
    fresh: HashMap<[u8; 16], NewProgram>,
    fresh_bytes: usize,
    /// Digests of starts, and the program of each; those that are not on disk.
    starts: LruMap<StartDigest, ProgramNumber>,
    fresh_starts: HashMap<StartDigest, ProgramNumber>,
    /// Programs that were not counted.
    forgotten: Forgotten,
    /// Programs on disk and fresh, and the number of the next; read when first needed.
    numbers: Option<(u64, ProgramNumber)>,
    /// What was removed, where counts are made again.
    gone: Option<GonePrograms>,
}

struct NewProgram {
    number: ProgramNumber,
    bytes: Vec<u8>,
    signatures: Vec<(Signature, bool)>,
    objects: Vec<ObjectNumber>,
    owner: Owner,
}

impl Default for ProgramNumbers {
    fn default() -> Self {
        ProgramNumbers {
            recent: LruMap::new(RECENT),
            keys: HashKeys::default(),
            objects: ObjectNumbers::default(),
            fresh: HashMap::new(),
            fresh_bytes: 0,
            starts: LruMap::new(RECENT_STARTS),
            fresh_starts: HashMap::new(),
            forgotten: Forgotten::default(),
            numbers: None,
            gone: None,
        }
    }
}

impl ProgramNumbers {
    /// Numbers for counts that are made again, with those of programs that were removed since.
    pub fn again(gone: GonePrograms) -> Self {
        ProgramNumbers { gone: Some(gone), ..ProgramNumbers::default() }
    }

    /// The number of the event's program; `None` when there are too many to take another one of
    /// this sender.
    pub fn number(
        &mut self,
        uses: &Uses,
        event: &UseEvent<'_>,
        sender: &ShareHolder,
        shares: &mut UseShares,
    ) -> Result<Option<ProgramNumber>> {
        let key = self.keys.of(|bytes| event.write_raw(bytes));
        if let Some(program) = self.recent.get(&key) {
            return Ok(Some(*program));
        }
        if let Some(program) = self.gone_program(uses, event)? {
            self.recent.insert(key, program);
            return Ok(Some(program));
        }
        let is_full = self.fresh.len() >= FRESH_MAX || self.fresh_bytes >= FRESH_BYTES_MAX;
        let is_full = is_full || self.fresh_starts.len() >= FRESH_MAX;
        let is_full = is_full || self.objects.fresh() >= FRESH_OBJECTS_MAX;
        // Nobody is over its share by what is on disk, and yet there are too many.
        let there = self.numbers.map_or(0, |(programs, _)| programs);
        let is_late = there >= shares.programs.soft_max() && !shares.programs.is_limited();
        let is_trial = self.gone.as_ref().is_some_and(|gone| gone.is_trial);
        if !is_trial && (is_full || is_late || self.forgotten.len() >= FRESH_MAX) {
            self.write(uses, shares)?;
        }
        let store = &uses.store;
        let (programs, next) = match self.numbers {
            Some(numbers) => numbers,
            None => (store.program_count.get()?, store.next_program.get()?),
        };
        let holder = shares.programs.holder(sender.clone());
        let has_room = shares.programs.has_room(&holder, programs);
        let (mut program, names) = event.program();
        let mut missing = Vec::new();
        for name in &names {
            let new = has_room.then_some((&mut shares.objects, sender));
            match self.objects.number(store, name, new)? {
                Some(object) => program.objects.push(object),
                None => missing.push(name),
            }
        }
        missing.iter().for_each(|name| self.forgotten.add_file(name, event.time_ns));
        if has_room && !missing.is_empty() {
            self.forgotten.add_sender(holder.clone(), event.time_ns, shares.objects.has_share(sender));
        }
        // What nobody had is no known program's.
        if !has_room && !missing.is_empty() {
            return Ok(self.refuse(&program, event, holder, shares));
        }
        program.objects.sort_unstable();
        let bytes = program.bytes();
        let digest = program_digest(&bytes);
        let known = match self.fresh.get(&digest) {
            Some(fresh) => Some(fresh.number),
            None => store.program_numbers.get(digest)?.map(|known| number(&known)),
        };
        let found = match known {
            Some(known) => known,
            None if !has_room => return Ok(self.refuse(&program, event, holder, shares)),
            None => {
                self.numbers = Some((programs + 1, next + 1));
                let of_executable = program.executable.iter().map(|signature| (*signature, true));
                let of_libraries = program.libraries.iter().map(|signature| (*signature, false));
                let signatures = of_executable.chain(of_libraries).collect();
                self.fresh_bytes += bytes.len() + 8 * program.objects.len();
                shares.programs.add_fresh(holder.clone());
                let (objects, owner) = (program.objects, Owner::One(holder));
                self.fresh.insert(digest, NewProgram { number: next, bytes, signatures, objects, owner });
                next
            }
        };
        if let Some(start) = event.whole_start {
            self.know_start(uses, start_digest::of_program(start), found)?;
        }
        self.recent.insert(key, found);
        Ok(Some(found))
    }

    /// The number that the event's program had, if it was removed.
    fn gone_program(&mut self, uses: &Uses, event: &UseEvent<'_>) -> Result<Option<ProgramNumber>> {
        if self.gone.as_ref().is_none_or(GonePrograms::is_empty) {
            return Ok(None);
        }
        let (mut program, names) = event.program();
        for name in &names {
            program.objects.extend(self.objects.number(&uses.store, name, None)?);
        }
        program.objects.sort_unstable();
        let is_there = program.objects.len() == names.len()
            && uses.store.program_numbers.contains_key(program_digest(&program.bytes()))?;
        let Some(gone) = self.gone.as_mut().filter(|_| !is_there) else { return Ok(None) };
        Ok(gone.find(program, event.whole_start))
    }

    /// The program of the start with this digest.
    pub fn of_start(&mut self, uses: &Uses, digest: &StartDigest) -> Result<Option<ProgramNumber>> {
        if let Some(program) = self.gone.as_ref().and_then(|gone| gone.of_start(digest)) {
            return Ok(Some(program));
        }
        if let Some(program) = self.fresh_starts.get(digest).or_else(|| self.starts.get(digest)) {
            return Ok(Some(*program));
        }
        let known = of_start(&uses.store, digest)?;
        if let Some(known) = known {
            self.starts.insert(*digest, known);
        }
        Ok(known)
    }

    /// Remembers which program a start with this digest is of.
    fn know_start(&mut self, uses: &Uses, digest: StartDigest, program: ProgramNumber) -> Result<()> {
        if self.of_start(uses, &digest)?.is_none() {
            let on_disk = uses.store.program_starts.prefix(program.to_be_bytes()).count();
            let fresh = self.fresh_starts.values().filter(|fresh| **fresh == program).count();
            if on_disk + fresh < STARTS_MAX {
                self.fresh_starts.insert(digest, program);
            }
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        program: &Program,
        event: &UseEvent<'_>,
        holder: ShareHolder,
        shares: &UseShares,
    ) -> Option<ProgramNumber> {
        let is_over = shares.programs.has_share(&holder);
        self.forgotten.add_sender(holder, event.time_ns, is_over);
        self.forgotten.add(program.signatures().copied(), &program.objects, event.time_ns);
        None
    }

    /// Writes the new ones.
    pub fn write(&mut self, uses: &Uses, shares: &mut UseShares) -> Result<()> {
        let store = &uses.store;
        let mut writes = store.database.writes();
        self.objects.put(store, &mut writes);
        for (digest, fresh) in &self.fresh {
            let program = fresh.number;
            writes.insert(&store.program_numbers, *digest, program.to_be_bytes());
            writes.insert(&store.programs, program.to_be_bytes(), &fresh.bytes[..]);
            writes.insert(
                &store.rows,
                program.to_be_bytes(),
                Whole { owner: fresh.owner.clone(), ..Whole::default() }.value(),
            );
            for (signature, is_program) in &fresh.signatures {
                let key = [&signature.as_bytes()[..], &program.to_be_bytes()].concat();
                writes.insert(&store.programs_with, key, [u8::from(*is_program)]);
            }
            objects::put_program(store, program, &fresh.objects, &mut writes);
        }
        for (digest, program) in &self.fresh_starts {
            writes.insert(&store.program_starts, *digest, program.to_be_bytes());
            writes.insert(&store.program_starts, [&program.to_be_bytes()[..], digest].concat(), []);
        }
        if let Some((programs, next)) = self.numbers {
            writes.set(&store.program_count, programs);
            writes.set(&store.next_program, next);
        }
        self.forgotten.put(uses, &mut shares.forgotten, &mut writes)?;
        let new = [&shares.programs, &shares.objects].map(|kept| {
            let changes = kept.fresh();
            kept.put(store, &changes, &mut writes);
            changes
        });
        if !writes.is_empty() {
            writes.commit()?;
        }
        for (kept, changes) in [&mut shares.programs, &mut shares.objects].into_iter().zip(new) {
            kept.apply(changes);
            kept.forget_fresh();
            kept.look();
        }
        for (holder, over) in self.forgotten.over() {
            uses.metrics.sender_over("uses.programs_max", holder, over);
        }
        self.forgotten = Forgotten::default();
        self.objects.written();
        self.fresh.clear();
        self.fresh_bytes = 0;
        for (digest, program) in self.fresh_starts.drain() {
            self.starts.insert(digest, program);
        }
        self.numbers = None;
        Ok(())
    }

    /// Forgets all, because some were removed from the disk, or were never written.
    pub fn forget(&mut self, shares: &mut UseShares) {
        shares.programs.forget_fresh();
        shares.objects.forget_fresh();
        *self = ProgramNumbers::default();
    }
}

/// The digest that a program with these bytes is found by.
fn program_digest(bytes: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
    digest
}

/// The program of the start with this digest, on disk.
pub fn of_start(store: &UsesStore, digest: &StartDigest) -> fjall::Result<Option<ProgramNumber>> {
    Ok(store.program_starts.get(digest)?.map(|known| number(&known)))
}

/// Forgets the starts of a program, in these writes.
pub fn remove_starts(store: &UsesStore, program: ProgramNumber, writes: &mut Writes) -> fjall::Result<()> {
    for entry in store.program_starts.prefix(program.to_be_bytes()) {
        let key = entry.key()?;
        // Another digest may begin with the bytes of the number.
        if let Some(digest) = key.get(8..).filter(|digest| digest.len() == 16) {
            writes.remove(&store.program_starts, digest);
            writes.remove(&store.program_starts, key);
        }
    }
    Ok(())
}
