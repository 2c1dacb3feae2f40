//! Sums that were counted again, and what they change of those that are there.
//!
//! What was counted again stands in tables aside, from a first day on. Days before stay as they
//! are. A month is all of its days. All changes together are one write.
//!
//! A job that began before the first day keeps its record, and its time in rows of later days. So
//! does one with more rows than are shared: which came first is not known any more.

use super::{
    SumKey, SumRow,
    add::{NUMBER, RECORD, RecordKey, job_holder, record},
    digest_numbers::digest_of,
    hosts::{self, HostKey, take_holder},
    job_list,
    job_record::{JobRecord, TimeShare},
    months::{RowChanges, days_since},
    programs::Mentions,
};
use crate::{
    database::{SumsStore, Table, Writes},
    dates::{DAY_NS, first_of_month, last_of_month},
    fair_shares::ShareHolder,
    start_digest::StartDigest,
    stored_text::put_text,
};
use std::collections::BTreeMap;

/// Keys and values of a table.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Looks up the program of a start.
type OfStart<'a> = &'a dyn Fn(&StartDigest) -> fjall::Result<Option<u64>>;

/// Entries of numbers that are copied in one write.
const COPIED_AT_ONCE: usize = 10_000;

/// Microseconds by which a row's node time may differ for each of its jobs. A job's time is shared
/// in whole microseconds, so it depends on which of its rows stand beside each other.
const ROUNDING_US: u64 = 64;

/// What one day has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayFigures {
    pub rows: usize,
    pub processes: u64,
    pub ended: u64,
    pub cpu_us: u64,
    pub node_us: u64,
    /// Rows of hosts.
    pub hosts: usize,
}

/// A day that was counted again.
#[derive(Clone, Copy, Debug)]
pub struct DayOutcome {
    pub day: u16,
    pub before: DayFigures,
    pub after: DayFigures,
    /// Reports of this day say the same before and after.
    pub is_same: bool,
}

/// See the module.
pub struct Replacement {
    pub days: Vec<DayOutcome>,
    /// Months whose rows differ, by their first days, though their days may be as they should be.
    pub months: Vec<u16>,
    /// Jobs that were counted again, those whose records differ, and those that stay as they are.
    pub jobs: u64,
    pub jobs_differ: u64,
    pub jobs_stay: u64,
    /// Days that have another number of processes that a limit left out.
    pub limited_differ: u64,
    /// What is to be written, and the rows that come and go with it.
    pub writes: Writes,
    pub changes: RowChanges,
}

impl Replacement {
    /// Tells that reports and lists of jobs say the same before and after.
    pub fn is_same(&self) -> bool {
        self.jobs_differ + self.limited_differ == 0
            && self.months.is_empty()
            && self.days.iter().all(|day| day.is_same)
    }
}

/// Copies the numbers of jobs and digests to empty tables, so that they are the same there.
pub fn copy_numbers(from: &SumsStore, to: &SumsStore) -> fjall::Result<()> {
    let jobs = from.jobs.prefix([NUMBER]).map(|entry| (entry, &to.jobs));
    let digests = from.digests.iter().map(|entry| (entry, &to.digests));
    let mut writes = to.database.writes();
    for (copied, (entry, table)) in jobs.chain(digests).enumerate() {
        let (key, value) = entry.into_inner()?;
        writes.insert(table, key, value);
        if copied % COPIED_AT_ONCE == 0 {
            std::mem::replace(&mut writes, to.database.writes()).commit()?;
        }
    }
    writes.set(&to.next_job, from.next_job.get()?);
    writes.set(&to.next_digest, from.next_digest.get()?);
    writes.commit()
}

