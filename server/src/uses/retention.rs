//! What goes from the uses, so that they stay bounded: the jobs of old rows, and programs that were
//! unused the longest. What is too much is taken from senders with more than their share.
//!
//! Rows are swept a slice at a time, all the time, so that no sweep is ever long. A row that is old
//! loses its job, and later its day: what was many rows becomes one, and no process is lost.
//! Programs go when there are nearly as many as there may be: a sixteenth at once, so that this is
//! rare.

use super::{
    ProgramNumber, Uses,
    forgotten::Forgotten,
    objects,
    old_rows::{self, About},
    program::Program,
    program_numbers,
    rows::{self, Count, RowKey, Whole},
    shares::{Owner, ShareChanges},
    use_counts::UseCounts,
};
use crate::{
    clock::{now_ns, oldest_kept_ns},
    database::Writes,
    dates::day_number,
    sums::{self, RowChanges, job_list},
};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tracing::info;

/// Rows looked at in one slice.
const SLICE: usize = 20_000;

/// The shortest time between two removals of programs.
const REMOVE_EVERY: Duration = Duration::from_secs(60);

/// Programs removed in one write.
const REMOVED_AT_ONCE: usize = 1000;

/// Outside jobs, processes of this many last days are kept apart by their day; before that by
/// periods of so many days.
const DAYS_APART: u16 = 35;
const PERIOD_DAYS: u16 = 30;

/// The progress of the sweep.
#[derive(Default)]
pub struct Sweep {
    after: Vec<u8>,
    after_old: Vec<u8>,
    after_listed: Vec<u8>,
    after_job: Vec<u8>,
    /// Passes since there were too many rows.
    pressure: u32,
    programs_went: Option<Instant>,
}

impl Uses {
    /// Sweeps a slice.
    pub fn sweep(&self, sweep: &mut Sweep, counts: &mut UseCounts) -> Result<()> {
        let oldest = oldest_kept_ns(self.config.jobs_keep.0);
        self.sweep_rows(sweep, now_ns(), oldest)?;
        job_list::sweep(&self.store.sums, oldest, SLICE, &mut sweep.after_listed)?;
        old_rows::sweep(&self.store, oldest, SLICE, &mut sweep.after_old)?;
        self.sweep_sums(sweep, oldest_kept_ns(self.config.days_keep.0))?;
        let is_full = {
            let shares = self.shares();
            self.store.program_count.get()? >= shares.programs.soft_max()
                || self.store.object_count.get()? >= shares.objects.soft_max()
        };
        if is_full && sweep.programs_went.is_none_or(|went| went.elapsed() > REMOVE_EVERY) {
            sweep.programs_went = Some(Instant::now());
            // What is gathered or on its way may count a program that goes.
            self.write(counts)?;
            while self.add_some()? {}
            counts.programs.forget(&mut self.shares());
            self.remove_excess()?;
        }
        Ok(())
    }

