//! Months beside days; days that are long past, which go; and jobs of which nobody has told for as
//! long.
//!
//! A row of a month has the key of a row of a day, with the month's first day, in a table of its
//! own. Both get whatever is added ([`super::add`]). So a report over a year reads months, and what
//! is forgotten of days is days alone.

use super::{
    SumKey, SumRow,
    add::{NUMBER, NumberedJob, RECORD, job_holder},
    hosts::take_holder,
    job_list,
    job_record::JobRecord,
    programs::Mentions,
};
use crate::{
    database::{SumsStore, Writes},
    dates,
    fair_shares::ShareHolder,
};
use std::collections::BTreeMap;

/// What a sweep has changed: the senders of rows, and how many more each has.
pub type RowChanges = Vec<(ShareHolder, i64)>;

/// The value of the mark of a database whose months are whole.
const WHOLE: u64 = u64::MAX;

/// Removes so many rows of days in months before this day's, in these writes.
pub fn forget_days(
    store: &SumsStore,
    before: u16,
    rows_max: usize,
    writes: &mut Writes,
) -> fjall::Result<RowChanges> {
    let before = dates::first_of_month(before);
    let (mut changes, mut mentions) = (RowChanges::new(), Mentions::default());
    for entry in store.rows.range([0, 0]..before.to_be_bytes()).take(rows_max) {
        let key = entry.key()?;
        if let Some(day) = SumKey::read(&key) {
            changes.push((day.holder(), -1));
            mentions.add_row(&day, -1);
        }
        writes.remove(&store.rows, key);
    }
    let left = rows_max - changes.len();
    for entry in store.hosts.range([0, 0]..before.to_be_bytes()).take(left) {
        let (key, value) = entry.into_inner()?;
        let holder = take_holder(&mut &value[..]).unwrap_or_else(ShareHolder::others);
        changes.push((holder, -1));
        writes.remove(&store.hosts, key);
    }
    if !changes.is_empty() {
        writes.set(&store.days_since, before.into());
    }
    mentions.put(store, writes)?;
    Ok(changes)
}

/// The first day of the month from which on days are kept; of months before, only whole ones.
pub fn days_since(store: &SumsStore) -> fjall::Result<u16> {
    Ok(store.days_since.get()?.try_into().unwrap_or(u16::MAX))
}

/// Adds a day to its month, in these writes, where a server of before left months that had only
/// days which were removed. `None` when all are done.
pub fn complete_day(store: &SumsStore, writes: &mut Writes) -> fjall::Result<Option<RowChanges>> {
    let done = store.months_until.get()?;
    let Ok(from) = u16::try_from(done) else { return Ok(None) };
    if from == 0
        && let Some(last) = store.months.last_key_value()
        && let Some(month) = SumKey::read(&last.key()?)
    {
        writes.set(&store.days_since, u64::from(dates::last_of_month(month.day)) + 1);
    }
    let first = store.rows.range(from.to_be_bytes()..).next().map(|entry| entry.key()).transpose()?;
    let Some(day) = first.and_then(|key| SumKey::read(&key).map(|row| row.day)) else {
        writes.set(&store.months_until, WHOLE);
        return Ok(Some(RowChanges::new()));
    };
    let (mut changes, mut mentions) = (RowChanges::new(), Mentions::default());
    let mut months: BTreeMap<Vec<u8>, SumRow> = BTreeMap::new();
    for entry in store.rows.prefix(day.to_be_bytes()) {
        let (key, value) = entry.into_inner()?;
        let Some((key, row)) = SumKey::read(&key).zip(SumRow::read(&value)) else { continue };
        let (key, holder) = (key.of_month(), key.holder());
        let there = store.months.get(key.bytes())?.and_then(|value| SumRow::read(&value));
        if there.is_none() {
            changes.push((holder, 1));
            mentions.add_row(&key, 1);
        }
        months.entry(key.bytes()).or_insert(there.unwrap_or_default()).merge(row);
    }
    for (key, row) in months {
        writes.insert(&store.months, key, row.bytes());
    }
    mentions.put(store, writes)?;
    writes.set(&store.months_until, u64::from(day) + 1);
    Ok(Some(changes))
}