/// Compares what is aside with what is there, from this day on. Jobs stand in the list if they have
/// told something since `listed_since_ns`.
pub fn compare(
    main: &SumsStore,
    aside: &SumsStore,
    first_day: u16,
    listed_since_ns: i64,
    of_start: OfStart<'_>,
) -> fjall::Result<Replacement> {
    let replacement = Replacement {
        days: Vec::new(),
        months: Vec::new(),
        jobs: 0,
        jobs_differ: 0,
        jobs_stay: 0,
        limited_differ: 0,
        writes: main.database.writes(),
        changes: RowChanges::new(),
    };
    let (mentions, shares) = (Mentions::default(), BTreeMap::new());
    let mut comparison =
        Comparison { main, aside, first_day, listed_since_ns, of_start, shares, mentions, replacement };
    comparison.old_records()?;
    comparison.new_records()?;
    comparison.months()?;
    comparison.numbers()?;
    comparison.limited()?;
    let Comparison { mentions, mut replacement, .. } = comparison;
    mentions.put(main, &mut replacement.writes)?;
    hosts::put_since(main, first_day, &mut replacement.writes)?;
    Ok(replacement)
}

/// The first day whose rows can be made again, where everything is kept since this time.
pub fn first_whole_day(main: &SumsStore, since_ns: Option<i64>) -> fjall::Result<u16> {
    let whole = since_ns.map_or(0, |since| (since.saturating_add(DAY_NS - 1) / DAY_NS).max(0));
    Ok(u16::try_from(whole).unwrap_or(u16::MAX).max(days_since(main)?))
}

struct Comparison<'a> {
    main: &'a SumsStore,
    aside: &'a SumsStore,
    first_day: u16,
    listed_since_ns: i64,
    of_start: OfStart<'a>,
    /// What rows have of jobs that stay as they are.
    shares: BTreeMap<Vec<u8>, TimeShare>,
    mentions: Mentions,
    replacement: Replacement,
}