    /// Takes their jobs from rows that are old, and from those of senders with more rows than their
    /// share: half as old with each pass, while there are too many rows.
    fn sweep_rows(&self, sweep: &mut Sweep, now: i64, oldest: i64) -> Result<()> {
        let from = std::mem::take(&mut sweep.after);
        let mut shares = self.shares();
        let is_full = self.store.row_count.get()? >= shares.rows.soft_max();
        sweep.pressure = if is_full { sweep.pressure.max(1) } else { 0 };
        // Nothing is old while the clock is in doubt.
        let oldest_of_excess = match oldest {
            i64::MIN => oldest,
            _ => now.saturating_sub(now.saturating_sub(oldest).checked_shr(sweep.pressure).unwrap_or(0)),
        };
        let mut changes = ShareChanges::default();
        // Programs whose rows lost a job before it was old, and whose rows they were.
        let (mut cut, mut forgotten) = (BTreeSet::new(), Forgotten::default());
        let mut writes = self.store.database.writes();
        let (mut looked, mut gone) = (0, 0u64);
        // What old rows become, with what is there under the same key.
        let mut merged: BTreeMap<Vec<u8>, Count> = BTreeMap::new();
        let mut coarse_key = Vec::new();
        for row in self.store.rows.range(from..).take(SLICE) {
            let (key, value) = row.into_inner()?;
            looked += 1;
            if let Some(row) = RowKey::read(&key) {
                let count = rows::read(&value, row.is_claimed);
                let is_excess =
                    is_full && shares.rows.excess(&Owner::One(shares.rows.holder(row.holder()))) > 0;
                let coarse = coarse(&row, &count, now, if is_excess { oldest_of_excess } else { oldest });
                if coarse != row {
                    if coarse.job != row.job && count.last_ns >= oldest {
                        cut.insert(row.program);
                        forgotten.add_sender(row.holder(), count.last_ns, true);
                    }
                    coarse.write(&mut coarse_key);
                    writes.remove(&self.store.rows, key.clone());
                    gone += 1;
                    changes.add_one(shares.rows.holder(row.holder()), -1);
                    let known = match merged.get_mut(&coarse_key) {
                        Some(known) => known,
                        None => {
                            let there = self.store.rows.get(&coarse_key)?;
                            if there.is_none() {
                                gone -= 1;
                                changes.add_one(shares.rows.holder(row.holder()), 1);
                            }
                            let before = there.map_or(Count::default(), |v| rows::read(&v, row.is_claimed));
                            merged.entry(coarse_key.clone()).or_insert(before)
                        }
                    };
                    known.add(&count);
                }
            }
            sweep.after = key.to_vec();
        }
        for (key, count) in merged {
            writes.insert(&self.store.rows, key, rows::value(&count));
        }
        for program in cut {
            let key = program.to_be_bytes();
            let whole = self.store.rows.get(key)?.map(|value| Whole::read(&value)).unwrap_or_default();
            if !whole.is_cut {
                writes.insert(&self.store.rows, key, Whole { is_cut: true, ..whole }.value());
            }
        }
        if looked < SLICE {
            sweep.after.clear();
            sweep.pressure += u32::from(is_full);
        }
        if !writes.is_empty() {
            let rows = self.store.row_count.get()?.saturating_sub(gone);
            writes.set(&self.store.row_count, rows);
            shares.rows.put(&self.store, &changes, &mut writes);
            forgotten.put(self, &mut shares.forgotten, &mut writes)?;
            writes.commit()?;
            shares.rows.apply(changes);
            shares.rows.look();
            self.metrics.use_rows.set(rows);
            for (holder, lost) in forgotten.over() {
                self.metrics.sender_over("uses.rows_max", holder, lost);
            }
        }
        Ok(())
    }

    /// Removes days that are long past, and forgets jobs of which nothing is told any more.
    fn sweep_sums(&self, sweep: &mut Sweep, oldest: i64) -> Result<()> {
        let sums = &self.store.sums;
        let mut writes = sums.database.writes();
        let before = day_number(oldest);
        let mut changes = sums::forget_days(sums, before, SLICE, &mut writes)?;
        let after = std::mem::take(&mut sweep.after_job);
        let (of_jobs, after) = sums::forget_jobs(sums, before, after, SLICE, &mut writes)?;
        sweep.after_job = after;
        changes.extend(of_jobs);
        if changes.is_empty() {
            return Ok(());
        }
        self.put_sum_changes(changes, writes)
    }

    /// Completes the months of a server of before.
    pub(super) fn complete_months(&self) -> Result<()> {
        let sums = &self.store.sums;
        loop {
            let mut writes = sums.database.writes();
            match sums::complete_day(sums, &mut writes)? {
                Some(changes) => self.put_sum_changes(changes, writes)?,
                None => return Ok(()),
            }
        }
    }

