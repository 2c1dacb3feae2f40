//! Sketches of learned files, and of programs that ran: each build-id once.
//!
//! ```text
//! sketches      's' length of the build-id, build-id -> number, sketch: of a learned file
//!               's' 0, path                          -> the same, where there is no build-id
//!               'n' number                           -> length of the build-id, build-id, path
//!               'o' length of the build-id, build-id -> sketch: of a program that ran
//! sketch_index  kind of evidence, hash, place        -> nothing
//! ```
//!
//! The index has the smallest hashes of each learned file. Two files that share a third of all
//! share a third of those, so they meet there. A hash that many files have is looked at for some of
//! them only. So its place is the file's number, shuffled: another hash shows others of them.

use super::file::{LearnedFile, entry_key};
use crate::{
    database::{LearnedStore, Writes},
    registry::RegistryError,
};
use ogrt_sketch::{Evidence, Hash, Sketch};
use std::collections::{BTreeMap, HashMap};

/// Most sketches of learned files, and of programs that ran: 400 MB of disk each.
const SKETCHES_MAX: u64 = 200_000;

/// The smallest hashes of each kind that are in the index.
const INDEXED: usize = 32;

/// Files that are looked at for one hash, and those that are compared.
const LOOKED_AT_MAX: usize = 100;
const COMPARED_MAX: usize = 100;

const SKETCH: u8 = b's';
const NUMBER: u8 = b'n';
const OBSERVED: u8 = b'o';

type Result<T> = std::result::Result<T, RegistryError>;

/// See the module.
pub struct SketchTable {
    pub store: LearnedStore,
}

/// The sketches of one write.
#[derive(Default)]
pub struct SketchWrites {
    /// What was written: key -> sketch.
    written: HashMap<Vec<u8>, Sketch>,
    count: Option<u64>,
}

/// A learned file that may resemble another.
pub struct Candidate {
    pub build_id: Vec<u8>,
    pub path: Vec<u8>,
    pub sketch: Sketch,
}

impl SketchTable {
    /// The file brings a sketch that is not known, or another one where it may.
    pub fn is_new(&self, file: &LearnedFile) -> Result<bool> {
        let Some(sketch) = &file.sketch else { return Ok(false) };
        Ok(match self.get(&sketch_key(SKETCH, &file.build_id, &file.path))? {
            None => self.store.sketch_count.get()? < SKETCHES_MAX,
            Some((_, known)) => file.build_id.is_empty() && known != *sketch,
        })
    }

    /// Adds a file's sketch to a write. The first one of a build-id stands. A path without a
    /// build-id may have another file.
    pub fn put(&self, file: &LearnedFile, earlier: &mut SketchWrites, writes: &mut Writes) -> Result<()> {
        let Some(sketch) = &file.sketch else { return Ok(()) };
        let key = sketch_key(SKETCH, &file.build_id, &file.path);
        if earlier.written.contains_key(&key) {
            return Ok(());
        }
        let store = &self.store;
        let number = match self.get(&key)? {
            Some((_, known)) if known == *sketch || !file.build_id.is_empty() => return Ok(()),
            Some((number, known)) => {
                index_keys(&known, number).for_each(|key| writes.remove(&store.sketch_index, key));
                number
            }
            None => {
                let number = earlier.count.map_or_else(|| store.sketch_count.get(), Ok)?;
                if number >= SKETCHES_MAX {
                    return Ok(());
                }
                earlier.count = Some(number + 1);
                writes.set(&store.sketch_count, number + 1);
                u32::try_from(number).unwrap_or(u32::MAX)
            }
        };
        index_keys(sketch, number).for_each(|key| writes.insert(&store.sketch_index, key, []));
        let entry = entry_key(&file.build_id, &file.path);
        writes.insert(&store.sketches, [&[NUMBER], &number.to_be_bytes()[..]].concat(), entry);
        let value = [&number.to_be_bytes()[..], &sketch.encode()].concat();
        writes.insert(&store.sketches, key.clone(), value);
        earlier.written.insert(key, sketch.clone());
        Ok(())
    }

    /// The number and the sketch of a learned file.
    fn get(&self, key: &[u8]) -> Result<Option<(u32, Sketch)>> {
        let Some(value) = self.store.sketches.get(key)? else { return Ok(None) };
        let read =
            value.split_first_chunk::<4>().map(|(number, sketch)| (u32::from_be_bytes(*number), sketch));
        let read = read.and_then(|(number, sketch)| Some((number, Sketch::decode(sketch)?)));
        read.map(Some).ok_or_else(|| RegistryError::damaged("a sketch", "it is cut"))
    }