/// Looks at so many jobs after this key, and forgets those of which nothing was told since this
/// day; the key where it goes on, empty at the end.
pub fn forget_jobs(
    store: &SumsStore,
    before: u16,
    after: Vec<u8>,
    jobs_max: usize,
    writes: &mut Writes,
) -> fjall::Result<(RowChanges, Vec<u8>)> {
    let (mut changes, mut last) = (RowChanges::new(), Vec::new());
    let mut looked = 0;
    for entry in store.jobs.range(after..).take(jobs_max) {
        let (key, value) = entry.into_inner()?;
        looked += 1;
        let mut listed = None;
        let told = match key.first() {
            Some(&NUMBER) => NumberedJob::read(&value).map(|job| job.told),
            Some(&RECORD) => JobRecord::read(&value).map(|record| {
                listed = key.get(1..).map(|key| (record.first_ns(), key));
                record.last_day()
            }),
            _ => None,
        };
        if told.is_some_and(|day| day < before) {
            changes.push((job_holder(&key, &value), -1));
            if let Some((first_ns, record)) = listed {
                job_list::remove(store, writes, first_ns, record);
            }
            writes.remove(&store.jobs, key.clone());
        }
        last = key.to_vec();
    }
    if looked < jobs_max {
        last.clear();
    }
    Ok((changes, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database::{Store, Table},
        dates::DAY_NS,
        sums::{EndSum, JobFacts, Status, SumTally, add, keep_name, kept_name},
    };

    /// 2025-01-01.
    const YEAR: u16 = 20_089;

    fn tally<'a>(day: u16, program: u64, user: &'a [u8], job: &'a [u8]) -> SumTally<'a> {
        let sum = EndSum { processes: 1, cpu_us: 1000, wall_us: 3 };
        let first_ns = i64::from(day) * DAY_NS;
        SumTally {
            key: SumKey { day, program, user, cluster: b"c", ..SumKey::default() },
            job,
            host: b"n1",
            facts: JobFacts { nodes: 2, tasks: 4, cpus_per_task: 1, ..JobFacts::default() },
            first_ns,
            last_ns: first_ns + 1_000_000,
            processes: 2,
            ends: Some((Status::Completed, sum)),
            ..SumTally::default()
        }
    }

    fn add_all(store: &SumsStore, tallies: &mut [SumTally<'_>]) -> u64 {
        let mut writes = store.database.writes();
        let added = add(store, &mut writes, tallies, |_, _| true).unwrap();
        writes.commit().unwrap();
        added.new
    }

    /// User, program and month -> the rows of all days.
    type Months = BTreeMap<(Vec<u8>, u64, u16), SumRow>;

    /// The rows of a table, and their number.
    fn by_month(table: &Table) -> (Months, usize) {
        let (mut all, mut count) = (BTreeMap::<_, SumRow>::new(), 0);
        for entry in table.iter() {
            let (key, value) = entry.into_inner().unwrap();
            let key = SumKey::read(&key).unwrap().of_month();
            let month = (key.user.to_vec(), key.program, key.day);
            all.entry(month).or_default().merge(SumRow::read(&value).unwrap());
            count += 1;
        }
        (all, count)
    }

    fn rows_are_counted(store: &SumsStore, rows: i64) {
        let count: usize = [&store.rows, &store.months].map(|table| table.iter().count()).iter().sum();
        let hosts = store.hosts.iter().count() + store.host_months.iter().count();
        assert_eq!(rows, (count + hosts + store.jobs.iter().count()) as i64);
        let mentions: u64 =
            store.programs.iter().map(|entry| crate::database::number(&entry.value().unwrap())).sum();
        assert_eq!(mentions, count as u64);
    }

    #[test]
    fn months_have_what_their_days_have_and_keep_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        let mut tallies = Vec::new();
        for day in (YEAR..YEAR + 70).step_by(3) {
            tallies.push(tally(day, 1, b"ann", b""));
            tallies.push(tally(day, u64::from(day % 2), b"bob", b"17"));
        }
        let mut rows = add_all(&store, &mut tallies) as i64;
        rows_are_counted(&store, rows);
        let (months, count) = by_month(&store.months);
        assert_eq!((&months, count), (&by_month(&store.rows).0, 3 * 3));
        // Whole months before the 15th of March: January and February.
        let forget = |before: u16, rows_max: usize| {
            let mut writes = store.database.writes();
            let changes = forget_days(&store, before, rows_max, &mut writes).unwrap();
            writes.commit().unwrap();
            changes.iter().map(|(_, more)| more).sum::<i64>()
        };
        loop {
            match forget(YEAR + 73, 5) {
                0 => break,
                fewer => rows += fewer,
            }
        }
        rows_are_counted(&store, rows);
        assert_eq!((by_month(&store.months).0, days_since(&store).unwrap()), (months.clone(), YEAR + 59));
        assert!(store.rows.iter().all(|row| row.key().unwrap()[..2] >= (YEAR + 59).to_be_bytes()[..]));
        // What is late is in its month at once.
        rows += add_all(&store, &mut [tally(YEAR + 3, 1, b"ann", b"")]) as i64;
        assert_eq!(forget(YEAR + 73, 5), -2, "of its user, and of its host");
        let january = (b"ann".to_vec(), 1, YEAR);
        assert_eq!(by_month(&store.months).0[&january].processes, months[&january].processes + 2);
        rows_are_counted(&store, rows - 2);
    }

    #[test]
    fn months_of_a_server_of_before_are_completed_and_nothing_twice() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        let mut tallies: Vec<SumTally<'_>> =
            (YEAR..YEAR + 70).map(|day| tally(day, u64::from(day % 3), b"ann", b"")).collect();
        let mut rows = add_all(&store, &mut tallies) as i64;
        let whole = by_month(&store.months).0;
        // January is a month, its days are gone; the others are days alone.
        let mut writes = store.database.writes();
        rows -= forget_days(&store, YEAR + 40, usize::MAX, &mut writes).unwrap().len() as i64;
        writes.commit().unwrap();
        let mut writes = store.database.writes();
        let mut later = Mentions::default();
        for entry in store.months.range((YEAR + 31).to_be_bytes()..) {
            let key = entry.key().unwrap();
            later.add_row(&SumKey::read(&key).unwrap(), -1);
            writes.remove(&store.months, key);
            rows -= 1;
        }
        later.put(&store, &mut writes).unwrap();
        writes.set(&store.days_since, 0);
        writes.commit().unwrap();
        loop {
            let mut writes = store.database.writes();
            let Some(changes) = complete_day(&store, &mut writes).unwrap() else { break };
            writes.commit().unwrap();
            rows += changes.iter().map(|(_, more)| more).sum::<i64>();
        }
        assert_eq!((by_month(&store.months).0, days_since(&store).unwrap()), (whole, YEAR + 31));
        rows_are_counted(&store, rows);
    }

    #[test]
    fn jobs_of_which_nothing_is_told_any_more_are_forgotten_with_their_senders() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        let names: Vec<String> = (0..20).map(|job| job.to_string()).collect();
        let mut tallies: Vec<SumTally<'_>> =
            names.iter().zip(YEAR..).map(|(job, day)| tally(day, 1, b"ann", job.as_bytes())).collect();
        // Of the first one something is told on a later day.
        tallies.push(tally(YEAR + 19, 1, b"bob", b"0"));
        add_all(&store, &mut tallies);
        let mut gone = 0;
        let mut after = Vec::new();
        loop {
            let mut writes = store.database.writes();
            let (changes, next) = forget_jobs(&store, YEAR + 10, after, 7, &mut writes).unwrap();
            writes.commit().unwrap();
            assert!(changes.iter().all(|(holder, _)| *holder == ShareHolder::proved(b"ann")));
            gone += changes.len();
            after = next;
            if after.is_empty() {
                break;
            }
        }
        // Nine numbers, and ten records of ann's: she told of the first job on the first day alone.
        assert_eq!((gone, store.jobs.iter().count()), (9 + 10, 11 + 10 + 1));
        assert_eq!(store.job_list.iter().count(), 10 + 1, "each record that is left is in the list");
    }

    #[test]
    fn a_program_that_goes_keeps_its_name_while_a_row_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        add_all(&store, &mut [tally(YEAR, 7, b"ann", b""), tally(YEAR + 1, 7, b"ann", b"")]);
        let mut writes = store.database.writes();
        keep_name(&store, 7, b"name", &mut writes).unwrap();
        keep_name(&store, 8, b"nobody's", &mut writes).unwrap();
        writes.commit().unwrap();
        assert_eq!(kept_name(&store, 8).unwrap(), None);
        let mut writes = store.database.writes();
        forget_days(&store, YEAR + 100, 10, &mut writes).unwrap();
        writes.commit().unwrap();
        assert_eq!(kept_name(&store, 7).unwrap().as_deref(), Some(&b"name"[..]));
    }
}
