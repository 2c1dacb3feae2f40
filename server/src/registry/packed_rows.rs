//! Rows of a term and the number of a build that it finds, sorted, and packed into blocks.
//!
//! Most terms of a build are digests that no other build has, so their rows come in no order. An
//! index that puts each in its place writes a page of disk for every few bytes. So rows are
//! gathered, sorted, and written as *runs* that never change: block after block, each found by its
//! first row. One search among the blocks of a run finds a term. [`merge`] makes one run of
//! several.
//!
//! A block is a sequence of terms, each with its numbers: how many bytes it shares with the term
//! before, its other bytes, the first number, the distances of the further numbers, and a zero.
//! Numbers count from the beginning of the run, and are written as varints of protobuf.

use super::found_by::Term;
use prost::encoding::{decode_varint, encode_varint};

/// A term, and the number of a build that it finds.
pub type Row = (Term, u32);

const TERM: usize = std::mem::size_of::<Term>();

/// Packs sorted rows into blocks; `each` gets every block with its first row.
pub struct Packer<F: FnMut(Row, Vec<u8>)> {
    each: F,
    /// Bytes after which a block ends.
    block_bytes: usize,
    block: Vec<u8>,
    first: Row,
    last: Option<Row>,
}

impl<F: FnMut(Row, Vec<u8>)> Packer<F> {
    /// Makes blocks that are a little larger than `block_bytes`.
    pub fn new(block_bytes: usize, each: F) -> Self {
        Packer { each, block_bytes, block: Vec::new(), first: ([0; TERM], 0), last: None }
    }

    /// Packs the next row; a repeated one is left out.
    pub fn push(&mut self, row: Row) {
        let (term, number) = row;
        match self.last {
            Some((last, before)) if last == term => {
                if number <= before {
                    return;
                }
                encode_varint(u64::from(number - before), &mut self.block);
            }
            last => {
                let shared = match last {
                    Some((last, _)) => {
                        self.block.push(0);
                        last.iter().zip(&term).take_while(|(a, b)| a == b).count()
                    }
                    None => {
                        self.first = row;
                        0
                    }
                };
                self.block.push(shared as u8);
                self.block.extend_from_slice(&term[shared..]);
                encode_varint(u64::from(number), &mut self.block);
            }
        }
        self.last = Some(row);
        if self.block.len() >= self.block_bytes {
            self.end_block();
        }
    }

    /// Hands over the last block.
    pub fn finish(mut self) {
        self.end_block();
    }

    fn end_block(&mut self) {
        if self.last.take().is_some() {
            self.block.push(0);
            (self.each)(self.first, std::mem::take(&mut self.block));
        }
    }
}

/// The rows of a block, in order. A damaged block ends early.
pub struct Rows<'a> {
    rest: &'a [u8],
    row: Row,
    in_list: bool,
}

impl<'a> Rows<'a> {
    pub fn of(block: &'a [u8]) -> Self {
        Rows { rest: block, row: ([0; TERM], 0), in_list: false }
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.in_list {
            match decode_varint(&mut self.rest).ok()? {
                0 => self.in_list = false,
                distance => {
                    self.row.1 = self.row.1.checked_add(u32::try_from(distance).ok()?)?;
                    return Some(self.row);
                }
            }
        }
        let (shared, rest) = self.rest.split_first()?;
        let own = TERM.checked_sub(usize::from(*shared))?;
        let (bytes, rest) = rest.split_at_checked(own)?;
        self.row.0[TERM - own..].copy_from_slice(bytes);
        self.rest = rest;
        self.row.1 = u32::try_from(decode_varint(&mut self.rest).ok()?).ok()?;
        self.in_list = true;
        Some(self.row)
    }
}

/// The numbers of a term in a block, in order, and whether the blocks before this one may have more
/// of them.
pub fn numbers_of(block: &[u8], term: &Term) -> (Vec<u32>, bool) {
    let (mut numbers, mut is_first) = (Vec::new(), true);
    let mut before = false;
    for (found, number) in Rows::of(block) {
        if found > *term {
            break;
        }
        if found == *term {
            before |= is_first;
            numbers.push(number);
        }
        is_first = false;
    }
    (numbers, before)
}

