//! The keys of a dictionary that may change while it is read.
//!
//! The table is read, then its keys, then the table again. If it is the same, the keys are those
//! that it had. If it is not, this is tried again. Where it never is, a key counts that stood at
//! the same place before and after, and was the same text twice. Its hash must belong to its place
//! in any case. So a name is never made of a text that was freed meanwhile
//! (`a_text_that_was_freed_is_never_a_name`,
//! `names_are_never_wrong_while_threads_import_and_delete`).

use super::{
    layout::{Layout, TableForm},
    memory::{Obstacle, Reader, at, int, long},
    text::{Key, Types},
};
use std::collections::BTreeSet;

/// Modules of one interpreter that are read.
const KEYS_MAX: usize = 16_384;

/// Entries of a table, deleted ones among them, and its size: a table is at least half as large
/// again as its keys, and grows by up to three.
const ENTRIES_MAX: u64 = 65_536;
const TABLE_SIZE_MAX: u64 = 131_072;

/// How often a changing dictionary is read.
const ATTEMPTS: usize = 4;

/// Steps of the search for a key in its table. Two of three places are taken at most, so that real
/// searches end after a few.
const STEPS_MAX: usize = 128;

/// The names of a dictionary's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyNames {
    pub names: BTreeSet<String>,
    /// False, if there may be more.
    pub is_complete: bool,
}

/// The keys of the dictionary at the address.
pub fn key_names(
    reader: &Reader,
    layout: &Layout,
    types: &mut Types,
    dictionary: u64,
) -> Result<KeyNames, Obstacle> {
    if !types.is_named(reader.field(dictionary, layout.kind())?, "dict")? {
        return Err(Obstacle::Nonsense);
    }
    let mut last = Err(Obstacle::Nonsense);
    for _ in 0..ATTEMPTS {
        match attempt(reader, layout, types, dictionary) {
            Ok(found) if found.is_complete => return Ok(found),
            // What a changing dictionary could be read of stays, if nothing better comes.
            Err(Obstacle::Bound) => return last.or(Err(Obstacle::Bound)),
            Err(obstacle) if last.is_err() => last = Err(obstacle),
            Err(_) => {}
            found => last = found,
        }
    }
    last
}

fn attempt(
    reader: &Reader,
    layout: &Layout,
    types: &mut Types,
    dictionary: u64,
) -> Result<KeyNames, Obstacle> {
    let before = Table::read(reader, layout, dictionary)?;
    let keys = types.keys(&before.addresses())?;
    let after = Table::read(reader, layout, dictionary)?;
    let is_same = before == after;
    let again = if is_same { Vec::new() } else { types.keys(&after.addresses())? };
    let stays = |entry: &Entry, key: &Result<Key, Obstacle>| {
        is_same || after.entries.binary_search(entry).is_ok_and(|place| again.get(place) == Some(key))
    };
    let mut found = KeyNames { names: BTreeSet::new(), is_complete: is_same && before.is_whole() };
    for (entry, key) in before.entries.iter().zip(keys) {
        match &key {
            Ok(Key::Text(text)) if before.leads_to(entry, text.hash) && stays(entry, &key) => {
                found.names.insert(text.name.clone());
            }
            Ok(Key::Other) => {}
            Ok(Key::Text(_)) | Err(_) => found.is_complete = false,
        }
    }
    Ok(found)
}

/// What was read of a dictionary's table.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    /// Keys that the dictionary says it has.
    used: u64,
    /// The number that each change of a dictionary makes new (3.6 to 3.13).
    change: u64,
    address: u64,
    size: u64,
    entries: Vec<Entry>,
    /// The entry of each hash, for entries without a hash of their own.
    indices: Vec<u8>,
}

/// A key in a table.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    index: usize,
    key: u64,
    hash: Option<i64>,
}

impl Table {
    fn read(reader: &Reader, layout: &Layout, dictionary: u64) -> Result<Self, Obstacle> {
        let fields: [u8; 32] = reader.array(at(dictionary, layout.object_head)?)?;
        let field = |index: usize| long(&fields, index * 8);
        let table = match layout.table {
            TableForm::Open => Self::read_open(reader, field(1)?, field(2)?, field(3)?)?,
            // Values elsewhere: the dictionary of an object, never that of the modules.
            _ if field(3)? != 0 => return Err(Obstacle::Nonsense),
            TableForm::Compact => Self::read_compact(reader, field(0)?, field(1)?, field(2)?)?,
            TableForm::CompactByKind => Self::read_by_kind(reader, field(0)?, field(1)?, field(2)?)?,
        };
        if table.entries.len() > KEYS_MAX { Err(Obstacle::Bound) } else { Ok(table) }
    }

    fn read_open(reader: &Reader, used: u64, mask: u64, address: u64) -> Result<Self, Obstacle> {
        let size = table_size(at(mask, 1)?)?;
        let entries = Entries::read(reader, address, size, true)?;
        Ok(Table { used, change: 0, address, size, entries: entries.all(), indices: Vec::new() })
    }

