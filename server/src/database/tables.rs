//! Tables of the database, and the one way to write to them: together with others, or not at all.
//!
//! A [`Table`] can only be read. What is written stands in [`Writes`], which take effect in one
//! commit, whatever tables they touch. So whoever must move two things together has no second form
//! to choose.

use fjall::{Iter, PersistMode, Readable, Slice, UserKey, UserValue};
use std::ops::RangeBounds;

/// The database that all tables are in.
#[derive(Clone)]
pub struct Database {
    pub(super) inner: fjall::Database,
    #[cfg(test)]
    pub(super) faults: faults::Faults,
}

impl Database {
    /// Writes that take effect together.
    pub fn writes(&self) -> Writes {
        Writes {
            batch: self.inner.batch(),
            #[cfg(test)]
            faults: self.faults.clone(),
        }
    }

    /// All tables as they are at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.inner.snapshot())
    }

    /// Returns when everything written so far survives power loss.
    pub fn sync(&self) -> fjall::Result<()> {
        self.inner.persist(PersistMode::SyncData)
    }
}

/// Keys and their values, in the order of the keys.
#[derive(Clone)]
pub struct Table(pub(super) fjall::Keyspace);

impl Table {
    /// The value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> fjall::Result<Option<Slice>> {
        self.0.get(key)
    }

    /// Tells whether the key has a value.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> fjall::Result<bool> {
        self.0.contains_key(key)
    }

    /// Everything.
    pub fn iter(&self) -> Iter {
        self.0.iter()
    }

    /// Keys within the range.
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Iter {
        self.0.range(range)
    }

    /// Keys that begin with these bytes.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Iter {
        self.0.prefix(prefix)
    }

    /// The first key and its value.
    pub fn first_key_value(&self) -> Option<fjall::Guard> {
        self.0.first_key_value()
    }

    /// The last key and its value.
    pub fn last_key_value(&self) -> Option<fjall::Guard> {
        self.0.last_key_value()
    }

    /// Empties it, at once and apart from other writes: for what may be lost.
    pub fn clear(&self) -> fjall::Result<()> {
        self.0.clear()
    }
}

/// Tables as they were at one moment.
pub struct Snapshot(fjall::Snapshot);

impl Snapshot {
    /// Keys within the range.
    pub fn range<K: AsRef<[u8]>>(&self, table: &Table, range: impl RangeBounds<K>) -> Iter {
        self.0.range(&table.0, range)
    }

    /// Keys that begin with these bytes.
    pub fn prefix(&self, table: &Table, prefix: impl AsRef<[u8]>) -> Iter {
        self.0.prefix(&table.0, prefix)
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
    batch: fjall::OwnedWriteBatch,
    #[cfg(test)]
    faults: faults::Faults,
}

impl Writes {
    /// Sets the value of a key.
    pub fn insert(&mut self, table: &Table, key: impl Into<UserKey>, value: impl Into<UserValue>) {
        self.batch.insert(&table.0, key, value);
    }

    /// Removes a key.
    pub fn remove(&mut self, table: &Table, key: impl Into<UserKey>) {
        self.batch.remove(&table.0, key);
    }

    /// Sets a number.
    pub fn set(&mut self, total: &Total, value: u64) {
        self.insert(&total.table, total.name, value.to_be_bytes());
    }

    /// Tells that there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Makes all of them, or none.
    pub fn commit(self) -> fjall::Result<()> {
        #[cfg(test)]
        if !self.batch.is_empty() {
            self.faults.pass()?;
        }
        self.batch.commit()
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

    /// The number of commits that are still made.
    #[derive(Clone)]
    pub struct Faults(Arc<AtomicU64>);

    impl Default for Faults {
        fn default() -> Self {
            Faults(Arc::new(AtomicU64::new(u64::MAX)))
        }
    }

    impl Faults {
        /// Each commit after this many fails.
        pub fn fail_after(&self, commits: u64) {
            self.0.store(commits, Ordering::SeqCst);
        }

        pub(super) fn pass(&self) -> fjall::Result<()> {
            let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            match left {
                Ok(_) => Ok(()),
                Err(_) => Err(fjall::Error::Io(std::io::Error::other("this commit fails for a test"))),
            }
        }
    }
}