    /// Makes the writes, and counts rows that came and went with their senders.
    pub(super) fn put_sum_changes(&self, changes: RowChanges, mut writes: Writes) -> Result<()> {
        let sums = &self.store.sums;
        let mut shares = self.shares();
        let mut share_changes = ShareChanges::default();
        let mut rows = sums.row_count.get()?;
        for (holder, more) in changes {
            rows = rows.saturating_add_signed(more);
            share_changes.add_one(shares.sums.holder(holder), more);
        }
        writes.set(&sums.row_count, rows);
        shares.sums.put(&self.store, &share_changes, &mut writes);
        writes.commit()?;
        shares.sums.apply(share_changes);
        shares.sums.look();
        self.metrics.sum_rows.set(rows);
        Ok(())
    }

    /// Removes programs of senders with more than their share, those that were unused the longest.
    fn remove_excess(&self) -> Result<()> {
        let mut shares = self.shares();
        shares.programs.look();
        shares.objects.look();
        let are_objects_full = self.store.object_count.get()? >= shares.objects.soft_max();
        let mut excess = self.store.program_count.get()?.saturating_sub(shares.programs.capacity());
        let mut last_used: Vec<(i64, ProgramNumber, u32)> = Vec::new();
        // Each with the number of programs that are too many, and with that of those which go in
        // any case, because of their objects.
        let mut owners: Vec<(Owner, u64, u64)> = Vec::new();
        let mut numbers: HashMap<Vec<u8>, u32> = HashMap::new();
        for entry in self.store.programs.iter() {
            let program = rows::program(&entry.key()?);
            let Whole { count, owner, .. } = self.whole(program)?;
            let number = match numbers.get(owner.as_bytes()) {
                Some(known) => *known,
                None => {
                    numbers.insert(owner.as_bytes().to_vec(), owners.len() as u32);
                    let has = shares.programs.get(&owner);
                    let by_objects = match are_objects_full {
                        true => shares.objects.excess_percent(&owner) * has / 100,
                        false => 0,
                    };
                    owners.push((owner.clone(), shares.programs.excess(&owner), by_objects));
                    owners.len() as u32 - 1
                }
            };
            if owners.get(number as usize).is_some_and(|(_, excess, by_objects)| excess + by_objects > 0) {
                last_used.push((count.last_ns, program, number));
            }
        }
        last_used.sort_unstable();
        drop(shares);
        let mut gone = vec![0; owners.len()];
        last_used.retain(|(_, _, owner)| {
            let at = *owner as usize;
            let goes = gone[at] < owners[at].2 || (excess > 0 && gone[at] < owners[at].1);
            if goes {
                gone[at] += 1;
                excess = excess.saturating_sub(1);
            }
            goes
        });
        for ((owner, ..), gone) in owners.iter().zip(gone).filter(|(_, gone)| *gone > 0) {
            match owner {
                Owner::One(holder) => self.metrics.sender_over("uses.programs_max", holder, gone),
                Owner::Several => info!("{gone} programs of several users were unused the longest, and go"),
            }
        }
        for group in last_used.chunks(REMOVED_AT_ONCE) {
            self.remove_programs(group)?;
        }
        Ok(())
    }

