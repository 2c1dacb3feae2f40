//! Reading that outlives an opening of the engine.
//!
//! A table's files that a merge has replaced are deleted by the last iterator that needs them. One
//! that is older than the opening could so delete a new file of the same number, and is left alone
//! instead. A snapshot says nothing about what a later opening has, so it fails there
//! (`super::tables::Snapshot`).

use super::engine::{Engine, Opened};
use fjall::{UserKey, UserValue};
use std::sync::Arc;

/// Keys and values in order, from either end.
pub struct TableIter {
    engine: Arc<Engine>,
    opening: u64,
    /// `None` only for a snapshot of an earlier opening.
    iter: Option<fjall::Iter>,
    has_failed: bool,
}

/// A key and its value.
pub struct Pair(Option<fjall::Guard>);

impl TableIter {
    /// What `iter` finds; `None` of it fails where it is read.
    pub(super) fn open(engine: &Arc<Engine>, iter: impl FnOnce(&Opened) -> Option<fjall::Iter>) -> TableIter {
        let (opening, iter) = engine.read(|opened| (opened.number, iter(opened)));
        TableIter { engine: engine.clone(), opening, iter, has_failed: false }
    }

    fn fail_once(&mut self) -> Option<Pair> {
        (!std::mem::replace(&mut self.has_failed, true)).then_some(Pair(None))
    }
}

impl Iterator for TableIter {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        match &mut self.iter {
            Some(iter) => iter.next().map(|guard| Pair(Some(guard))),
            None => self.fail_once(),
        }
    }
}

impl DoubleEndedIterator for TableIter {
    fn next_back(&mut self) -> Option<Pair> {
        match &mut self.iter {
            Some(iter) => iter.next_back().map(|guard| Pair(Some(guard))),
            None => self.fail_once(),
        }
    }
}

impl Drop for TableIter {
    fn drop(&mut self) {
        // Nothing is opened while this is held.
        let opened = self.engine.lock();
        if opened.as_ref().is_none_or(|opened| opened.number != self.opening) {
            std::mem::forget(self.iter.take());
        }
        drop(self.iter.take());
    }
}

impl Pair {
    /// The key.
    pub fn key(self) -> fjall::Result<UserKey> {
        self.0.ok_or(fjall::Error::Poisoned)?.key()
    }

    /// The value.
    pub fn value(self) -> fjall::Result<UserValue> {
        self.0.ok_or(fjall::Error::Poisoned)?.value()
    }

    /// Both.
    pub fn into_inner(self) -> fjall::Result<(UserKey, UserValue)> {
        self.0.ok_or(fjall::Error::Poisoned)?.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use crate::database::Store;

    #[test]
    fn what_is_older_than_the_opening_deletes_nothing_and_says_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let table = store.jobs().values;
        let insert = |key: u8| {
            let mut writes = store.jobs().database.writes();
            writes.insert(&table, [key], [key]);
            writes.commit().unwrap();
        };
        (0..9).for_each(insert);
        let (snapshot, mut before) = (store.jobs().database.snapshot(), table.iter());
        assert_eq!(before.next().unwrap().into_inner().unwrap().0, [0]);
        store.faults().break_after(0);
        insert(9);
        assert_eq!(before.map(|pair| pair.key().unwrap()[0]).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
        let mut stale = snapshot.prefix(&table, []);
        assert!(stale.next().unwrap().key().is_err());
        assert!(stale.next().is_none());
        assert_eq!(table.iter().count(), 10);
    }
}
