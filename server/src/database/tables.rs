//! Tables of the database, and the one way to write to them: together with others, or not at all.
//!
//! A [`Table`] can only be read. What is written stands in [`Writes`], which take effect in one
//! commit, whatever tables they touch. So whoever must move two things together has no second form
//! to choose.

use super::{
    engine::{Engine, Opened},
    reading::{KeyRange, TableIter},
};
use fjall::{Keyspace, PersistMode, Readable, Slice, UserKey, UserValue};
use std::{
    ops::{Bound, RangeBounds},
    sync::Arc,
};

/// The database that all tables are in.
#[derive(Clone)]
pub struct Database {
    pub(super) engine: Arc<Engine>,
    /// Writes through this handle wait while the disk is full.
    pub(super) waits_for_room: bool,
    /// Other servers make the changes of these tables, too.
    pub(super) shared: Option<Arc<dyn SharedCommit>>,
    #[cfg(test)]
    pub(super) faults: faults::Faults,
}

impl Database {
    /// Writes that take effect together.
    pub fn writes(&self) -> Writes {
        Writes { database: self.clone(), items: Vec::new() }
    }

    /// All tables as they are at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.engine.read(|opened| Snapshot { opening: opened.number, inner: opened.database.snapshot() })
    }

    /// Returns when everything written so far survives power loss.
    pub fn sync(&self) -> fjall::Result<()> {
        self.engine.write(|opened| opened.database.persist(PersistMode::SyncData))
    }

    /// The same database for what follows from events that were taken: its writes wait while the
    /// disk is full, so that they do not take the last room.
    pub(super) fn waiting_for_room(&self) -> Database {
        Database { waits_for_room: true, ..self.clone() }
    }
}

/// Whoever has a list of changes that is written before the tables are.
pub trait SharedCommit: Send + Sync {
    /// Makes these writes, after the list has them.
    fn commit(&self, writes: Writes) -> fjall::Result<()>;
}

/// Keys and their values, in the order of the keys.
#[derive(Clone)]
pub struct Table {
    pub(super) engine: Arc<Engine>,
    pub(super) index: usize,
}

impl Table {
    fn read<T>(&self, reads: impl FnOnce(&Keyspace) -> T) -> T {
        self.engine.read(|opened| reads(&opened.tables[self.index]))
    }

    /// The name on disk.
    pub(super) fn name(&self) -> &'static str {
        self.engine.names()[self.index]
    }

    /// The value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> fjall::Result<Option<Slice>> {
        self.read(|table| table.get(key))
    }

    /// Tells whether the key has a value.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> fjall::Result<bool> {
        self.read(|table| table.contains_key(key))
    }

    /// Everything.
    pub fn iter(&self) -> TableIter {
        self.walk((Bound::Unbounded, Bound::Unbounded))
    }

    /// Keys within the range.
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> TableIter {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        self.walk((owned(range.start_bound()), owned(range.end_bound())))
    }

    /// Keys that begin with these bytes.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> TableIter {
        let prefix = prefix.as_ref();
        // The first key behind them: the last byte that can grow has grown.
        let behind = prefix.iter().rposition(|byte| *byte != u8::MAX).map(|at| {
            let mut key = prefix[..=at].to_vec();
            key[at] += 1;
            key
        });
        self.walk((Bound::Included(prefix.to_vec()), behind.map_or(Bound::Unbounded, Bound::Excluded)))
    }

    fn walk(&self, range: KeyRange) -> TableIter {
        TableIter::of_table(&self.engine, self.index, range)
    }

    /// The first key and its value.
    pub fn first_key_value(&self) -> Option<fjall::Guard> {
        self.read(Keyspace::first_key_value)
    }

    /// The last key and its value.
    pub fn last_key_value(&self) -> Option<fjall::Guard> {
        self.read(Keyspace::last_key_value)
    }

    /// Empties it, at once and apart from other writes: for what may be lost.
    pub fn clear(&self) -> fjall::Result<()> {
        self.engine.write(|opened| opened.tables[self.index].clear())
    }
}

/// Tables as they were at one moment.
pub struct Snapshot {
    opening: u64,
    inner: fjall::Snapshot,
}

impl Snapshot {
    /// Keys within the range.
    pub fn range<K: AsRef<[u8]>>(&self, table: &Table, range: impl RangeBounds<K>) -> TableIter {
        self.walk(table, |keyspace| self.inner.range(keyspace, range))
    }

    /// Keys that begin with these bytes.
    pub fn prefix(&self, table: &Table, prefix: impl AsRef<[u8]>) -> TableIter {
        self.walk(table, |keyspace| self.inner.prefix(keyspace, prefix))
    }

