//! Counts on their way from memory to the rows: on disk with the offset in the queue, and added
//! when it is time.
//!
//! What was gathered is written as it is, in one write with the offset: short, because a count is
//! some twenty bytes here. Adding it to the rows comes later, for the tallies of many writes
//! together, a group of programs at a time; a group's tallies go in the same write as its rows
//! change, so that each is added once whatever crashes. So a program that runs all the time costs a
//! row's change a minute, and no write is ever large.

use super::{
    Uses,
    forgotten::Forgotten,
    rows::{self, Count, RowKey, Whole},
    shares::{Owner, ShareChanges, UseShares},
    tally::Tally,
    use_counts::UseCounts,
};
use crate::{
    database::{Table, UsesStore, Writes},
    sums::{self, Added, SumTally},
};
use anyhow::Result;
use std::{collections::BTreeMap, sync::atomic::Ordering};
use tracing::error;

/// Programs of one group: their rows lie together.
const GROUP: u64 = 1024;

/// Bytes of one tally on disk, before they are compressed.
const TALLY_BYTES: usize = 32 << 10;

/// Bytes of tallies that are added together; one is always taken.
const ADD_BYTES: usize = 512 << 10;

/// `group, offset in the queue, index -> tallies`.
fn key(group: u64, offset: u64, index: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&group.to_be_bytes());
    key[8..16].copy_from_slice(&offset.to_be_bytes());
    key[16..].copy_from_slice(&index.to_be_bytes());
    key
}

impl Uses {
    /// Writes the counts that were gathered, and moves the offset on.
    pub(super) fn write(&self, counts: &mut UseCounts) -> Result<()> {
        if counts.next == self.log.offset() {
            return Ok(());
        }
        counts.programs.write(self, &mut self.shares())?;
        self.metrics.programs.set(self.store.program_count.get()?);
        let (mut writes, mut index, mut group) = (self.store.database.writes(), 0, 0);
        let mut text = Vec::with_capacity(TALLY_BYTES + 4096);
        let mut put = |text: &mut Vec<u8>, group| {
            if !text.is_empty() {
                let packed = lz4_flex::compress_prepend_size(text);
                writes.insert(&self.store.tallies, key(group, counts.next, index), packed);
                index += 1;
                text.clear();
            }
        };
        for tally in counts.tallies() {
            if tally.row.program / GROUP != group || text.len() >= TALLY_BYTES {
                put(&mut text, group);
                group = tally.row.program / GROUP;
            }
            tally.write(&mut text);
        }
        put(&mut text, group);
        self.write_sums(counts, &mut writes);
        counts.limited.put(&self.store.sums, 0, &mut writes)?;
        self.log.move_on(counts.next, writes)?;
        counts.written();
        Ok(())
    }

    /// Writes the sums that were gathered.
    fn write_sums(&self, counts: &UseCounts, writes: &mut Writes) {
        let (mut text, mut index) = (Vec::with_capacity(TALLY_BYTES + 4096), 0);
        let mut put = |text: &mut Vec<u8>| {
            if !text.is_empty() {
                let packed = lz4_flex::compress_prepend_size(text);
                writes.insert(&self.store.sums.tallies, key(0, counts.next, index), packed);
                index += 1;
                text.clear();
            }
        };
        for tally in counts.sum_tallies().chain(counts.ends.tallies()) {
            tally.write(&mut text);
            if text.len() >= TALLY_BYTES {
                put(&mut text);
            }
        }
        put(&mut text);
    }

    /// Adds sums that wait to their rows; false when there were none.
    fn add_sums(&self) -> Result<bool> {
        let mut writes = self.store.sums.database.writes();
        let texts = taken(&self.store.sums.tallies, &[], &mut writes)?;
        if writes.is_empty() {
            return Ok(false);
        }
        let mut tallies: Vec<SumTally<'_>> = Vec::new();
        for text in &texts {
            let mut rest = &text[..];
            tallies.extend(std::iter::from_fn(|| SumTally::read(&mut rest)));
        }
        let mut shares = self.shares();
        let shares = &mut shares.sums;
        shares.forget_fresh();
        let rows = self.store.sums.row_count.get()?;
        let Added { new, dropped } =
            sums::add(&self.store.sums, &mut writes, &mut tallies, |holder, new| {
                let holder = shares.holder(holder.clone());
                let has_room = shares.has_room(&holder, rows + new);
                if has_room {
                    shares.add_fresh(holder);
                }
                has_room
            })?;
        self.metrics.uses_dropped.add(dropped);
        writes.set(&self.store.sums.row_count, rows + new);
        let changes = shares.fresh();
        shares.put(&self.store, &changes, &mut writes);
        writes.commit()?;
        shares.apply(changes);
        shares.forget_fresh();
        shares.look();
        self.metrics.sum_rows.set(rows + new);
        Ok(true)
    }

    /// Adds the tallies of one group to its rows; false when there were none.
    pub(super) fn add_some(&self) -> Result<bool> {
        if self.add_group(&self.store.tallies, false)?
            || self.add_group(&self.store.old_tallies, true)?
            || self.add_sums()?
        {
            return Ok(true);
        }
        // Only this thread moves the offset.
        self.complete.store(self.log.offset(), Ordering::Release);
        Ok(false)
    }

