//! Tables that several servers have alike: one of them changes the tables, and the others follow.
//!
//! A change goes to a list that all of them reach, before it is made here ([`ChangeList`]). It sets
//! and removes keys, whatever was there before, and the number of the last one stands in the same
//! commit as its keys. So the tables of each server are a beginning of the list, and after a crash
//! it goes on from there.
//!
//! A server without tables reads a picture of another one's ([`SharedTables::picture`]), and the
//! changes since. The picture is taken while the tables change: what it has of a change in the
//! middle is set again, or removed, when the change is made once more.

#![cfg_attr(not(test), expect(dead_code, reason = "who counts for a site of several servers shares them"))]

use super::{
    Database, SumsStore, Table, Total, UsesStore, Writes,
    tables::{SharedCommit, WriteItem},
};
use bytes::{Buf, BufMut};
use fjall::{Error, Result};
use prost::encoding::{decode_varint, encode_varint};
use std::{
    io,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The form of a change, and of a part of a picture.
const FORM: u8 = 1;

/// Bytes of one part of a picture, before they are packed.
const PART_BYTES: usize = 1 << 20;

/// A picture that is being read: until it is whole, the tables are of no use.
const UNREADABLE: u64 = u64::MAX;

/// The list of changes, which all servers reach.
pub trait ChangeList: Send + Sync {
    /// Puts the change with this number at the end, for good. It is an error if the list has one
    /// with this number from another server, which then is who changes the tables.
    fn append(&self, number: u64, change: &[u8]) -> Result<()>;
}

/// See the module.
pub struct SharedTables {
    database: Database,
    list: Arc<dyn ChangeList>,
    tables: Vec<Table>,
    /// The numbers under a name that belong to them; others are this server's own.
    totals: Vec<Total>,
    last: Total,
    /// The number of the last change here.
    number: Mutex<u64>,
}

impl UsesStore {
    /// The same tables, shared: their changes go to `list` first.
    pub fn shared(mut self, list: Arc<dyn ChangeList>) -> Result<(Self, Arc<SharedTables>)> {
        // Each table is named here, so that a new one cannot be left out.
        let UsesStore {
            database: _,
            program_numbers,
            program_starts,
            programs,
            programs_with,
            objects,
            object_index,
            programs_with_object,
            tallies,
            rows,
            senders,
            old_tallies,
            old_rows,
            program_count,
            next_program,
            row_count,
            object_count,
            next_object,
            forgotten,
            last_change: _,
            sums,
        } = &self;
        let tables = [
            program_numbers,
            program_starts,
            programs,
            programs_with,
            objects,
            object_index,
            programs_with_object,
            tallies,
            rows,
            senders,
            old_tallies,
            old_rows,
        ];
        let totals = [program_count, next_program, row_count, object_count, next_object, forgotten];
        let (tables_of_sums, totals_of_sums) = sums.shared_tables();
        let number = match self.last_change.get()? {
            UNREADABLE => 0,
            number => number,
        };
        let shared = Arc::new(SharedTables {
            database: self.database.clone(),
            list,
            tables: tables.into_iter().chain(tables_of_sums).cloned().collect(),
            totals: totals.into_iter().chain(totals_of_sums).cloned().collect(),
            last: self.last_change.clone(),
            number: Mutex::new(number),
        });
        self.database.shared = Some(shared.clone());
        self.sums.database.shared = Some(shared.clone());
        Ok((self, shared))
    }
}

impl SumsStore {
    fn shared_tables(&self) -> ([&Table; 10], [&Total; 6]) {
        let SumsStore {
            database: _,
            tallies,
            rows,
            months,
            hosts,
            host_months,
            hosts_since,
            days_since,
            months_until,
            programs,
            jobs,
            job_list,
            digests,
            limited,
            row_count,
            next_digest,
            next_job,
        } = self;
        (
            [tallies, rows, months, hosts, host_months, programs, jobs, job_list, digests, limited],
            [hosts_since, days_since, months_until, row_count, next_digest, next_job],
        )
    }
}

impl SharedTables {
    /// The number of the last change that is made here; 0 before the first.
    pub fn last(&self) -> u64 {
        *self.number()
    }

    /// Makes the change with this number, if it was not made yet. False where the one before it is
    /// missing.
    pub fn follow(&self, number: u64, change: &[u8]) -> Result<bool> {
        let mut last = self.number();
        if number <= *last {
            return Ok(true);
        }
        if number != *last + 1 {
            return Ok(false);
        }
        let mut writes = self.database.writes();
        self.read(change, &mut writes)?;
        writes.set(&self.last, number);
        writes.commit()?;
        *last = number;
        Ok(true)
    }

    /// Takes a picture, part by part. The tables are whole again when all changes of these numbers
    /// are made after it has been read.
    pub fn picture(
        &self,
        mut put: impl FnMut(Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<RangeInclusive<u64>> {
        let before = self.last();
        let mut part = Part::default();
        for table in &self.tables {
            for entry in table.iter() {
                let (key, value) = entry.into_inner()?;
                part.add(table.name(), &key, Some(&value));
                if part.is_full() {
                    put(std::mem::take(&mut part).packed())?;
                }
            }
        }
        for total in &self.totals {
            part.add(total.table.name(), total.name.as_bytes(), Some(&total.get()?.to_be_bytes()));
        }
        put(part.packed())?;
        Ok(before + 1..=self.last())
    }

    /// Reads a picture in place of what the tables have. `before` is the number of the last change
    /// that was made before it was taken.
    pub fn load(
        &self,
        before: u64,
        parts: impl IntoIterator<Item = anyhow::Result<Vec<u8>>>,
    ) -> anyhow::Result<()> {
        let mut last = self.number();
        let mut writes = self.database.writes();
        writes.set(&self.last, UNREADABLE);
        self.totals.iter().for_each(|total| writes.remove(&total.table, total.name));
        writes.commit()?;
        *last = 0;
        for table in &self.tables {
            table.clear()?;
        }
        for part in parts {
            let mut writes = self.database.writes();
            self.read(&part?, &mut writes)?;
            writes.commit()?;
        }
        let mut writes = self.database.writes();
        writes.set(&self.last, before);
        writes.commit()?;
        *last = before;
        Ok(())
    }

    fn number(&self) -> MutexGuard<'_, u64> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table with this index, if this key of it is shared.
    fn shares(&self, index: usize, key: &[u8]) -> Option<&Table> {
        let total = self.totals.iter().find(|total| total.name.as_bytes() == key);
        let total = total.map(|total| &total.table).filter(|table| table.index == index);
        total.or_else(|| self.tables.iter().find(|table| table.index == index))
    }

    /// Reads a change, or a part of a picture. What a newer server has beside it is left out.
    fn read(&self, packed: &[u8], writes: &mut Writes) -> Result<()> {
        let damaged = || Error::Io(io::Error::new(io::ErrorKind::InvalidData, "a change is damaged"));
        let text = packed.split_first().filter(|(form, _)| **form == FORM).map(|(_, rest)| rest);
        let text =
            text.and_then(|text| lz4_flex::decompress_size_prepended(text).ok()).ok_or_else(damaged)?;
        let mut rest = &text[..];
        let mut table: Option<&Table> = None;
        while rest.has_remaining() {
            let (kind, first) = (rest.get_u8(), take(&mut rest).ok_or_else(damaged)?);
            match kind {
                TABLE => {
                    let totals = self.totals.first().map(|total| &total.table);
                    table = self.tables.iter().chain(totals).find(|table| table.name().as_bytes() == first);
                }
                SET => {
                    let value = take(&mut rest).ok_or_else(damaged)?;
                    if let Some(table) = table.filter(|table| self.shares(table.index, first).is_some()) {
                        writes.insert(table, first, value);
                    }
                }
                REMOVE => {
                    if let Some(table) = table.filter(|table| self.shares(table.index, first).is_some()) {
                        writes.remove(table, first);
                    }
                }
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }
}

impl SharedCommit for SharedTables {
    fn commit(&self, mut writes: Writes) -> Result<()> {
        let mut last = self.number();
        let mut part = Part::default();
        for WriteItem { table, key, value } in writes.items() {
            if let Some(table) = self.shares(*table, key) {
                part.add(table.name(), key, value.as_deref());
            }
        }
        if part.bytes.is_empty() {
            return writes.commit_here();
        }
        let number = *last + 1;
        self.list.append(number, &part.packed())?;
        writes.set(&self.last, number);
        writes.commit_here()?;
        *last = number;
        Ok(())
    }
}

/// What stands in a part: the name of the table of what follows, a key with its value, a key that
/// is removed.
const TABLE: u8 = 0;
const SET: u8 = 1;
const REMOVE: u8 = 2;

/// A change, or a part of a picture.
#[derive(Default)]
struct Part {
    table: &'static str,
    bytes: Vec<u8>,
}

impl Part {
    fn add(&mut self, table: &'static str, key: &[u8], value: Option<&[u8]>) {
        if self.table != table {
            self.table = table;
            self.bytes.put_u8(TABLE);
            put(&mut self.bytes, table.as_bytes());
        }
        self.bytes.put_u8(if value.is_some() { SET } else { REMOVE });
        put(&mut self.bytes, key);
        if let Some(value) = value {
            put(&mut self.bytes, value);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= PART_BYTES
    }

    fn packed(self) -> Vec<u8> {
        let mut out = vec![FORM];
        out.extend(lz4_flex::compress_prepend_size(&self.bytes));
        out
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    encode_varint(text.len() as u64, out);
    out.put_slice(text);
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(decode_varint(from).ok()?).ok()?;
    let (text, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;
    use std::{
        collections::BTreeMap,
        path::Path,
        sync::atomic::{AtomicBool, Ordering},
    };

    /// A list in memory, which can be away.
    #[derive(Default)]
    struct List {
        changes: Mutex<Vec<Vec<u8>>>,
        is_away: AtomicBool,
    }

    impl ChangeList for List {
        fn append(&self, number: u64, change: &[u8]) -> Result<()> {
            let mut changes = self.changes.lock().unwrap();
            if self.is_away.load(Ordering::SeqCst) || number != changes.len() as u64 + 1 {
                return Err(Error::Io(io::Error::other("this change does not fit")));
            }
            changes.push(change.to_vec());
            Ok(())
        }
    }

    impl List {
        fn since(&self, number: u64) -> Vec<(u64, Vec<u8>)> {
            let changes = self.changes.lock().unwrap();
            let numbered = changes.iter().enumerate().map(|(at, change)| (at as u64 + 1, change.clone()));
            numbered.filter(|(at, _)| *at > number).collect()
        }
    }

    /// A server's tables.
    struct Copy {
        store: Store,
        uses: UsesStore,
        shared: Arc<SharedTables>,
    }

    impl Copy {
        fn open(directory: &Path, list: &Arc<List>) -> Copy {
            let store = Store::open(directory).unwrap();
            let (uses, shared) = store.uses().shared(list.clone()).unwrap();
            Copy { store, uses, shared }
        }

        /// Sets and removes what follows from a number, in several tables and a total.
        fn change(&self, number: u64) -> Result<()> {
            let mut writes = self.uses.database.writes();
            let uses = &self.uses;
            for (at, table) in [&uses.rows, &uses.programs, &uses.sums.rows].into_iter().enumerate() {
                let key = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 500;
                match (number + at as u64) % 4 {
                    0 => writes.remove(table, key.to_be_bytes()),
                    _ => writes.insert(table, key.to_be_bytes(), vec![number as u8; key as usize % 70]),
                }
            }
            writes.set(&uses.row_count, number);
            writes.commit()
        }

        fn follow(&self, list: &List) {
            for (number, change) in list.since(self.shared.last()) {
                assert!(self.shared.follow(number, &change).unwrap());
            }
        }

        /// All that the shared tables have.
        fn content(&self) -> BTreeMap<(String, Vec<u8>), Vec<u8>> {
            let mut content = BTreeMap::new();
            for table in &self.shared.tables {
                for entry in table.iter() {
                    let (key, value) = entry.into_inner().unwrap();
                    content.insert((table.name().to_owned(), key.to_vec()), value.to_vec());
                }
            }
            for total in &self.shared.totals {
                let name = (String::new(), total.name.as_bytes().to_vec());
                content.insert(name, total.get().unwrap().to_be_bytes().to_vec());
            }
            content
        }
    }

    #[test]
    fn who_follows_has_the_same_tables() {
        let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let list = Arc::new(List::default());
        let [one, other] = [&first, &second].map(|directory| Copy::open(directory.path(), &list));
        (1..300).for_each(|number| one.change(number).unwrap());
        other.follow(&list);
        assert_eq!(one.content(), other.content());
        assert!(one.content().len() > 100);
        // The other one changes them now, and the first follows: it cannot go on from what it had.
        (300..400).for_each(|number| other.change(number).unwrap());
        assert!(one.change(1).is_err());
        one.follow(&list);
        assert_eq!(one.content(), other.content());
        // A change that is missing is not left out, and one that was made is not made again.
        let last = list.since(0).pop().unwrap().1;
        assert!(!one.shared.follow(401, &last).unwrap() && one.shared.follow(1, &last).unwrap());
        assert_eq!(one.content(), other.content());
        // What is this server's own stays with it.
        let number = one.store.waiting.server().unwrap();
        assert_ne!(number, other.store.waiting.server().unwrap());
    }

    #[test]
    fn a_change_counts_when_the_list_has_it_whatever_crashes() {
        let directory = tempfile::tempdir().unwrap();
        let list = Arc::new(List::default());
        let mut copy = Copy::open(directory.path(), &list);
        (1..50).for_each(|number| copy.change(number).unwrap());
        let before = copy.content();
        // The list does not take it: it is nowhere.
        list.is_away.store(true, Ordering::SeqCst);
        assert!(copy.change(50).is_err());
        assert_eq!((copy.content(), list.since(49).len()), (before.clone(), 0));
        // The list takes it, and the server ends before it is here.
        list.is_away.store(false, Ordering::SeqCst);
        copy.uses.database.faults.fail_after(0);
        assert!(copy.change(51).is_err());
        copy.uses.database.faults.fail_after(u64::MAX);
        assert_eq!((copy.content(), list.since(49).len()), (before, 1));
        drop(copy);
        copy = Copy::open(directory.path(), &list);
        copy.follow(&list);
        assert_eq!((copy.shared.last(), copy.uses.row_count.get().unwrap()), (50, 51));
        copy.change(52).unwrap();
        assert_eq!(copy.shared.last(), 51);
    }

    #[test]
    fn a_picture_of_tables_that_change_and_the_changes_since_are_the_tables() {
        let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let list = Arc::new(List::default());
        let [one, empty, used] = [0, 1, 2].map(|at| Copy::open(directories[at].path(), &list));
        (1..200).for_each(|number| one.change(number).unwrap());
        used.follow(&list);
        // It changes between any two parts, of which there are few: they are large.
        let mut parts = Vec::new();
        let mut number = 1000;
        let large = |copy: &Copy, number: u64| {
            let mut writes = copy.uses.database.writes();
            writes.insert(&copy.uses.objects, number.to_be_bytes(), vec![1; 300_000]);
            writes.remove(&copy.uses.objects, (number - 15).to_be_bytes());
            writes.commit().unwrap();
        };
        (1000..1020).for_each(|number| large(&one, number));
        let range = one.shared.picture(|part| {
            parts.push(part);
            number += 1;
            large(&one, number + 20);
            one.change(number)?;
            Ok(())
        });
        let range = range.unwrap();
        assert!(parts.len() > 3 && range.end() > range.start(), "{} parts, {range:?}", parts.len());
        for copy in [&empty, &used] {
            copy.shared.load(range.start() - 1, parts.iter().cloned().map(Ok)).unwrap();
            copy.follow(&list);
            assert_eq!(copy.content(), one.content());
        }
        // A server that ended while it read a picture begins again.
        let half = parts[..2].iter().cloned().map(Ok);
        let broken = half.chain([Err(anyhow::anyhow!("it ends"))]);
        assert!(used.shared.load(range.start() - 1, broken).is_err());
        let Copy { store, uses, shared } = used;
        drop((store, uses, shared));
        let used = Copy::open(directories[2].path(), &list);
        assert_eq!(used.shared.last(), 0);
        used.shared.load(range.start() - 1, parts.into_iter().map(Ok)).unwrap();
        used.follow(&list);
        assert_eq!(used.content(), one.content());
    }
}
