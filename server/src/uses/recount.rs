//! Sums that are counted again, from the events that are kept, in tables of their own.
//!
//! Events are counted by the same code as when they came ([`super::Uses::count`]). What is there
//! already has the number that it has: programs, jobs, sets of modules.

use super::{
    Uses, gone_programs::GonePrograms, program::UseEvent, program_numbers::ProgramNumbers,
    use_counts::UseCounts,
};
use crate::{
    database::SumsStore,
    queue::Entry,
    sums::{self, Replacement, SumTally},
};
use anyhow::{Result, ensure};

/// Tallies that are added in one write.
const ADDED_AT_ONCE: usize = 20_000;

/// See the module.
pub struct Recount<'a> {
    uses: &'a Uses,
    /// Tables that nobody else has.
    aside: SumsStore,
    first_day: u16,
    counts: UseCounts,
    is_trial: bool,
    /// Events that were read.
    pub events: u64,
}

impl<'a> Recount<'a> {
    /// Begins with empty tables, for processes that began on this day or later. A trial writes to
    /// no others.
    pub fn new(uses: &'a Uses, aside: SumsStore, first_day: u16, is_trial: bool) -> Result<Self> {
        sums::copy_numbers(uses.sums(), &aside)?;
        let mut counts = UseCounts::new(0);
        counts.programs = ProgramNumbers::again(GonePrograms::open(uses.sums(), is_trial)?);
        Ok(Recount { uses, aside, first_day, counts, is_trial, events: 0 })
    }

    /// Counts entries, which stand one after the other.
    pub fn add(&mut self, mut entries: &[u8]) -> Result<()> {
        let mut event = UseEvent::default();
        while let Some(entry) = Entry::borrowed(&mut entries) {
            self.uses.count_entry(&mut self.counts, &entry, &mut event)?;
            self.events += 1;
        }
        if self.counts.is_full() { self.write() } else { Ok(()) }
    }

    /// Compares what was counted with what is there. Jobs that are listed have told something since
    /// `listed_since_ns`.
    pub fn compare(mut self, listed_since_ns: i64) -> Result<Replacement> {
        self.write()?;
        if !self.is_trial {
            // A program is on disk before a row that names it.
            self.counts.programs.write(self.uses, &mut self.uses.shares())?;
        }
        let of_start = |digest: &_| self.uses.program_of_start(digest);
        Ok(sums::compare(self.uses.sums(), &self.aside, self.first_day, listed_since_ns, &of_start)?)
    }

    /// Adds what is in memory to the rows.
    fn write(&mut self) -> Result<()> {
        let (main, aside, first_day) = (self.uses.sums(), &self.aside, self.first_day);
        let tallies = self.counts.sum_tallies().chain(self.counts.ends.tallies());
        let mut tallies: Vec<SumTally<'_>> = tallies.filter(|tally| tally.key.day >= first_day).collect();
        // A job's record is read and written once for all of its tallies.
        tallies.sort_unstable_by_key(|tally| (tally.key.cluster, tally.job, tally.key.user));
        for some in tallies.chunks_mut(ADDED_AT_ONCE) {
            let mut writes = aside.database.writes();
            let stays =
                |key: &[u8]| Ok(sums::record(main, key)?.is_some_and(|record| record.stays(first_day)));
            sums::add_but(aside, &mut writes, some, |_, _| true, stays)?;
            writes.commit()?;
        }
        let mut writes = aside.database.writes();
        self.counts.limited.put(aside, first_day, &mut writes)?;
        writes.commit()?;
        self.counts.written();
        Ok(())
    }
}

impl Uses {
    /// Counts what the join has passed, up to this batch of the queue, and adds it to the rows.
    pub fn count_until(&self, until: u64) -> Result<()> {
        let mut counts = UseCounts::new(self.log.offset());
        while counts.next < until {
            while counts.next < until && !counts.is_full() {
                self.gather(&mut counts)?;
            }
            self.write(&mut counts)?;
        }
        while self.add_some()? {}
        Ok(())
    }

    /// Puts what was counted again in the place of what is there, in one write: after a crash there
    /// is all of it, or nothing.
    pub fn replace_sums(&self, replacement: Replacement) -> Result<()> {
        let there = self.store.sums.row_count.get()?;
        let after = there.saturating_add_signed(replacement.changes.iter().map(|(_, more)| more).sum());
        let max = self.config.sums_max as u64;
        ensure!(
            after <= max || after <= there,
            "there would be {after} sums, and at most {max} are allowed: make uses.sums_max larger"
        );
        self.put_sum_changes(replacement.changes, replacement.writes)?;
        Ok(self.store.database.sync()?)
    }
}
