//! Adds tallies to the rows.

use super::{
    EndSum, STATUSES, SumKey, SumRow, UNKNOWN_PROGRAM,
    job_record::{JobRecord, TimeShare},
    tally::SumTally,
};
use crate::{
    database::{SumsStore, Writes, number},
    fair_shares::ShareHolder,
    stored_text::put_name,
};
use std::collections::BTreeMap;

/// The keys of a job's number, and of a record of its use.
const NUMBER: u8 = b'n';
const RECORD: u8 = b'r';

/// The number of a job's number that has no room.
type JobNumber = Option<u32>;

/// What has become of the rows.
#[derive(Default)]
pub struct Added {
    /// The senders of new rows, each as often as it has some.
    pub new: Vec<ShareHolder>,
    /// Processes that found no room.
    pub dropped: u64,
}

/// What one row gets.
#[derive(Default)]
struct Change {
    processes: u64,
    ends: [EndSum; STATUSES.len()],
    node_us: i64,
    core_us: i64,
    jobs: Vec<u32>,
    /// A job of it has no number.
    is_cut: bool,
}

/// Adds tallies, in these writes. `has_room`: may this sender have one more row, where it has got
/// so many by these writes?
pub fn add(
    store: &SumsStore,
    writes: &mut Writes,
    tallies: &mut [SumTally<'_>],
    has_room: impl Fn(&ShareHolder, u64) -> bool,
) -> fjall::Result<Added> {
    let mut adding = Adding { store, has_room, added: Added::default(), changes: BTreeMap::new() };
    tallies.sort_by_key(job_and_user);
    let mut next_job = store.next_job.get()?;
    let first_new = next_job;
    let mut numbers: BTreeMap<Vec<u8>, JobNumber> = BTreeMap::new();
    for same in tallies.chunk_by(|a, b| job_and_user(a) == job_and_user(b)) {
        let job = match same[0].job {
            [] => None,
            _ => adding.job_number(&same[0], &mut numbers, &mut next_job, writes)?,
        };
        if job.is_some() {
            adding.add_record(same, writes)?;
        }
        for tally in same {
            adding.change(tally.key.bytes()).add(tally, job);
        }
    }
    if next_job != first_new {
        writes.set(&store.next_job, next_job);
    }
    adding.put(writes)?;
    Ok(adding.added)
}

/// The job of a tally, its user, and who proved it.
fn job_and_user<'a>(tally: &SumTally<'a>) -> ([&'a [u8]; 4], bool) {
    let SumKey { cluster, user, is_claimed, relay, .. } = tally.key;
    ([cluster, tally.job, user, relay], is_claimed)
}

struct Adding<'a, R> {
    store: &'a SumsStore,
    has_room: R,
    added: Added,
    changes: BTreeMap<Vec<u8>, Change>,
}

