//! Reading that lasts.
//!
//! An iterator sees its table as it was when it was opened. For that the engine keeps in memory all
//! that is written meanwhile, to whatever table: in a flood this is gigabytes a minute. So an
//! iterator opens itself anew after a moment, behind the key where it is. It then sees what was
//! written since.
//!
//! A table's files that a merge has replaced are deleted by the last iterator that needs them. One
//! that is older than the opening of the engine could so delete a new file of the same number, and
//! is left alone instead. A snapshot says nothing about what a later opening has, so it fails there
//! (`super::tables::Snapshot`).

use super::engine::{Engine, Opened};
use fjall::{UserKey, UserValue};
use std::{
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

/// The time after which an iterator is opened anew, and the number of items after which that is
/// looked at.
const RENEW_AFTER: Duration = Duration::from_millis(100);
const LOOK_EVERY: u32 = 16;

/// Keys that an iterator has still to give.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Keys and values in order, from either end.
pub struct TableIter {
    engine: Arc<Engine>,
    opening: u64,
    /// `None` only for a snapshot of an earlier opening.
    iter: Option<fjall::Iter>,
    has_failed: bool,
    /// The table's index and what is left; `None` for a snapshot, which stays as it is.
    left: Option<(usize, KeyRange)>,
    since: Instant,
    given: u32,
}

/// A key and its value.
pub struct Pair(fjall::Result<(UserKey, UserValue)>);

impl TableIter {
    /// The keys of a table within a range.
    pub(super) fn of_table(engine: &Arc<Engine>, table: usize, range: KeyRange) -> TableIter {
        let mut iter = TableIter::open(engine, |opened| Some(opened.tables[table].range(range.clone())));
        iter.left = Some((table, range));
        iter
    }

    /// What `iter` finds; `None` of it fails where it is read.
    pub(super) fn open(engine: &Arc<Engine>, iter: impl FnOnce(&Opened) -> Option<fjall::Iter>) -> TableIter {
        let (opening, iter) = engine.read(|opened| (opened.number, iter(opened)));
        let (engine, since) = (engine.clone(), Instant::now());
        TableIter { engine, opening, iter, has_failed: false, left: None, since, given: 0 }
    }

    fn fail_once(&mut self) -> Option<Pair> {
        (!std::mem::replace(&mut self.has_failed, true)).then_some(Pair(Err(fjall::Error::Poisoned)))
    }

    /// Opens itself anew where it is time.
    fn renew(&mut self) {
        self.given += 1;
        let is_looked_at = self.given.is_multiple_of(LOOK_EVERY) && self.since.elapsed() > RENEW_AFTER;
        let Some((table, range)) = self.left.as_ref().filter(|_| is_looked_at) else { return };
        *self = TableIter::of_table(&self.engine.clone(), *table, range.clone());
    }

    /// What an item of the engine is, which was taken from one end.
    fn pair(&mut self, item: Option<fjall::Guard>, is_last: bool) -> Option<Pair> {
        let pair = item?.into_inner();
        if let (Some((_, (lower, upper))), Ok((key, _))) = (&mut self.left, &pair) {
            let end = if is_last { upper } else { lower };
            match end {
                // Its memory is used again.
                Bound::Excluded(known) => {
                    known.clear();
                    known.extend_from_slice(key);
                }
                _ => *end = Bound::Excluded(key.to_vec()),
            }
        }
        Some(Pair(pair))
    }
}

impl Iterator for TableIter {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        self.renew();
        let Some(iter) = &mut self.iter else { return self.fail_once() };
        let item = iter.next();
        self.pair(item, false)
    }
}

impl DoubleEndedIterator for TableIter {
    fn next_back(&mut self) -> Option<Pair> {
        self.renew();
        let Some(iter) = &mut self.iter else { return self.fail_once() };
        let item = iter.next_back();
        self.pair(item, true)
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
        self.0.map(|(key, _)| key)
    }

    /// The value.
    pub fn value(self) -> fjall::Result<UserValue> {
        self.0.map(|(_, value)| value)
    }

    /// Both.
    pub fn into_inner(self) -> fjall::Result<(UserKey, UserValue)> {
        self.0
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

    #[test]
    fn an_iterator_that_lasts_is_opened_anew_and_gives_each_key_once() {
        const KEYS: u16 = 200;
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let table = store.jobs().values;
        let insert = |keys: &mut dyn Iterator<Item = u16>| {
            let mut writes = store.jobs().database.writes();
            keys.for_each(|key| writes.insert(&table, key.to_be_bytes(), []));
            writes.commit().unwrap();
        };
        insert(&mut (0..KEYS).map(|number| number * 2));
        let number = |pair: super::Pair| u16::from_be_bytes(pair.key().unwrap()[..].try_into().unwrap());
        let mut keys = table.range(10u16.to_be_bytes()..=390u16.to_be_bytes());
        let mut given = Vec::new();
        for _ in 0..20 {
            given.push(number(keys.next().unwrap()));
            given.push(number(keys.next_back().unwrap()));
        }
        // What is behind it is not seen, what is before it is.
        insert(&mut [11, 101, 389, 391].into_iter());
        std::thread::sleep(super::RENEW_AFTER * 2);
        given.extend(keys.map(number));
        given.sort_unstable();
        let mut expected: Vec<u16> = (5..=195).map(|number| number * 2).chain([101]).collect();
        expected.sort_unstable();
        assert_eq!(given, expected);
    }

    #[test]
    fn what_was_taken_to_the_last_key_stays_empty() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let table = store.jobs().values;
        let mut writes = store.jobs().database.writes();
        (0..32u8).for_each(|key| writes.insert(&table, [7, key], []));
        writes.insert(&table, [8], []);
        writes.commit().unwrap();
        let mut keys = table.prefix([7]);
        assert_eq!(keys.by_ref().take(32).count(), 32);
        std::thread::sleep(super::RENEW_AFTER * 2);
        assert!((0..40).all(|_| keys.next().is_none() && keys.next_back().is_none()));
        assert_eq!(table.prefix([0xFF, 0xFF]).count(), 0);
        assert_eq!(table.prefix([]).rev().map(|pair| pair.key().unwrap()[0]).next(), Some(8));
    }
}