impl Comparison<'_> {
    /// Looks at the records that are there: some stay, and some should not be there.
    fn old_records(&mut self) -> fjall::Result<()> {
        for entry in self.main.jobs.prefix([RECORD]) {
            let (key, value) = entry.into_inner()?;
            // One that cannot be read is overwritten, if there is such a job.
            let Some(old) = JobRecord::read(&value) else { continue };
            if old.stays(self.first_day) {
                self.replacement.jobs_stay += 1;
                for (row, share) in old.shares() {
                    if SumKey::read(row).is_some_and(|row| row.day >= self.first_day) {
                        let known = self.shares.entry(row.to_vec()).or_default();
                        known.node_us = known.node_us.saturating_add(share.node_us);
                        known.core_us = known.core_us.saturating_add(share.core_us);
                    }
                }
            } else if self.aside.jobs.get(&key)?.is_none() && old.rows().next().is_some() {
                self.replacement.jobs_differ += 1;
                self.replacement.changes.push((job_holder(&key, &value), -1));
                let record = key.get(1..).unwrap_or_default();
                job_list::remove(self.main, &mut self.replacement.writes, old.first_ns(), record);
                self.replacement.writes.remove(&self.main.jobs, key);
            }
        }
        Ok(())
    }

    /// Puts records that were made again in the place of those that are there.
    fn new_records(&mut self) -> fjall::Result<()> {
        for entry in self.aside.jobs.prefix([RECORD]) {
            let (stored, value) = entry.into_inner()?;
            let key = stored.get(1..).unwrap_or_default();
            let Some((new, named)) = JobRecord::read(&value).zip(RecordKey::read(key)) else { continue };
            let old_value = self.main.jobs.get(&stored)?;
            let old = record(self.main, key)?;
            let is_same = old_value.as_ref() == Some(&value);
            let is_like = is_same || old.as_ref().is_some_and(|old| self.are_records_alike(old, &new));
            self.replacement.jobs += 1;
            self.replacement.jobs_differ += u64::from(!is_like);
            if !is_same {
                if old_value.is_none() {
                    self.replacement.changes.push((job_holder(&stored, &value), 1));
                }
                self.replacement.writes.insert(&self.main.jobs, stored.clone(), value.clone());
            }
            self.list(key, old.as_ref(), &new, named.is_claimed, is_same)?;
        }
        Ok(())
    }

    /// Puts a record's place in the list right. `is_same`: the record is as it was.
    fn list(
        &mut self,
        key: &[u8],
        old: Option<&JobRecord>,
        new: &JobRecord,
        is_claimed: bool,
        is_same: bool,
    ) -> fjall::Result<()> {
        let list = &self.main.job_list;
        let (place, entry) = job_list::entry(key, new, is_claimed);
        let mut is_listed = new.last_ns() >= self.listed_since_ns;
        if let Some(old) = old {
            let (old_place, _) = job_list::entry(key, old, is_claimed);
            if list.contains_key(&old_place)? {
                is_listed = true;
                if old_place != place {
                    self.replacement.writes.remove(list, old_place);
                }
            }
        }
        if is_listed && list.get(&place)?.is_none_or(|known| known[..] != entry[..]) {
            self.replacement.jobs_differ += u64::from(is_same);
            self.replacement.writes.insert(list, place, entry);
        }
        Ok(())
    }

    /// Goes through all months that have something from the first day on.
    fn months(&mut self) -> fjall::Result<()> {
        let (main, aside) = (self.main, self.aside);
        let first = first_of_month(self.first_day);
        let mut next = first;
        loop {
            // The next month with anything, wherever it is.
            let tables =
                [&main.rows, &aside.rows, &main.months, &main.hosts, &aside.hosts, &main.host_months];
            let mut found: Option<u16> = None;
            for table in tables {
                if let Some(entry) = table.range(next.to_be_bytes()..).next() {
                    let month = first_of_month(day_of(&entry.key()?).max(next));
                    found = Some(found.map_or(month, |known| known.min(month)));
                }
            }
            let Some(month) = found else { return Ok(()) };
            self.month(month)?;
            let last = last_of_month(month);
            if last == u16::MAX || last < month {
                return Ok(());
            }
            next = last + 1;
        }
    }

    fn month(&mut self, month: u16) -> fjall::Result<()> {
        let (main, aside) = (self.main, self.aside);
        let (mut rows_of_month, mut hosts_of_month) = (BTreeMap::new(), BTreeMap::new());
        let mut is_changed = false;
        for day in month..=last_of_month(month) {
            let (before, hosts_before) = (rows(&main.rows, day)?, rows(&main.hosts, day)?);
            if day < self.first_day {
                add_to_month(&before, &mut rows_of_month);
                add_hosts_to_month(&hosts_before, &mut hosts_of_month);
                continue;
            }
            let after = self.with_shares(rows(&aside.rows, day)?, day);
            let hosts_after = with_holders(rows(&aside.hosts, day)?, &hosts_before);
            add_to_month(&after, &mut rows_of_month);
            add_hosts_to_month(&hosts_after, &mut hosts_of_month);
            if before.is_empty() && after.is_empty() && hosts_before.is_empty() && hosts_after.is_empty() {
                continue;
            }
            let is_same = self.are_rows_alike(&before, &after)? && hosts_before == hosts_after;
            is_changed |= !is_same;
            self.replacement.days.push(DayOutcome {
                day,
                before: figures(&before, &hosts_before),
                after: figures(&after, &hosts_after),
                is_same,
            });
            self.replace(&main.rows, &before, &after, true);
            self.replace(&main.hosts, &hosts_before, &hosts_after, false);
        }
        let (before, hosts_before) = (rows(&main.months, month)?, rows(&main.host_months, month)?);
        let after: Rows =
            rows_of_month.into_iter().map(|(key, row): (_, SumRow)| (key, row.bytes())).collect();
        let hosts_of_month = hosts_of_month.into_iter().map(|(key, row)| (key, host_value(&row))).collect();
        let hosts_after = with_holders(hosts_of_month, &hosts_before);
        let is_same = self.are_rows_alike(&before, &after)? && hosts_before == hosts_after;
        if !is_same && !is_changed {
            self.replacement.months.push(month);
        }
        self.replace(&main.months, &before, &after, true);
        self.replace(&main.host_months, &hosts_before, &hosts_after, false);
        Ok(())
    }

    /// The rows of a day with the time of jobs that stay as they are.
    fn with_shares(&self, mut rows: Rows, day: u16) -> Rows {
        let day = day.to_be_bytes();
        let of_day = self.shares.range(day.to_vec()..).take_while(|(key, _)| key.starts_with(&day));
        for (key, share) in of_day.filter(|(_, share)| **share != TimeShare::default()) {
            let mut row = rows.get(key).and_then(|value| SumRow::read(value)).unwrap_or_default();
            row.node_us = row.node_us.saturating_add(share.node_us);
            row.core_us = row.core_us.saturating_add(share.core_us);
            rows.insert(key.clone(), row.bytes());
        }
        rows
    }

    /// Puts what rows become among the writes.
    fn replace(&mut self, table: &Table, before: &Rows, after: &Rows, has_programs: bool) {
        let holder = |key: &[u8], mut value: &[u8]| match has_programs {
            true => SumKey::read(key).map(|row| row.holder()),
            false => take_holder(&mut value),
        };
        let Replacement { writes, changes, .. } = &mut self.replacement;
        let mut change = |key: &[u8], value: &[u8], more| {
            changes.push((holder(key, value).unwrap_or_else(ShareHolder::others), more));
            if let Some(row) = SumKey::read(key).filter(|_| has_programs) {
                self.mentions.add_row(&row, more);
            }
        };
        for (key, value) in after {
            let known = before.get(key);
            if known.is_none() {
                change(key, value, 1);
            }
            if known != Some(value) {
                writes.insert(table, &key[..], &value[..]);
            }
        }
        for (key, value) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
            change(key, value, -1);
            writes.remove(table, &key[..]);
        }
    }

    /// Puts new numbers of jobs and digests among the writes.
    fn numbers(&mut self) -> fjall::Result<()> {
        let (main, aside) = (self.main, self.aside);
        let Replacement { writes, changes, .. } = &mut self.replacement;
        for entry in aside.jobs.prefix([NUMBER]) {
            let (key, value) = entry.into_inner()?;
            if !main.jobs.contains_key(&key)? {
                changes.push((job_holder(&key, &value), 1));
                writes.insert(&main.jobs, key, value);
            }
        }
        for entry in aside.digests.iter() {
            let (key, value) = entry.into_inner()?;
            let known = main.digests.get(&key)?;
            if known.as_ref() != Some(&value) {
                if known.is_none() && key.starts_with(b"d") {
                    changes.push((ShareHolder::others(), 1));
                }
                writes.insert(&main.digests, key, value);
            }
        }
        for (there, new) in [(&main.next_job, &aside.next_job), (&main.next_digest, &aside.next_digest)] {
            let next = new.get()?;
            if next > there.get()? {
                writes.set(there, next);
            }
        }
        Ok(())
    }

    /// Puts the numbers of what a limit left out among the writes.
    fn limited(&mut self) -> fjall::Result<()> {
        let (main, aside) = (&self.main.limited, &self.aside.limited);
        let first = self.first_day.to_be_bytes();
        for entry in aside.range(first..) {
            let (day, processes) = entry.into_inner()?;
            if main.get(&day)?.as_ref() != Some(&processes) {
                self.replacement.limited_differ += 1;
                self.replacement.writes.insert(main, day, processes);
            }
        }
        for entry in main.range(first..) {
            let day = entry.key()?;
            if !aside.contains_key(&day)? {
                self.replacement.limited_differ += 1;
                self.replacement.writes.remove(main, day);
            }
        }
        Ok(())
    }

    /// The key of a row by what reports make of it: an end that came before its start counts with
    /// the program of that start.
    fn name(&self, key: &[u8]) -> fjall::Result<Vec<u8>> {
        if let Some(row) = SumKey::read(key).filter(|row| row.started != 0)
            && let Some((digest, _)) = digest_of(self.aside, row.started)?
            && let Some(program) = (self.of_start)(&digest)?
        {
            return Ok(SumKey { program, started: 0, ..row }.bytes());
        }
        Ok(key.to_vec())
    }

    fn are_rows_alike(&self, before: &Rows, after: &Rows) -> fjall::Result<bool> {
        if before == after {
            return Ok(true);
        }
        let (Some(before), Some(after)) = (self.named(before)?, self.named(after)?) else { return Ok(false) };
        Ok(before.len() == after.len()
            && before.iter().zip(&after).all(|((key, row), (other, new))| key == other && is_alike(row, new)))
    }

    /// Rows by their names; `None` where one cannot be read.
    fn named(&self, rows: &Rows) -> fjall::Result<Option<BTreeMap<Vec<u8>, SumRow>>> {
        let mut named: BTreeMap<Vec<u8>, SumRow> = BTreeMap::new();
        for (key, value) in rows {
            let Some(row) = SumRow::read(value) else { return Ok(None) };
            named.entry(self.name(key)?).or_default().merge(row);
        }
        Ok(Some(named))
    }

    fn are_records_alike(&self, old: &JobRecord, new: &JobRecord) -> bool {
        old.is_like(new, |row| self.name(row).unwrap_or_else(|_| row.to_vec()))
    }
}