impl<R: Fn(&ShareHolder, u64) -> bool> Adding<'_, R> {
    fn change(&mut self, row: Vec<u8>) -> &mut Change {
        self.changes.entry(row).or_default()
    }

    fn takes_room(&mut self, holder: ShareHolder) -> bool {
        let has_room = (self.has_room)(&holder, self.added.new.len() as u64);
        if has_room {
            self.added.new.push(holder);
        }
        has_room
    }

    /// The number of the tally's job.
    fn job_number(
        &mut self,
        tally: &SumTally<'_>,
        numbers: &mut BTreeMap<Vec<u8>, JobNumber>,
        next: &mut u64,
        writes: &mut Writes,
    ) -> fjall::Result<JobNumber> {
        let mut key = vec![NUMBER];
        put_name(&mut key, tally.key.cluster);
        key.extend_from_slice(tally.job);
        if let Some(known) = numbers.get(&key) {
            return Ok(*known);
        }
        let known = match self.store.jobs.get(&key)? {
            Some(known) => u32::try_from(number(&known)).ok(),
            None => match u32::try_from(*next) {
                Ok(fresh) if self.takes_room(tally.key.holder()) => {
                    *next += 1;
                    writes.insert(&self.store.jobs, &key[..], u64::from(fresh).to_be_bytes());
                    Some(fresh)
                }
                _ => None,
            },
        };
        numbers.insert(key, known);
        Ok(known)
    }

    /// Adds processes of one job and one user to the job's record, and the difference that this
    /// makes to the rows.
    fn add_record(&mut self, tallies: &[SumTally<'_>], writes: &mut Writes) -> fjall::Result<()> {
        let SumKey { cluster, user, is_claimed, relay, .. } = tallies[0].key;
        let mut key = vec![RECORD, u8::from(is_claimed)];
        for name in [cluster, user, relay] {
            put_name(&mut key, name);
        }
        key.extend_from_slice(tallies[0].job);
        let known = self.store.jobs.get(&key)?.and_then(|value| JobRecord::read(&value));
        if known.is_none() && !self.takes_room(tallies[0].key.holder()) {
            return Ok(());
        }
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
        writes.insert(&self.store.jobs, key, record.bytes());
        Ok(())
    }

    /// Puts what has changed among the writes.
    fn put(&mut self, writes: &mut Writes) -> fjall::Result<()> {
        let changes = std::mem::take(&mut self.changes);
        // What has no room for a row of its own, under the row of the user's unknown programs.
        let mut coarse: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
        let mut put: BTreeMap<Vec<u8>, SumRow> = BTreeMap::new();
        for (key, change) in changes {
            let Some(row) = SumKey::read(&key) else { continue };
            let before = self.store.rows.get(&key)?.and_then(|value| SumRow::read(&value));
            if before.is_none() && !self.takes_room(row.holder()) {
                let row = SumKey { program: UNKNOWN_PROGRAM, account: b"", partition: b"", ..row };
                coarse.entry(row.bytes()).or_default().merge(change);
                continue;
            }
            put.insert(key.clone(), change.applied_to(before.unwrap_or_default()));
        }
        for (key, change) in coarse {
            let before = match put.get(&key) {
                Some(row) => Some(row.clone()),
                None => self.store.rows.get(&key)?.and_then(|value| SumRow::read(&value)),
            };
            let holder = SumKey::read(&key).map(|row| row.holder());
            if before.is_none() && !holder.is_some_and(|holder| self.takes_room(holder)) {
                self.added.dropped += change.processes;
                continue;
            }
            put.insert(key, change.applied_to(before.unwrap_or_default()));
        }
        for (key, row) in put {
            writes.insert(&self.store.rows, key, row.bytes());
        }
        Ok(())
    }
}

impl Change {
    fn add(&mut self, tally: &SumTally<'_>, job: JobNumber) {
        self.processes += tally.processes;
        if let Some((status, sum)) = &tally.ends {
            self.ends[*status as usize].add(sum);
        }
        self.jobs.extend(job);
        self.is_cut |= job.is_none() && !tally.job.is_empty();
    }

    fn merge(&mut self, other: Change) {
        self.processes += other.processes;
        self.ends.iter_mut().zip(&other.ends).for_each(|(end, more)| end.add(more));
        self.node_us = self.node_us.wrapping_add(other.node_us);
        self.core_us = self.core_us.wrapping_add(other.core_us);
        self.jobs.extend(other.jobs);
        self.is_cut |= other.is_cut;
    }

    fn applied_to(self, mut row: SumRow) -> SumRow {
        row.processes = row.processes.saturating_add(self.processes);
        row.ends.iter_mut().zip(&self.ends).for_each(|(end, more)| end.add(more));
        row.node_us = row.node_us.saturating_add_signed(self.node_us);
        row.core_us = row.core_us.saturating_add_signed(self.core_us);
        row.jobs.add(&self.jobs);
        row.jobs.is_cut |= self.is_cut;
        row
    }
}