    /// The learned files that share most of the smallest hashes, each hash counting the less the
    /// more files have it.
    pub fn candidates(&self, sketch: &Sketch) -> Result<Vec<Candidate>> {
        let mut shared: BTreeMap<u32, f64> = BTreeMap::new();
        for (kind, hash) in indexed(sketch) {
            let mut numbers = Vec::new();
            for key in self.store.sketch_index.prefix(index_key(kind, hash)).take(LOOKED_AT_MAX) {
                let key = key.key()?;
                numbers
                    .extend(key.last_chunk::<4>().map(|place| number_at(u32::from_be_bytes(*place), hash)));
            }
            let weight = 1.0 / numbers.len().max(1) as f64;
            numbers.into_iter().for_each(|number| *shared.entry(number).or_default() += weight);
        }
        let mut shared: Vec<(u32, f64)> = shared.into_iter().collect();
        shared.sort_by(|left, right| right.1.total_cmp(&left.1));
        let numbers = shared.into_iter().take(COMPARED_MAX).map(|(number, _)| number);
        numbers.filter_map(|number| self.candidate(number).transpose()).collect()
    }

    fn candidate(&self, number: u32) -> Result<Option<Candidate>> {
        let entry = self.store.sketches.get([&[NUMBER], &number.to_be_bytes()[..]].concat())?;
        let Some((build_id, path)) = entry.as_deref().and_then(super::file::read_key) else {
            return Ok(None);
        };
        let sketch = self.get(&sketch_key(SKETCH, build_id, path))?;
        let candidate = |(_, sketch)| Candidate { build_id: build_id.to_vec(), path: path.to_vec(), sketch };
        Ok(sketch.map(candidate))
    }

    /// The sketch of a program that ran.
    pub fn of_program(&self, build_id: &[u8]) -> Result<Option<Sketch>> {
        if build_id.is_empty() {
            return Ok(None);
        }
        let observed = self.store.sketches.get(sketch_key(OBSERVED, build_id, &[]))?;
        Ok(observed.and_then(|bytes| Sketch::decode(&bytes)))
    }

    /// Keeps sketches of programs that ran, by their build-ids; durable when this returns. Returns
    /// how many of them are new. The first one of a build-id stands.
    pub fn observe(&self, programs: &[(Vec<u8>, Sketch)]) -> Result<usize> {
        let store = &self.store;
        let mut fresh = BTreeMap::new();
        for (build_id, sketch) in programs {
            let key = sketch_key(OBSERVED, build_id, &[]);
            if !store.sketches.contains_key(&key)? {
                fresh.entry(key).or_insert(sketch);
            }
        }
        let count = store.observed_count.get()?;
        let room = usize::try_from(SKETCHES_MAX.saturating_sub(count)).unwrap_or(0);
        let taken = fresh.len().min(room);
        let mut writes = store.database.writes();
        for (key, sketch) in fresh.into_iter().take(room) {
            writes.insert(&store.sketches, key, sketch.encode());
        }
        writes.set(&store.observed_count, count + taken as u64);
        writes.commit()?;
        store.database.sync()?;
        Ok(taken)
    }
}

/// A build-id names a file wherever it lies.
fn sketch_key(tag: u8, build_id: &[u8], path: &[u8]) -> Vec<u8> {
    let path = if build_id.is_empty() { path } else { &[] };
    [&[tag], &entry_key(build_id, path)[..]].concat()
}

/// The hashes that are in the index.
fn indexed(sketch: &Sketch) -> impl Iterator<Item = (Evidence, Hash)> {
    Evidence::ALL.into_iter().flat_map(|kind| {
        let hashes = sketch.minima(kind).hashes();
        hashes.iter().take(INDEXED).map(move |hash| (kind, *hash))
    })
}

fn index_keys(sketch: &Sketch, number: u32) -> impl Iterator<Item = Vec<u8>> {
    indexed(sketch)
        .map(move |(kind, hash)| [&index_key(kind, hash)[..], &place_of(number, hash).to_be_bytes()].concat())
}

fn index_key(kind: Evidence, hash: Hash) -> [u8; 5] {
    let [a, b, c, d] = hash.to_be_bytes();
    [kind as u8, a, b, c, d]
}

/// The place of a file among those with a hash.
fn place_of(number: u32, hash: Hash) -> u32 {
    number.reverse_bits() ^ hash.rotate_left(16)
}

fn number_at(place: u32, hash: Hash) -> u32 {
    (place ^ hash.rotate_left(16)).reverse_bits()
}