    fn add_group(&self, table: &Table, is_old: bool) -> Result<bool> {
        let Some(first) = table.first_key_value() else { return Ok(false) };
        let first = first.key()?;
        let group = first.get(..8).unwrap_or_default();
        let mut writes = self.store.database.writes();
        let texts = taken(table, group, &mut writes)?;
        let mut tallies: Vec<Tally<'_>> = Vec::new();
        for text in &texts {
            let mut rest = &text[..];
            tallies.extend(std::iter::from_fn(|| match is_old {
                true => Tally::read_old(&mut rest),
                false => Tally::read(&mut rest),
            }));
        }
        let mut shares = self.shares();
        shares.rows.forget_fresh();
        let added = self.add(&mut shares, &mut writes, &mut tallies)?;
        added.forgotten.put(self, &mut shares.forgotten, &mut writes)?;
        let row_shares = shares.rows.fresh();
        shares.rows.put(&self.store, &row_shares, &mut writes);
        shares.programs.put(&self.store, &added.program_shares, &mut writes);
        writes.commit()?;
        shares.rows.apply(row_shares);
        shares.rows.forget_fresh();
        shares.programs.apply(added.program_shares);
        shares.rows.look();
        for (holder, over) in added.forgotten.over() {
            self.metrics.sender_over("uses.rows_max", holder, over);
        }
        self.metrics.use_rows.set(added.rows);
        Ok(true)
    }

    /// Adds tallies to the rows.
    fn add(
        &self,
        shares: &mut UseShares,
        writes: &mut Writes,
        tallies: &mut [Tally<'_>],
    ) -> Result<AddedRows> {
        let store: &UsesStore = &self.store;
        let rows_before = store.row_count.get()?;
        let mut added = AddedRows { rows: rows_before, ..AddedRows::default() };
        let mut key = Vec::new();
        tallies.sort_unstable_by_key(|tally| tally.row);
        for of_program in tallies.chunk_by(|a, b| a.row.program == b.row.program) {
            let program = of_program[0].row.program.to_be_bytes();
            let mut whole = store.rows.get(program)?.map(|value| Whole::read(&value)).unwrap_or_default();
            // What is written, in order; and what has no room for a row of its own, by the row
            // without the job.
            let mut changed: Vec<(RowKey<'_>, Count)> = Vec::new();
            let mut coarse: BTreeMap<RowKey<'_>, Count> = BTreeMap::new();
            for same in of_program.chunk_by(|a, b| a.row == b.row) {
                let row = &same[0].row;
                let mut total = Count::default();
                same.iter().for_each(|tally| total.add(&tally.count));
                whole.count.add(&total);
                self.add_owner(shares, row, &mut whole, &mut added);
                row.write(&mut key);
                match store.rows.get(&key)? {
                    Some(value) => total.add(&rows::read(&value, row.is_claimed)),
                    None => {
                        let holder = shares.rows.holder(row.holder());
                        if !shares.rows.has_room(&holder, added.rows) {
                            whole.is_cut = true;
                            let without_job = RowKey { cluster: b"", job: b"", ..*row };
                            coarse.entry(without_job).or_default().add(&total);
                            continue;
                        }
                        added.rows += 1;
                        shares.rows.add_fresh(holder);
                    }
                }
                changed.push((*row, total));
            }
            for (row, mut total) in coarse {
                let holder = shares.rows.holder(row.holder());
                added.forgotten.add_sender(holder.clone(), total.last_ns, shares.rows.has_share(&holder));
                if let Ok(at) = changed.binary_search_by_key(&row, |(row, _)| *row) {
                    changed[at].1.add(&total);
                    continue;
                }
                row.write(&mut key);
                match store.rows.get(&key)? {
                    Some(value) => total.add(&rows::read(&value, row.is_claimed)),
                    None if !shares.rows.has_room(&holder, added.rows) => {
                        self.metrics.uses_dropped.add(total.all());
                        continue;
                    }
                    None => {
                        added.rows += 1;
                        shares.rows.add_fresh(holder);
                    }
                }
                writes.insert(&store.rows, &key[..], rows::value(&total));
            }
            for (row, count) in changed {
                row.write(&mut key);
                writes.insert(&store.rows, &key[..], rows::value(&count));
            }
            writes.insert(&store.rows, program, whole.value());
        }
        if added.rows != rows_before {
            writes.set(&store.row_count, added.rows);
        }
        Ok(added)
    }

    /// Changes the program's owner where another sender has run it.
    fn add_owner(&self, shares: &UseShares, row: &RowKey<'_>, whole: &mut Whole, added: &mut AddedRows) {
        let Owner::One(owner) = &whole.owner else { return };
        let holder = shares.programs.holder(row.holder());
        if *owner != holder {
            let with = whole.owner.with(&holder);
            added.program_shares.add(&whole.owner, -1);
            added.program_shares.add(&with, 1);
            whole.owner = with;
        }
    }
}

/// The texts of tallies whose keys begin with these bytes, as many as are added together. They are
/// removed in these writes.
fn taken(table: &Table, prefix: &[u8], writes: &mut Writes) -> Result<Vec<Vec<u8>>> {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    for entry in table.prefix(prefix) {
        let (key, packed) = entry.into_inner()?;
        writes.remove(table, key);
        match lz4_flex::decompress_size_prepended(&packed) {
            Ok(text) => {
                bytes += text.len();
                texts.push(text);
            }
            Err(cause) => error!("counts of uses are damaged on disk, and lost: {cause}"),
        }
        if bytes >= ADD_BYTES {
            break;
        }
    }
    Ok(texts)
}

/// What has become of the rows.
#[derive(Default)]
struct AddedRows {
    /// How many there are.
    rows: u64,
    program_shares: ShareChanges,
    forgotten: Forgotten,
}