/// Merges the rows of several runs into those of one. What stands beside each run is added to its
/// numbers.
pub fn merge<E>(
    runs: Vec<(u32, impl Iterator<Item = Result<Row, E>>)>,
    mut each: impl FnMut(Row),
) -> Result<(), E> {
    let mut heads = Vec::with_capacity(runs.len());
    for (more, mut rows) in runs {
        let head = rows.next().transpose()?;
        heads.push((more, rows, head));
    }
    while let Some(term) = heads.iter().filter_map(|(_, _, head)| head.map(|(term, _)| term)).min() {
        for (more, rows, head) in &mut heads {
            while let Some((_, number)) = head.filter(|(found, _)| *found == term) {
                each((term, number.saturating_add(*more)));
                *head = rows.next().transpose()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const BLOCK: usize = 4096;

    fn packed(rows: &[Row]) -> Vec<(Row, Vec<u8>)> {
        let mut blocks = Vec::new();
        let mut packer = Packer::new(BLOCK, |first, block| blocks.push((first, block)));
        rows.iter().for_each(|row| packer.push(*row));
        packer.finish();
        blocks
    }

    fn unpacked(blocks: &[(Row, Vec<u8>)]) -> Vec<Row> {
        blocks.iter().flat_map(|(_, block)| Rows::of(block)).collect()
    }

    /// Rare terms, and one in every build.
    fn rows(builds: u32, salt: u8) -> Vec<Row> {
        let mut rows = Vec::new();
        for build in 0..builds {
            rows.push(([b'f'; TERM], build));
            for own in 0..5u8 {
                let mut term = [own ^ salt; TERM];
                term[..4].copy_from_slice(&build.wrapping_mul(0x9E37_79B9).to_le_bytes());
                rows.push((term, build));
            }
        }
        rows.sort_unstable();
        rows
    }

    #[test]
    fn rows_come_back_as_they_were_packed() {
        for builds in [0, 1, 2, 100, 20_000] {
            let rows = rows(builds, 0);
            let blocks = packed(&rows);
            assert!(unpacked(&blocks) == rows, "{builds}");
            assert!(blocks.iter().all(|(first, block)| Rows::of(block).next() == Some(*first)));
            assert!(blocks.iter().all(|(_, block)| block.len() < BLOCK + 64));
        }
    }

    #[test]
    fn a_list_longer_than_a_block_goes_on_in_the_next() {
        let rows = rows(20_000, 0);
        let blocks = packed(&rows);
        let common = [b'f'; TERM];
        let at = blocks.partition_point(|(first, _)| *first <= (common, u32::MAX));
        let mut found = Vec::new();
        for (_, block) in blocks[..at].iter().rev() {
            let (numbers, goes_on) = numbers_of(block, &common);
            found.extend(numbers.into_iter().rev());
            if !goes_on {
                break;
            }
        }
        assert!(found.into_iter().rev().eq(0..20_000));
    }

    #[test]
    fn merged_runs_are_one_run() {
        let parts = [rows(3000, 0), rows(3000, 1), rows(10, 2)];
        let offsets = [0, 3000, 6000];
        let mut expected: Vec<Row> = Vec::new();
        for (rows, more) in parts.iter().zip(offsets) {
            expected.extend(rows.iter().map(|(term, number)| (*term, number + more)));
        }
        expected.sort_unstable();
        let runs = parts.iter().zip(offsets).map(|(rows, more)| (more, rows.iter().copied().map(Ok)));
        let mut merged = Vec::new();
        merge::<Infallible>(runs.collect(), |row| merged.push(row)).unwrap();
        assert!(merged == expected);
    }

    #[test]
    fn a_damaged_block_ends_and_leads_nowhere() {
        let blocks = packed(&rows(50, 0));
        let block = &blocks[0].1;
        for end in 0..block.len() {
            assert!(Rows::of(&block[..end]).count() <= 300);
        }
        for at in 0..block.len() {
            let mut wrong = block.clone();
            wrong[at] ^= 0xFF;
            assert!(Rows::of(&wrong).count() <= wrong.len());
        }
    }
}