/// The day in the key of a row.
fn day_of(key: &[u8]) -> u16 {
    key.first_chunk().map_or(0, |day| u16::from_be_bytes(*day))
}

/// The rows of a day, or of a month by its first day.
fn rows(table: &Table, day: u16) -> fjall::Result<Rows> {
    let mut rows = Rows::new();
    for entry in table.prefix(day.to_be_bytes()) {
        let (key, value) = entry.into_inner()?;
        rows.insert(key.to_vec(), value.to_vec());
    }
    Ok(rows)
}

/// Adds rows of a day to those of its month.
fn add_to_month(rows: &Rows, month: &mut BTreeMap<Vec<u8>, SumRow>) {
    for (key, value) in rows {
        if let Some((key, row)) = SumKey::read(key).zip(SumRow::read(value)) {
            month.entry(key.of_month().bytes()).or_default().merge(row);
        }
    }
}

/// A row of a host, with the sender whose it is.
type HostRow = (ShareHolder, SumRow);

fn host_row(mut value: &[u8]) -> Option<HostRow> {
    take_holder(&mut value).zip(SumRow::read(value))
}

fn host_value((holder, row): &HostRow) -> Vec<u8> {
    let mut value = Vec::new();
    put_text(&mut value, holder.as_bytes());
    value.extend(row.bytes());
    value
}