    fn read_compact(reader: &Reader, used: u64, change: u64, address: u64) -> Result<Self, Obstacle> {
        let head: [u8; 40] = reader.array(address)?;
        let (size, count) = (long(&head, 8)?, long(&head, 32)?);
        let mut table = Table { used, change, address, size, entries: Vec::new(), indices: Vec::new() };
        if count > 0 {
            let list = at(address, 40 + table_size(size)? * index_bytes(size))?;
            table.entries = Entries::read(reader, list, count, true)?.all();
        }
        Ok(table)
    }

    fn read_by_kind(reader: &Reader, used: u64, change: u64, address: u64) -> Result<Self, Obstacle> {
        let head: [u8; 32] = reader.array(address)?;
        let [log2_size, log2_index_bytes, kind, ..] = int(&head, 8)?.to_le_bytes();
        let count = long(&head, 24)?;
        let size = table_size(1_u64.checked_shl(log2_size.into()).unwrap_or(0))?;
        let mut table = Table { used, change, address, size, entries: Vec::new(), indices: Vec::new() };
        if count == 0 {
            return Ok(table);
        }
        let has_hashes = match kind {
            0 => true,
            1 => false,
            _ => return Err(Obstacle::Nonsense),
        };
        let index_list = size * index_bytes(size);
        if 1_u64.checked_shl(log2_index_bytes.into()) != Some(index_list) {
            return Err(Obstacle::Nonsense);
        }
        let indices = at(address, 32)?;
        if !has_hashes {
            table.indices = reader.list(indices, place(index_list)?)?;
        }
        table.entries = Entries::read(reader, at(indices, index_list)?, count, has_hashes)?.all();
        Ok(table)
    }

    /// The addresses of the keys.
    fn addresses(&self) -> Vec<u64> {
        self.entries.iter().map(|entry| entry.key).collect()
    }

    /// True, if there are as many keys as the dictionary says.
    fn is_whole(&self) -> bool {
        self.used == self.entries.len() as u64
    }

    /// True, if a text with this hash belongs to the entry.
    fn leads_to(&self, entry: &Entry, hash: i64) -> bool {
        if let Some(own) = entry.hash {
            return own == hash;
        }
        let mask = self.size.wrapping_sub(1);
        let mut perturbation = hash.cast_unsigned();
        let mut slot = perturbation & mask;
        for _ in 0..STEPS_MAX {
            match self.index(slot) {
                Some(index) if index == entry.index as i64 => return true,
                // Never used: the search ends.
                None | Some(-1) => return false,
                Some(_) => {}
            }
            perturbation >>= 5;
            slot = slot.wrapping_mul(5).wrapping_add(perturbation).wrapping_add(1) & mask;
        }
        false
    }

    fn index(&self, slot: u64) -> Option<i64> {
        let width = place(index_bytes(self.size)).ok()?;
        let at = place(slot).ok()?.checked_mul(width)?;
        let bytes = self.indices.get(at..)?.get(..width)?;
        Some(match *bytes {
            [one] => one.cast_signed().into(),
            [one, two] => i16::from_le_bytes([one, two]).into(),
            [one, two, three, four] => i32::from_le_bytes([one, two, three, four]).into(),
            _ => return None,
        })
    }
}

/// The list of a table's entries, as it stands in memory.
struct Entries {
    bytes: Vec<u8>,
    /// Hash, key and value; or key and value.
    has_hashes: bool,
}

impl Entries {
    fn read(reader: &Reader, address: u64, count: u64, has_hashes: bool) -> Result<Self, Obstacle> {
        if count > ENTRIES_MAX {
            return Err(Obstacle::Bound);
        }
        let entry_bytes = if has_hashes { 24 } else { 16 };
        Ok(Entries { bytes: reader.list(address, place(count * entry_bytes)?)?, has_hashes })
    }

    /// The entries that are in use: those with a key and a value.
    fn all(&self) -> Vec<Entry> {
        let (words, hashes) = if self.has_hashes { (3, 1) } else { (2, 0) };
        let entry = |(index, bytes): (usize, &[u8])| {
            let word = |place: usize| long(bytes, place * 8).ok();
            let (key, value) = (word(hashes)?, word(hashes + 1)?);
            let hash = if self.has_hashes { Some(word(0)?.cast_signed()) } else { None };
            (key != 0 && value != 0).then_some(Entry { index, key, hash })
        };
        self.bytes.chunks_exact(words * 8).enumerate().filter_map(entry).collect()
    }
}

/// The bytes of an index in a table of this size.
fn index_bytes(size: u64) -> u64 {
    match size {
        ..=255 => 1,
        256..=65_535 => 2,
        _ => 4,
    }
}

fn table_size(size: u64) -> Result<u64, Obstacle> {
    match size {
        _ if !size.is_power_of_two() => Err(Obstacle::Nonsense),
        ..=TABLE_SIZE_MAX => Ok(size),
        _ => Err(Obstacle::Bound),
    }
}

fn place(offset: u64) -> Result<usize, Obstacle> {
    usize::try_from(offset).map_err(|_| Obstacle::Nonsense)
}
