//! What was used on each host, by day and by month.
//!
//! ```text
//! day, is it claimed, cluster, host -> the sender whose row it is, sums, and the jobs' numbers
//! ```
//! Rows of users and programs do not name hosts: a job of a thousand nodes would make a thousand
//! rows of each. So hosts have rows of their own, made of the same tallies in the same write. A
//! process may call its host what it likes, so a row counts to the share of whom it is first told
//! by. Node time is a job's, and no host's alone: it is not here.

use super::{
    SumKey, SumRow, UNKNOWN_PROGRAM,
    change::{Change, JobNumber},
    tally::SumTally,
};
use crate::{
    clock::now_ns,
    database::{SumsStore, Table, Writes},
    dates,
    fair_shares::ShareHolder,
    stored_text::{put_name, put_text, take_name, take_text},
};
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;

/// The mark of a database that has had hosts since it began.
const ALWAYS: u64 = 1;

/// The key of a row. Empty texts are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostKey<'a> {
    /// Days since 1970, UTC; of a month its first one.
    pub day: u16,
    /// Nobody proved that there was a process.
    pub is_claimed: bool,
    pub cluster: &'a [u8],
    pub host: &'a [u8],
}

impl<'a> HostKey<'a> {
    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        key.put_u16(self.day);
        key.put_u8(u8::from(self.is_claimed));
        put_name(&mut key, self.cluster);
        put_name(&mut key, self.host);
        key
    }

    /// Reads one.
    pub fn read(mut key: &'a [u8]) -> Option<Self> {
        let (day, is_claimed) = (key.try_get_u16().ok()?, key.try_get_u8().ok()? == 1);
        Some(HostKey { day, is_claimed, cluster: take_name(&mut key)?, host: take_name(&mut key)? })
    }

    /// The row of the month that has this one's day.
    pub fn of_month(self) -> Self {
        HostKey { day: dates::first_of_month(self.day), ..self }
    }

    /// The row of what has no room in this one.
    fn coarse(&self) -> Self {
        HostKey { cluster: b"", host: b"", ..*self }
    }

    /// The same as the key of a row of nobody's unknown program.
    pub fn sum_key(&self) -> SumKey<'a> {
        let HostKey { day, is_claimed, cluster, .. } = *self;
        SumKey { day, program: UNKNOWN_PROGRAM, is_claimed, cluster, ..SumKey::default() }
    }
}

/// Takes the sender whose row it is off the front of a row's value.
pub fn take_holder(value: &mut &[u8]) -> Option<ShareHolder> {
    take_text(value).map(ShareHolder::read)
}

/// The time from which on processes are counted by host; `None` where that was always so.
pub fn hosts_since_ns(store: &SumsStore) -> fjall::Result<Option<i64>> {
    Ok(Some(store.hosts_since.get()?).filter(|since| *since > ALWAYS).map(|since| since as i64))
}

/// Notes from when on processes are counted by host, in a database that does not say.
pub fn begin(store: &SumsStore) -> fjall::Result<()> {
    if store.hosts_since.get()? != 0 {
        return Ok(());
    }
    let is_new =
        [&store.rows, &store.months, &store.tallies].iter().all(|table| table.first_key_value().is_none());
    let mut writes = store.database.writes();
    writes.set(&store.hosts_since, if is_new { ALWAYS } else { now_ns().max(2) as u64 });
    writes.commit()
}

/// Notes that processes are counted by host from this day on, where that was not so for as long.
pub fn put_since(store: &SumsStore, day: u16, writes: &mut Writes) -> fjall::Result<()> {
    if hosts_since_ns(store)?.is_some_and(|since| i64::from(day) * dates::DAY_NS < since) {
        let has_older = |table: &Table| table.range([0, 0]..day.to_be_bytes()).next().is_some();
        let has_older = has_older(&store.rows) || has_older(&store.months);
        let since = if has_older { i64::from(day) * dates::DAY_NS } else { 0 };
        writes.set(&store.hosts_since, (since as u64).max(ALWAYS));
    }
    Ok(())
}

/// What rows of hosts get, by day.
#[derive(Default)]
pub struct HostChanges(BTreeMap<Vec<u8>, HostChange>);

struct HostChange {
    holder: ShareHolder,
    change: Change,
}

impl HostChanges {
    /// Adds a tally, whose job has this number.
    pub fn add(&mut self, tally: &SumTally<'_>, job: JobNumber) {
        let SumKey { day, is_claimed, cluster, .. } = tally.key;
        let key = HostKey { day, is_claimed, cluster, host: tally.host };
        self.of(key, || tally.key.holder()).add(tally, job);
    }

    fn of(&mut self, key: HostKey<'_>, holder: impl FnOnce() -> ShareHolder) -> &mut Change {
        let new = || HostChange { holder: holder(), change: Change::default() };
        &mut self.0.entry(key.bytes()).or_insert_with(new).change
    }

    /// Puts them among the writes, of each day and of its month. Returns how many processes found
    /// no room.
    pub fn put(
        self,
        store: &SumsStore,
        writes: &mut Writes,
        takes_room: &mut impl FnMut(ShareHolder) -> bool,
    ) -> fjall::Result<u64> {
        let mut months = HostChanges::default();
        for (key, HostChange { holder, change }) in &self.0 {
            let Some(key) = HostKey::read(key) else { continue };
            months.of(key.of_month(), || holder.clone()).merge(change);
        }
        let days = self.put_rows(&store.hosts, writes, takes_room)?;
        Ok(days.max(months.put_rows(&store.host_months, writes, takes_room)?))
    }