    fn walk(&self, table: &Table, iter: impl FnOnce(&Keyspace) -> fjall::Iter) -> TableIter {
        TableIter::open(&table.engine, |opened| {
            (opened.number == self.opening).then(|| iter(&opened.tables[table.index]))
        })
    }
}

/// A number under a name; zero when it was never written.
#[derive(Clone)]
pub struct Total {
    pub(super) table: Table,
    pub(super) name: &'static str,
}

impl Total {
    /// The number.
    pub fn get(&self) -> fjall::Result<u64> {
        Ok(self.table.get(self.name)?.map_or(0, |value| number(&value)))
    }
}

/// Writes that take effect together when they are committed; nothing is written before.
pub struct Writes {
    database: Database,
    items: Vec<WriteItem>,
}

/// A key that is set or removed.
pub struct WriteItem {
    /// The number of its table.
    pub table: usize,
    pub key: UserKey,
    /// `None` removes the key.
    pub value: Option<UserValue>,
}

impl Writes {
    /// Sets the value of a key.
    pub fn insert(&mut self, table: &Table, key: impl Into<UserKey>, value: impl Into<UserValue>) {
        self.items.push(WriteItem { table: table.index, key: key.into(), value: Some(value.into()) });
    }

    /// Removes a key.
    pub fn remove(&mut self, table: &Table, key: impl Into<UserKey>) {
        self.items.push(WriteItem { table: table.index, key: key.into(), value: None });
    }

    /// Sets a number.
    pub fn set(&mut self, total: &Total, value: u64) {
        self.insert(&total.table, total.name, value.to_be_bytes());
    }

    /// Tells that there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Makes all of them, or none. Where the database fails, this waits until it is mended.
    pub fn commit(mut self) -> fjall::Result<()> {
        match self.database.shared.take() {
            Some(shared) if !self.items.is_empty() => shared.commit(self),
            _ => self.commit_here(),
        }
    }

    /// What is to be written.
    pub(super) fn items(&self) -> &[WriteItem] {
        &self.items
    }

    /// Makes all of them, or none, in this server's own tables.
    pub(super) fn commit_here(self) -> fjall::Result<()> {
        if self.items.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        self.database.faults.pass()?;
        if self.database.waits_for_room {
            self.database.engine.wait_for_room()?;
        }
        self.database.engine.write(|opened| self.commit_to(opened))
    }

    fn commit_to(&self, opened: &Opened) -> fjall::Result<()> {
        #[cfg(test)]
        self.database.faults.break_if_due()?;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(opened.database.clone(), self.items.len());
        batch = batch.durability(Some(PersistMode::Buffer));
        let mut last = usize::MAX;
        for WriteItem { table: index, key, value } in &self.items {
            let table = &opened.tables[*index];
            if std::mem::replace(&mut last, *index) != *index {
                opened.wait_for_flushes(table)?;
            }
            match value {
                Some(value) => batch.insert(table, key.clone(), value.clone()),
                None => batch.remove(table, key.clone()),
            }
        }
        batch.commit()
    }
}

/// The number in the first eight bytes, big-endian; short values read as if padded with zeros.
pub fn number(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let len = bytes.len().min(8);
    eight[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(eight)
}

/// Commits that fail, for tests of what a crash between two of them leaves.
#[cfg(test)]
pub mod faults {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    /// The number of commits that are still made, and of those before the database breaks.
    #[derive(Clone)]
    pub struct Faults {
        left: Arc<AtomicU64>,
        whole: Arc<AtomicU64>,
    }

    impl Default for Faults {
        fn default() -> Self {
            let never = || Arc::new(AtomicU64::new(u64::MAX));
            Faults { left: never(), whole: never() }
        }
    }

    fn count_down(left: &AtomicU64, why: &str) -> fjall::Result<()> {
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(fjall::Error::Io(std::io::Error::other(why.to_owned()))),
        }
    }

    impl Faults {
        /// Each commit after this many fails.
        pub fn fail_after(&self, commits: u64) {
            self.left.store(commits, Ordering::SeqCst);
        }

        /// The database breaks once, in the commit after this many.
        pub fn break_after(&self, commits: u64) {
            self.whole.store(commits, Ordering::SeqCst);
        }

        pub(super) fn pass(&self) -> fjall::Result<()> {
            count_down(&self.left, "this commit fails for a test")
        }

        pub(super) fn break_if_due(&self) -> fjall::Result<()> {
            count_down(&self.whole, "the database breaks for a test")
                .inspect_err(|_| self.whole.store(u64::MAX, Ordering::SeqCst))
        }
    }
}
