//! Ascending lists of numbers under a key, in chunks that are cheap to append to and to read.
//!
//! A chunk's key is the list's key and the chunk's first number; its value is the distances of the
//! others, seven bits a byte. A list that lately grew has its last chunk in memory, so that
//! appending reads nothing; any other list begins a new chunk. So a library that ten million builds
//! use has a hundred thousand chunks of a hundred bytes. A file that was linked once has one.

use super::Number;
use crate::{
    database::{Table, Writes, number},
    registry::{error::Result, lru_map::LruMap},
};
use prost::encoding::{decode_varint, encode_varint};

/// Numbers in one chunk.
const CHUNK: usize = 128;

/// How many last chunks are kept in memory, at least.
const OPEN_MAX: usize = 32_768;

/// See the module.
pub struct Postings {
    table: Table,
    open: LruMap<Box<[u8]>, OpenList>,
}

struct OpenList {
    first: Number,
    last: Number,
    count: usize,
    distances: Vec<u8>,
}

impl Postings {
    /// Keeps lists in the table.
    pub fn new(table: Table) -> Self {
        Postings { table, open: LruMap::new(OPEN_MAX) }
    }

    /// Appends ascending numbers. A number that is not above the list's last one is there already,
    /// and left out.
    pub fn append(&mut self, writes: &mut Writes, list: &[u8], numbers: &[Number]) {
        let mut open = self.open.remove(list);
        for number in numbers {
            match &mut open {
                Some(open) if *number <= open.last => continue,
                Some(open) if open.count < CHUNK => {
                    encode_varint(number - open.last, &mut open.distances);
                    open.last = *number;
                    open.count += 1;
                }
                _ => {
                    if let Some(full) = open.take() {
                        writes.insert(&self.table, key(list, full.first), full.distances);
                    }
                    open = Some(OpenList { first: *number, last: *number, count: 1, distances: Vec::new() });
                }
            }
        }
        let Some(open) = open else { return };
        writes.insert(&self.table, key(list, open.first), open.distances.as_slice());
        self.open.insert(list.into(), open);
    }

    /// Deletes a list.
    pub fn remove_all(&mut self, writes: &mut Writes, list: &[u8]) -> Result<()> {
        self.open.remove(list);
        for chunk in self.table.prefix(list) {
            writes.remove(&self.table, chunk.key()?);
        }
        Ok(())
    }

    /// Takes a number out; true if the list is empty now. The list's chunk leaves the memory,
    /// because it may be older than this write.
    pub fn remove(&mut self, writes: &mut Writes, list: &[u8], gone: Number) -> Result<bool> {
        self.open.remove(list);
        let Some((first, mut numbers)) = chunk_with(&self.table, list, gone)? else { return Ok(false) };
        let before = numbers.len();
        numbers.retain(|number| *number != gone);
        if numbers.len() == before {
            return Ok(false);
        }
        writes.remove(&self.table, key(list, first));
        if let Some(new_first) = numbers.first().copied() {
            let mut distances = Vec::new();
            for pair in numbers.windows(2) {
                encode_varint(pair[1] - pair[0], &mut distances);
            }
            writes.insert(&self.table, key(list, new_first), distances);
        }
        Ok(numbers.is_empty() && chunks(&self.table, list, 2) < 2)
    }
}

/// Hands the numbers of a list to `each`, in ascending order, until it returns false.
pub fn each(table: &Table, list: &[u8], mut each: impl FnMut(Number) -> bool) -> Result<()> {
    for chunk in table.prefix(list) {
        let (key, value) = chunk.into_inner()?;
        for number in numbers(first_of(&key), &value) {
            if !each(number) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// How many chunks a list has, counted up to `chunks_max`.
pub fn chunks(table: &Table, list: &[u8], chunks_max: usize) -> usize {
    table.prefix(list).take(chunks_max).count()
}

/// The chunk that holds the number, if the list has it.
fn chunk_with(table: &Table, list: &[u8], wanted: Number) -> Result<Option<(Number, Vec<Number>)>> {
    match table.range(key(list, 0)..=key(list, wanted)).next_back() {
        Some(chunk) => {
            let (key, value) = chunk.into_inner()?;
            let first = first_of(&key);
            Ok(Some((first, numbers(first, &value).collect())))
        }
        None => Ok(None),
    }
}

fn key(list: &[u8], first: Number) -> Vec<u8> {
    [list, &first.to_be_bytes()].concat()
}

fn first_of(key: &[u8]) -> Number {
    number(&key[key.len().saturating_sub(8)..])
}

fn numbers(first: Number, distances: &[u8]) -> impl Iterator<Item = Number> {
    let mut rest = distances;
    let mut last = first;
    std::iter::once(first).chain(std::iter::from_fn(move || {
        last = last.saturating_add(decode_varint(&mut rest).ok()?);
        Some(last)
    }))
}
