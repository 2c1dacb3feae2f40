//! What tells one server's log from all others, also from its own copies.
//!
//! A log has a random number, the partition, and a list of the times that it was opened: each has a
//! random number and the place where the log ended then. The ledger keeps the list of whoever wrote
//! last. So a directory that was copied, or restored from an older backup, is noticed: one of both
//! lists has an opening that the other lacks. From that place on, the two are different logs. The
//! one that comes second goes on as a new partition from there. So nothing is lost or written
//! twice: `a_copy_of_a_servers_directory_writes_nothing_twice_and_loses_nothing` in
//! `server/tests/server/cluster.rs`.

use crate::database::{LedgerStore, number};
use anyhow::Result;
use std::collections::HashSet;

/// Most openings that are remembered.
const OPENINGS_MAX: usize = 100;

/// One time that the log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// A random number.
    pub id: i64,
    /// The place where the log ended.
    pub end: u64,
}

/// See the module.
#[derive(Clone)]
pub struct Log {
    store: LedgerStore,
    partition: i64,
    openings: Vec<Opening>,
}

impl Log {
    /// Opens the log, whose next batch is `end`. A log that nobody has opened before begins at
    /// `begin`.
    pub fn open(store: LedgerStore, begin: u64, end: u64) -> Result<Self> {
        let known = store.log_number.get()?;
        let mut openings = read(&store.openings.get(LedgerStore::OPENINGS)?.unwrap_or_default());
        let place = if known == 0 { begin } else { end };
        if known == 0 {
            openings.clear();
        }
        openings.push(Opening { id: random(), end: place });
        if openings.len() > OPENINGS_MAX {
            openings.drain(..openings.len() - OPENINGS_MAX);
        }
        let partition = if known == 0 { random() } else { known as i64 };
        let log = Log { store, partition, openings };
        log.write()?;
        Ok(log)
    }

    /// Goes on as another log from this place.
    pub fn part(&mut self, place: u64) -> Result<()> {
        let mut log = self.clone();
        (log.partition, log.openings) = (random(), vec![Opening { id: random(), end: place }]);
        log.write()?;
        *self = log;
        Ok(())
    }

    /// The number of the log.
    pub fn partition(&self) -> i64 {
        self.partition
    }

    /// The place where it begins.
    pub fn begin(&self) -> u64 {
        self.openings.first().map_or(0, |first| first.end)
    }

    /// The openings as the ledger keeps them.
    pub fn openings(&self) -> Vec<i64> {
        self.openings.iter().flat_map(|opening| [opening.id, opening.end as i64]).collect()
    }

    /// The place from which on this log is not the one that the ledger knows by these openings, and
    /// of which it has everything before `next`.
    pub fn divergence(&self, openings: &[i64], next: u64) -> Option<u64> {
        let theirs: Vec<Opening> = openings
            .chunks_exact(2)
            .map(|opening| Opening { id: opening[0], end: opening[1] as u64 })
            .collect();
        let own_new = first_unknown(&self.openings, &theirs);
        match first_unknown(&theirs, &self.openings) {
            Some(their_new) => Some(own_new.map_or(their_new, |own| own.min(their_new))),
            // They have more than this log had when it was opened: it is older than it was.
            None => own_new.filter(|own| next > *own),
        }
    }

    fn write(&self) -> Result<()> {
        let mut writes = self.store.database.writes();
        writes.set(&self.store.log_number, self.partition as u64);
        let openings: Vec<u8> = self.openings().into_iter().flat_map(i64::to_be_bytes).collect();
        writes.insert(&self.store.openings, LedgerStore::OPENINGS, openings);
        writes.commit()?;
        Ok(self.store.database.sync()?)
    }
}

/// The end of the first opening that the others do not know, behind the last that they know.
fn first_unknown(openings: &[Opening], others: &[Opening]) -> Option<u64> {
    let others: HashSet<i64> = others.iter().map(|opening| opening.id).collect();
    let behind = openings.iter().rposition(|opening| others.contains(&opening.id)).map_or(0, |at| at + 1);
    openings.get(behind).map(|opening| opening.end)
}

fn read(bytes: &[u8]) -> Vec<Opening> {
    let opening = |pair: &[u8]| Opening { id: number(&pair[..8]) as i64, end: number(&pair[8..]) };
    bytes.chunks_exact(16).map(opening).collect()
}

/// A number that nobody else has, and not zero.
fn random() -> i64 {
    (uuid::Uuid::new_v4().as_u64_pair().1 >> 1) as i64 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;
    use std::path::Path;

    fn opened(directory: &Path, end: u64) -> Log {
        Log::open(Store::open(directory).unwrap().ledger(), 0, end).unwrap()
    }

    #[test]
    fn a_log_that_is_opened_again_is_the_same_one() {
        let directory = tempfile::tempdir().unwrap();
        let told = opened(directory.path(), 5).openings();
        // Places of before count from where it was opened first.
        assert_eq!(told[1], 0);
        opened(directory.path(), 20);
        let log = opened(directory.path(), 30);
        assert_eq!((log.begin(), log.divergence(&told, 15), log.divergence(&told, 20)), (0, None, None));
        assert_eq!(log.divergence(&log.openings(), 40), None);
        // The disk has forgotten what the ledger has.
        assert_eq!(log.divergence(&told, 21), Some(20));
    }

    #[test]
    fn a_copy_parts_where_it_was_made() {
        let [one, two] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        opened(one.path(), 10);
        Store::copy(one.path(), two.path(), 0).unwrap();
        let copy = opened(two.path(), 70);
        let own = opened(one.path(), 90);
        for (log, other) in [(&own, &copy), (&copy, &own)] {
            assert_eq!(log.partition(), other.partition());
            assert_eq!(log.divergence(&other.openings(), 50), Some(70));
        }
        let (mut parted, before) = (copy.clone(), copy.partition());
        parted.part(70).unwrap();
        assert!(parted.partition() != before && parted.begin() == 70);
        drop((copy, parted));
        let again = opened(two.path(), 99);
        assert!(again.partition() != before && again.begin() == 70);
    }
}
