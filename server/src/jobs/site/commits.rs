//! All events of a partition in the order of its log, for whoever counts them.

#![expect(dead_code, reason = "whoever counts for the site reads them")]

use super::Site;
use crate::{jobs::CONSUMER, ledger::LedgerError};
use std::time::Duration;

/// How long one step may take.
const STEP: Duration = Duration::from_secs(20);

/// Rows that are read at once.
const ROWS: i64 = 2000;

const SELECT: &str = include_str!("commits.sql");

/// What was written in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The first batch of the log that it has, and the one behind its last.
    pub first: u64,
    pub next: u64,
    /// Entries, one after the other, by job and sender.
    pub entries: Vec<u8>,
}

impl Site {
    /// All partitions, each with the place up to which it is written.
    pub fn partitions(&self) -> Result<Vec<(i64, u64)>, LedgerError> {
        self.ledger.partitions(CONSUMER)
    }

    /// Whole commits of a partition from a place on: those that have at most so many compressed
    /// bytes together, and one at least. None where nothing was written after the place.
    pub fn read_commits(&self, partition: i64, from: u64, bytes_max: usize) -> anyhow::Result<Vec<Commit>> {
        let (from, bytes_max) = (from as i64, i64::try_from(bytes_max).unwrap_or(i64::MAX));
        let rows = self.ledger.ask(STEP, move |session| {
            Box::pin(async move { Ok(session.query(SELECT, &[&partition, &from, &bytes_max, &ROWS]).await?) })
        })?;
        let mut commits: Vec<Commit> = Vec::new();
        for row in rows {
            let [first, next] = [0, 1].map(|column| row.get::<_, i64>(column) as u64);
            if commits.last().is_none_or(|last| last.first != first) {
                commits.push(Commit { first, next, entries: Vec::new() });
            }
            let entries = lz4_flex::decompress_size_prepended(row.get(2))?;
            if let Some(last) = commits.last_mut() {
                last.entries.extend(entries);
            }
        }
        Ok(commits)
    }
}
