//! What goes from the uses, so that they stay bounded: the jobs of old rows, and programs that were
//! unused the longest.
//!
//! Rows are swept a slice at a time, all the time, so that no sweep is ever long. A row that is old
//! loses its job, and later its day: what was many rows becomes one, and no process is lost.
//! Programs go when there are as many as there may be: a sixteenth at once, so that this is rare.

use super::{
    ProgramNumber, Uses, objects,
    old_rows::{self, About},
    rows::{self, Count, RowKey, Whole},
    use_counts::UseCounts,
};
use crate::clock::{now_ns, oldest_kept_ns};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
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
    programs_went: Option<Instant>,
}

impl Uses {
    /// Sweeps a slice.
    pub fn sweep(&self, sweep: &mut Sweep, counts: &mut UseCounts) -> Result<()> {
        let oldest = oldest_kept_ns(self.config.jobs_keep.0);
        self.sweep_rows(sweep, now_ns(), oldest)?;
        old_rows::sweep(&self.store, oldest, SLICE, &mut sweep.after_old)?;
        let is_full = self.store.program_count.get()? >= self.config.programs_max as u64;
        if is_full && sweep.programs_went.is_none_or(|went| went.elapsed() > REMOVE_EVERY) {
            sweep.programs_went = Some(Instant::now());
            // What is gathered or on its way may count a program that goes.
            self.write(counts)?;
            while self.add_some()? {}
            counts.programs.forget();
            self.remove_longest_unused()?;
        }
        Ok(())
    }

    /// Takes their jobs from rows that were last seen before `oldest`.
    fn sweep_rows(&self, sweep: &mut Sweep, now: i64, oldest: i64) -> Result<()> {
        let from = std::mem::take(&mut sweep.after);
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
                let coarse = coarse(&row, &count, now, oldest);
                if coarse != row {
                    coarse.write(&mut coarse_key);
                    writes.remove(&self.store.rows, key.clone());
                    gone += 1;
                    let known = match merged.get_mut(&coarse_key) {
                        Some(known) => known,
                        None => {
                            let there = self.store.rows.get(&coarse_key)?;
                            gone -= u64::from(there.is_none());
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
        if looked < SLICE {
            sweep.after.clear();
        }
        if !writes.is_empty() {
            let rows = self.store.row_count.get()?.saturating_sub(gone);
            writes.set(&self.store.row_count, rows);
            writes.commit()?;
            self.metrics.use_rows.set(rows);
        }
        Ok(())
    }

    fn remove_longest_unused(&self) -> Result<()> {
        let mut last_used: Vec<(i64, ProgramNumber)> = Vec::new();
        for entry in self.store.programs.iter() {
            let program = rows::program(&entry.key()?);
            last_used.push((self.whole(program)?.count.last_ns, program));
        }
        last_used.sort_unstable();
        let count = self.store.program_count.get()? as usize;
        last_used.truncate(count.saturating_sub(self.config.programs_max - self.config.programs_max / 16));
        info!("uses.programs_max is reached: {} programs that were unused the longest go", last_used.len());
        for group in last_used.chunks(REMOVED_AT_ONCE) {
            self.remove_programs(group)?;
        }
        Ok(())
    }

    fn remove_programs(&self, group: &[(i64, ProgramNumber)]) -> Result<()> {
        let store = &self.store;
        let (mut writes, mut rows_gone) = (store.database.writes(), 0);
        let mut unused = BTreeSet::new();
        for (_, program) in group {
            for row in store.rows.prefix(program.to_be_bytes()) {
                let key = row.key()?;
                rows_gone += u64::from(key.len() > 8);
                writes.remove(&store.rows, key);
            }
            old_rows::remove(store, *program, &mut writes)?;
            let Some(bytes) = store.programs.get(program.to_be_bytes())? else { continue };
            writes.remove(&store.program_numbers, &Sha256::digest(&bytes)[..16]);
            let Some(read) = self.program(*program)? else { continue };
            for signature in read.signatures() {
                let key = [&signature.as_bytes()[..], &program.to_be_bytes()].concat();
                writes.remove(&store.programs_with, key);
            }
            objects::remove_program(store, *program, &read.objects, &mut writes);
            unused.extend(read.objects);
            writes.remove(&store.programs, program.to_be_bytes());
        }
        let programs = store.program_count.get()?.saturating_sub(group.len() as u64);
        let rows = store.row_count.get()?.saturating_sub(rows_gone);
        writes.set(&store.program_count, programs);
        writes.set(&store.row_count, rows);
        writes.commit()?;
        self.metrics.programs.set(programs);
        self.metrics.use_rows.set(rows);
        Ok(objects::remove_unused(store, &unused)?)
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
    if coarse.job.is_empty() && row.day.saturating_add(DAYS_APART) < rows::day(now) {
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
