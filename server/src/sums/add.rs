//! Adds tallies to the rows.

use super::{
    SumKey, SumRow,
    change::{Change, JobNumber},
    digest_numbers::DigestNumbers,
    hosts::HostChanges,
    job_list,
    job_record::{JobRecord, TimeShare},
    programs::Mentions,
    tally::SumTally,
};
use crate::{
    database::{SumsStore, Table, Writes, number},
    dates::day_number,
    fair_shares::ShareHolder,
    stored_text::{put_name, take_name},
};
use std::collections::BTreeMap;

/// The keys of a job's number, and of a record of its use.
pub const NUMBER: u8 = b'n';
pub const RECORD: u8 = b'r';

/// What has become of the rows.
#[derive(Default)]
pub struct Added {
    /// New rows, and entries of jobs.
    pub new: u64,
    /// Processes that found no room.
    pub dropped: u64,
}

/// Adds tallies, in these writes. `has_room`: may this sender have one more row, where it has got
/// so many by these writes?
pub fn add(
    store: &SumsStore,
    writes: &mut Writes,
    tallies: &mut [SumTally<'_>],
    has_room: impl FnMut(&ShareHolder, u64) -> bool,
) -> fjall::Result<Added> {
    add_but(store, writes, tallies, has_room, |_| Ok(false))
}

/// The same, but for the records of jobs that stay as they are: those with these keys.
pub fn add_but(
    store: &SumsStore,
    writes: &mut Writes,
    tallies: &mut [SumTally<'_>],
    has_room: impl FnMut(&ShareHolder, u64) -> bool,
    stays: impl Fn(&[u8]) -> fjall::Result<bool>,
) -> fjall::Result<Added> {
    let (added, changes, mentions) = (Added::default(), BTreeMap::new(), Mentions::default());
    let mut adding = Adding { store, has_room, added, changes, mentions, dropped_ns: None };
    let (mut digests, mut hosts) = (DigestNumbers::new(store)?, HostChanges::default());
    for tally in tallies.iter_mut() {
        digests.put_into(tally, &mut |holder| adding.takes_room(holder))?;
    }
    digests.put(writes);
    tallies.sort_by_key(job_and_user);
    let mut next_job = store.next_job.get()?;
    let first_new = next_job;
    let mut jobs: BTreeMap<Vec<u8>, Option<NumberedJob>> = BTreeMap::new();
    for same in tallies.chunk_by(|a, b| job_and_user(a) == job_and_user(b)) {
        let job = match same[0].job {
            [] => None,
            _ => adding.job_number(same, &mut jobs, &mut next_job)?,
        };
        if job.is_some() {
            if !stays(&record_key(same))? {
                adding.add_record(same, writes)?;
            }
        } else if !same[0].job.is_empty() {
            adding.drop_job(same);
        }
        for tally in same {
            adding.change(tally.key.bytes()).add(tally, job);
            hosts.add(tally, job);
        }
    }
    for (name, job) in jobs {
        if let Some(job) = job.filter(|job| job.is_changed) {
            writes.insert(&store.jobs, name, job.bytes());
        }
    }
    if next_job != first_new {
        writes.set(&store.next_job, next_job);
    }
    if let Some(last_ns) = adding.dropped_ns {
        job_list::put_dropped(store, writes, last_ns)?;
    }
    adding.put(writes)?;
    adding.added.dropped += hosts.put(store, writes, &mut |holder| adding.takes_room(holder))?;
    adding.mentions.put(store, writes)?;
    Ok(adding.added)
}

/// A job that has a number.
pub struct NumberedJob {
    number: u32,
    /// The last day on which something was told of it.
    pub told: u16,
    /// The sender whose it is.
    holder: ShareHolder,
    /// It is not on disk like this.
    is_changed: bool,
}

impl NumberedJob {
    fn bytes(&self) -> Vec<u8> {
        let number = u64::from(self.number).to_be_bytes();
        [&number[..], &self.told.to_be_bytes(), self.holder.as_bytes()].concat()
    }

    /// Reads its bytes.
    pub fn read(value: &[u8]) -> Option<Self> {
        let number = u32::try_from(number(value)).ok()?;
        let told = u16::from_be_bytes(value.get(8..10)?.try_into().ok()?);
        let holder = ShareHolder::read(value.get(10..)?);
        Some(NumberedJob { number, told, holder, is_changed: false })
    }
}

/// The sender to whom a job's number or record counts.
pub fn job_holder(key: &[u8], value: &[u8]) -> ShareHolder {
    if key.first() == Some(&NUMBER) {
        return NumberedJob::read(value).map_or_else(ShareHolder::others, |job| job.holder);
    }
    let is_claimed = key.get(1) == Some(&1);
    let mut rest = key.get(2..).unwrap_or_default();
    let [_, user, relay] = [(); 3].map(|()| take_name(&mut rest).unwrap_or_default());
    SumKey { user, is_claimed, relay, ..SumKey::default() }.holder()
}

/// The job of a tally, its user, and who proved it.
fn job_and_user<'a>(tally: &SumTally<'a>) -> ([&'a [u8]; 4], bool) {
    let SumKey { cluster, user, is_claimed, relay, .. } = tally.key;
    ([cluster, tally.job, user, relay], is_claimed)
}

/// What the record of a job is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordKey<'a> {
    pub is_claimed: bool,
    pub cluster: &'a [u8],
    pub user: &'a [u8],
    /// The relay that told of it; empty where this machine's kernel did, or nobody proved it.
    pub relay: &'a [u8],
    pub job: &'a [u8],
}

impl<'a> RecordKey<'a> {
    fn bytes(&self) -> Vec<u8> {
        let mut key = vec![u8::from(self.is_claimed)];
        for name in [self.cluster, self.user, self.relay] {
            put_name(&mut key, name);
        }
        key.extend_from_slice(self.job);
        key
    }

    /// Reads one.
    pub fn read(mut key: &'a [u8]) -> Option<Self> {
        let (is_claimed, rest) = key.split_first()?;
        key = rest;
        let mut name = || take_name(&mut key);
        let (cluster, user, relay) = (name()?, name()?, name()?);
        Some(RecordKey { is_claimed: *is_claimed == 1, cluster, user, relay, job: key })
    }
}

/// The key of the record of these tallies, which are of one job and one user.
fn record_key(tallies: &[SumTally<'_>]) -> Vec<u8> {
    let SumKey { cluster, user, is_claimed, relay, .. } = tallies[0].key;
    RecordKey { is_claimed, cluster, user, relay, job: tallies[0].job }.bytes()
}

/// The record with this key.
pub fn record(store: &SumsStore, key: &[u8]) -> fjall::Result<Option<JobRecord>> {
    Ok(store.jobs.get(stored(key))?.and_then(|value| JobRecord::read(&value)))
}

/// The record's key among those of the table.
fn stored(key: &[u8]) -> Vec<u8> {
    [&[RECORD], key].concat()
}

struct Adding<'a, R> {
    store: &'a SumsStore,
    has_room: R,
    added: Added,
    changes: BTreeMap<Vec<u8>, Change>,
    mentions: Mentions,
    /// The last moment of jobs that found no room.
    dropped_ns: Option<i64>,
}

impl<R: FnMut(&ShareHolder, u64) -> bool> Adding<'_, R> {
    fn change(&mut self, row: Vec<u8>) -> &mut Change {
        self.changes.entry(row).or_default()
    }

    fn takes_room(&mut self, holder: ShareHolder) -> bool {
        let has_room = (self.has_room)(&holder, self.added.new);
        self.added.new += u64::from(has_room);
        has_room
    }

    /// The number of the job of these tallies.
    fn job_number(
        &mut self,
        tallies: &[SumTally<'_>],
        jobs: &mut BTreeMap<Vec<u8>, Option<NumberedJob>>,
        next: &mut u64,
    ) -> fjall::Result<JobNumber> {
        let key = &tallies[0].key;
        let mut name = vec![NUMBER];
        put_name(&mut name, key.cluster);
        name.extend_from_slice(tallies[0].job);
        if !jobs.contains_key(&name) {
            let known = match self.store.jobs.get(&name)? {
                Some(value) => NumberedJob::read(&value),
                None => match u32::try_from(*next) {
                    Ok(number) if self.takes_room(key.holder()) => {
                        *next += 1;
                        Some(NumberedJob { number, told: 0, holder: key.holder(), is_changed: true })
                    }
                    _ => None,
                },
            };
            jobs.insert(name.clone(), known);
        }
        let Some(job) = jobs.get_mut(&name).and_then(Option::as_mut) else { return Ok(None) };
        let told = tallies.iter().map(|tally| day_number(tally.last_ns)).max().unwrap_or(0);
        if told > job.told {
            (job.told, job.is_changed) = (told, true);
        }
        Ok(Some(job.number))
    }

    /// Adds processes of one job and one user to the job's record, and the difference that this
    /// makes to the rows.
    fn add_record(&mut self, tallies: &[SumTally<'_>], writes: &mut Writes) -> fjall::Result<()> {
        let (key, is_claimed) = (record_key(tallies), tallies[0].key.is_claimed);
        let known = record(self.store, &key)?;
        if known.is_none() && !self.takes_room(tallies[0].key.holder()) {
            self.drop_job(tallies);
            return Ok(());
        }
        let listed_before = known.as_ref().map(JobRecord::first_ns);
        let mut record = known.unwrap_or_default();
        let before: Vec<(Vec<u8>, TimeShare)> =
            record.shares().map(|(row, share)| (row.to_vec(), share)).collect();
        for tally in tallies {
            record.add(tally, &tally.key.bytes());
        }
        for (row, TimeShare { node_us, core_us }) in before {
            let change = self.change(row);
            change.node_us = change.node_us.wrapping_sub_unsigned(node_us);
            change.core_us = change.core_us.wrapping_sub_unsigned(core_us);
        }
        for (row, TimeShare { node_us, core_us }) in record.shares() {
            let change = self.change(row.to_vec());
            change.node_us = change.node_us.wrapping_add_unsigned(node_us);
            change.core_us = change.core_us.wrapping_add_unsigned(core_us);
        }
        job_list::put(self.store, writes, &key, &record, listed_before, is_claimed);
        writes.insert(&self.store.jobs, stored(&key), record.bytes());
        Ok(())
    }

    fn drop_job(&mut self, tallies: &[SumTally<'_>]) {
        self.dropped_ns = self.dropped_ns.max(tallies.iter().map(|tally| tally.last_ns).max());
    }

    /// Puts what has changed among the writes: of each day, and of its month.
    fn put(&mut self, writes: &mut Writes) -> fjall::Result<()> {
        let days = std::mem::take(&mut self.changes);
        let mut months: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
        for (key, change) in &days {
            let Some(row) = SumKey::read(key) else { continue };
            months.entry(row.of_month().bytes()).or_default().merge(change);
        }
        let store = self.store;
        self.put_rows(&store.rows, days, writes)?;
        self.put_rows(&store.months, months, writes)
    }

    fn put_rows(
        &mut self,
        table: &Table,
        changes: BTreeMap<Vec<u8>, Change>,
        writes: &mut Writes,
    ) -> fjall::Result<()> {
        // What has no room for a row of its own, under the row of the user's unknown programs.
        let mut coarse: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
        let mut put: BTreeMap<Vec<u8>, SumRow> = BTreeMap::new();
        for (key, change) in changes {
            let Some(row) = SumKey::read(&key) else { continue };
            let before = table.get(&key)?.and_then(|value| SumRow::read(&value));
            if before.is_none() && !self.takes_room(row.holder()) {
                coarse.entry(row.coarse().bytes()).or_default().merge(&change);
                continue;
            }
            if before.is_none() {
                self.mentions.add_row(&row, 1);
            }
            put.insert(key.clone(), change.applied_to(before.unwrap_or_default()));
        }
        for (key, change) in coarse {
            let before = match put.get(&key) {
                Some(row) => Some(row.clone()),
                None => table.get(&key)?.and_then(|value| SumRow::read(&value)),
            };
            let holder = SumKey::read(&key).map(|row| row.holder());
            if before.is_none() && !holder.is_some_and(|holder| self.takes_room(holder)) {
                self.added.dropped += change.processes;
                continue;
            }
            put.insert(key, change.applied_to(before.unwrap_or_default()));
        }
        for (key, row) in put {
            writes.insert(table, key, row.bytes());
        }
        Ok(())
    }
}