    fn remove_programs(&self, group: &[(i64, ProgramNumber, u32)]) -> Result<()> {
        let store = &self.store;
        let (mut writes, mut rows_gone) = (store.database.writes(), 0);
        let mut unused = BTreeSet::new();
        let (mut program_shares, mut row_shares) = (ShareChanges::default(), ShareChanges::default());
        let mut forgotten = Forgotten::default();
        let mut shares = self.shares();
        for (last_ns, program, _) in group {
            for row in store.rows.prefix(program.to_be_bytes()) {
                let (key, value) = row.into_inner()?;
                match RowKey::read(&key) {
                    Some(row) => {
                        rows_gone += 1;
                        let last_ns = rows::read(&value, row.is_claimed).last_ns;
                        forgotten.add_sender(row.holder(), last_ns, false);
                        row_shares.add_one(shares.rows.holder(row.holder()), -1);
                    }
                    None => program_shares.add(&Whole::read(&value).owner, -1),
                }
                writes.remove(&store.rows, key);
            }
            old_rows::remove(store, *program, &mut writes)?;
            let Some(bytes) = store.programs.get(program.to_be_bytes())? else { continue };
            writes.remove(&store.program_numbers, &Sha256::digest(&bytes)[..16]);
            program_numbers::remove_starts(store, *program, &mut writes)?;
            let Some(read) = Program::read(&bytes) else { continue };
            let named = Program { libraries: Vec::new(), objects: Vec::new(), ..read.clone() };
            sums::keep_name(&store.sums, *program, &named.bytes(), &mut writes)?;
            for signature in read.signatures() {
                let key = [&signature.as_bytes()[..], &program.to_be_bytes()].concat();
                writes.remove(&store.programs_with, key);
            }
            forgotten.add(read.signatures().copied(), &read.objects, *last_ns);
            objects::remove_program(store, *program, &read.objects, &mut writes);
            unused.extend(read.objects);
            writes.remove(&store.programs, program.to_be_bytes());
        }
        forgotten.put(self, &mut shares.forgotten, &mut writes)?;
        let programs = store.program_count.get()?.saturating_sub(group.len() as u64);
        let rows = store.row_count.get()?.saturating_sub(rows_gone);
        writes.set(&store.program_count, programs);
        writes.set(&store.row_count, rows);
        shares.programs.put(store, &program_shares, &mut writes);
        shares.rows.put(store, &row_shares, &mut writes);
        writes.commit()?;
        shares.programs.apply(program_shares);
        shares.rows.apply(row_shares);
        self.metrics.programs.set(programs);
        self.metrics.use_rows.set(rows);
        objects::remove_unused(self, &unused, &mut shares)
    }

    /// The whole of a program, with what old rows have of it.
    pub(super) fn whole(&self, program: ProgramNumber) -> fjall::Result<Whole> {
        let value = self.store.rows.get(program.to_be_bytes())?;
        let mut whole = value.map(|value| Whole::read(&value)).unwrap_or_default();
        if self.has_old_rows {
            old_rows::each(&self.store, program, |about, _, count, _| {
                if about == About::User {
                    whole.count.add(&count);
                }
            })?;
        }
        Ok(whole)
    }
}

/// What a row becomes: an old one has no job, and what has none is kept by days for a while only.
fn coarse<'a>(row: &RowKey<'a>, count: &Count, now: i64, oldest: i64) -> RowKey<'a> {
    let mut coarse = *row;
    if count.last_ns < oldest {
        (coarse.cluster, coarse.job) = (b"", b"");
    }
    if coarse.job.is_empty() && row.day.saturating_add(DAYS_APART) < day_number(now) {
        coarse.day -= coarse.day % PERIOD_DAYS;
    }
    coarse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_loses_its_job_when_it_is_old_and_outside_jobs_its_day() {
        let day = 86_400 * 1_000_000_000;
        let (now, oldest) = (20_000 * day, 19_600 * day);
        let row = |day, job| RowKey { program: 1, day, cluster: b"c", job, ..RowKey::default() };
        let at = |last_ns| Count { processes: 1, last_ns, ..Count::default() };
        let young = row(19_990, b"1");
        assert_eq!(coarse(&young, &at(19_990 * day), now, oldest), young);
        let middle = row(19_700, b"1");
        assert_eq!(coarse(&middle, &at(19_700 * day), now, oldest), middle);
        let gone = RowKey { day: 19_500, cluster: b"", ..row(0, b"") };
        assert_eq!(coarse(&row(19_510, b"1"), &at(19_510 * day), now, oldest), gone);
        assert_eq!(coarse(&gone, &at(19_510 * day), now, oldest), gone, "once");
        assert_eq!(coarse(&row(19_990, b""), &at(19_990 * day), now, oldest).day, 19_990);
        assert_eq!(coarse(&row(19_960, b""), &at(19_960 * day), now, oldest).day, 19_950);
    }
}