fn add_hosts_to_month(rows: &Rows, month: &mut BTreeMap<Vec<u8>, HostRow>) {
    for (key, value) in rows {
        if let Some((key, (holder, row))) = HostKey::read(key).zip(host_row(value)) {
            let new = || (holder, SumRow::default());
            month.entry(key.of_month().bytes()).or_insert_with(new).1.merge(row);
        }
    }
}

/// Rows of hosts stay whose they are.
fn with_holders(mut rows: Rows, before: &Rows) -> Rows {
    for (key, value) in &mut rows {
        let known = before.get(key).and_then(|known| host_row(known));
        if let Some(((holder, _), (_, row))) = known.zip(host_row(value)) {
            *value = host_value(&(holder, row));
        }
    }
    rows
}

/// Tells that two rows are the same, but for the rounding of node time.
fn is_alike(row: &SumRow, other: &SumRow) -> bool {
    let rounding_us = ROUNDING_US * (row.jobs.len() as u64 + 1);
    let near = |one: u64, other: u64| one.abs_diff(other) <= rounding_us;
    (row.processes, &row.ends, &row.jobs) == (other.processes, &other.ends, &other.jobs)
        && near(row.node_us, other.node_us)
        && near(row.core_us, other.core_us)
}

fn figures(rows: &Rows, hosts: &Rows) -> DayFigures {
    let mut sum = DayFigures { rows: rows.len(), hosts: hosts.len(), ..DayFigures::default() };
    for row in rows.values().filter_map(|value| SumRow::read(value)) {
        sum.processes = sum.processes.saturating_add(row.processes);
        sum.node_us = sum.node_us.saturating_add(row.node_us);
        for end in &row.ends {
            sum.ended = sum.ended.saturating_add(end.processes);
            sum.cpu_us = sum.cpu_us.saturating_add(end.cpu_us);
        }
    }
    sum
}