    fn put_rows(
        self,
        table: &Table,
        writes: &mut Writes,
        takes_room: &mut impl FnMut(ShareHolder) -> bool,
    ) -> fjall::Result<u64> {
        let (mut coarse, mut dropped) = (HostChanges::default(), 0);
        let mut put: BTreeMap<Vec<u8>, (ShareHolder, SumRow)> = BTreeMap::new();
        for (key, HostChange { holder, change }) in self.0 {
            match there(table, &key)? {
                Some((first, row)) => drop(put.insert(key, (first, change.applied_to(row)))),
                None if takes_room(holder.clone()) => {
                    put.insert(key, (holder, change.applied_to(SumRow::default())));
                }
                None => {
                    let Some(key) = HostKey::read(&key) else { continue };
                    coarse.of(key.coarse(), || holder).merge(&change);
                }
            }
        }
        for (key, HostChange { holder, change }) in coarse.0 {
            let before = match put.get(&key) {
                Some(row) => Some(row.clone()),
                None => there(table, &key)?,
            };
            match before {
                Some((first, row)) => drop(put.insert(key, (first, change.applied_to(row)))),
                None if takes_room(holder.clone()) => {
                    put.insert(key, (holder, change.applied_to(SumRow::default())));
                }
                None => dropped += change.processes,
            }
        }
        for (key, (holder, row)) in put {
            let mut value = Vec::new();
            put_text(&mut value, holder.as_bytes());
            value.extend(row.bytes());
            writes.insert(table, key, value);
        }
        Ok(dropped)
    }
}

fn there(table: &Table, key: &[u8]) -> fjall::Result<Option<(ShareHolder, SumRow)>> {
    let Some(value) = table.get(key)? else { return Ok(None) };
    let mut rest = &value[..];
    Ok(take_holder(&mut rest).zip(SumRow::read(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database::Store,
        sums::{EndSum, JobFacts, Status, add},
    };
    use std::cell::Cell;

    fn tally<'a>(host: &'a [u8], user: &'a [u8]) -> SumTally<'a> {
        SumTally {
            key: SumKey { day: 20_100, program: 1, user, cluster: b"c", ..SumKey::default() },
            job: b"7",
            host,
            facts: JobFacts { nodes: 2, ..JobFacts::default() },
            last_ns: 5,
            processes: 2,
            ends: Some((Status::Failed, EndSum { processes: 1, cpu_us: 10, wall_us: 3 })),
            ..SumTally::default()
        }
    }

    fn rows(table: &Table) -> Vec<(Vec<u8>, u64, u64)> {
        let read = table.iter().map(|entry| {
            let key = entry.key().unwrap();
            let (_, row) = there(table, &key).unwrap().unwrap();
            let host = HostKey::read(&key).unwrap().host.to_vec();
            (host, row.processes, row.ends[Status::Failed as usize].cpu_us)
        });
        read.collect()
    }

    #[test]
    fn a_host_counts_all_users_and_what_has_no_room_is_no_hosts() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        let mut tallies = [tally(b"n1", b"ann"), tally(b"n2", b"ann"), tally(b"n1", b"bob")];
        let write = |tallies: &mut [SumTally<'_>], has_room: &dyn Fn(&ShareHolder) -> bool| {
            let mut writes = store.database.writes();
            let added = add(&store, &mut writes, tallies, |holder, _| has_room(holder)).unwrap();
            writes.commit().unwrap();
            added.dropped
        };
        assert_eq!(write(&mut tallies, &|_| true), 0);
        let expected = [(b"n1".to_vec(), 4, 20), (b"n2".to_vec(), 2, 10)];
        assert_eq!((rows(&store.hosts), rows(&store.host_months)), (expected.to_vec(), expected.to_vec()));
        // There is no room for the new host, but for one row of none, of the day and of the month.
        let asked = Cell::new(0);
        let has_room = |_: &ShareHolder| asked.replace(asked.get() + 1) % 2 == 1;
        assert_eq!(write(&mut [tally(b"n3", b"ann"), tally(b"n1", b"ann")], &has_room), 0);
        let expected = [(b"".to_vec(), 2, 10), (b"n1".to_vec(), 6, 30), (b"n2".to_vec(), 2, 10)];
        assert_eq!((rows(&store.hosts), rows(&store.host_months)), (expected.to_vec(), expected.to_vec()));
        assert_eq!(write(&mut [tally(b"n4", b"ann")], &|_| false), 0, "the row of none is there");
        let sender = |value: &[u8]| take_holder(&mut &value[..]).unwrap();
        let senders = store.hosts.iter().map(|entry| sender(&entry.value().unwrap()));
        assert!(senders.into_iter().all(|sender| sender == ShareHolder::proved(b"ann")));
    }

    #[test]
    fn a_database_of_before_says_since_when_it_has_hosts() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        begin(&store).unwrap();
        assert_eq!(hosts_since_ns(&store).unwrap(), None);
        let mut writes = store.database.writes();
        writes.set(&store.hosts_since, 0);
        writes.insert(&store.rows, b"row", b"of before");
        writes.commit().unwrap();
        begin(&store).unwrap();
        let since = hosts_since_ns(&store).unwrap().unwrap();
        assert!((1..=now_ns()).contains(&since));
        begin(&store).unwrap();
        assert_eq!(hosts_since_ns(&store).unwrap(), Some(since), "once");
    }
}
