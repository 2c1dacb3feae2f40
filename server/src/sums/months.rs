//! Days that are long past, as months; and jobs of which nobody has told for as long.
//!
//! A row of a month has the key of a row of a day, with the month's first day, in a table of its
//! own. Only whole months are taken. What is late for a day that is gone makes a row of that day
//! again, and joins the month with the next sweep.

use super::{
    SumKey, SumRow,
    add::{NUMBER, NumberedJob, RECORD, job_holder},
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
type RowChanges = Vec<(ShareHolder, i64)>;

/// Takes so many rows of days before this one, in these writes.
pub fn roll_up(
    store: &SumsStore,
    before: u16,
    rows_max: usize,
    writes: &mut Writes,
) -> fjall::Result<RowChanges> {
    let before = dates::first_of_month(before);
    let (mut changes, mut mentions) = (RowChanges::new(), Mentions::default());
    let mut months: BTreeMap<Vec<u8>, SumRow> = BTreeMap::new();
    for entry in store.rows.range([0, 0]..before.to_be_bytes()).take(rows_max) {
        let (key, value) = entry.into_inner()?;
        if let Some((day, row)) = SumKey::read(&key).zip(SumRow::read(&value)) {
            changes.push((day.holder(), -1));
            mentions.add_row(&day, -1);
            let month = SumKey { day: dates::first_of_month(day.day), ..day }.bytes();
            let known = match months.get_mut(&month) {
                Some(known) => known,
                None => {
                    let there = store.months.get(&month)?.and_then(|value| SumRow::read(&value));
                    if there.is_none() {
                        changes.push((day.holder(), 1));
                        mentions.add_row(&day, 1);
                    }
                    months.entry(month).or_insert(there.unwrap_or_default())
                }
            };
            known.merge(row);
        }
        writes.remove(&store.rows, key);
    }
    for (key, row) in months {
        writes.insert(&store.months, key, row.bytes());
    }
    mentions.put(store, writes)?;
    Ok(changes)
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
        database::Store,
        dates::DAY_NS,
        sums::{EndSum, JobFacts, Modules, Status, SumTally, add, keep_name, kept_name},
    };

    /// 2025-01-01.
    const YEAR: u16 = 20_089;

    fn tally<'a>(day: u16, program: u64, user: &'a [u8], job: &'a [u8]) -> SumTally<'a> {
        let sum = EndSum { processes: 1, cpu_us: 1000, wall_us: 3 };
        let first_ns = i64::from(day) * DAY_NS;
        SumTally {
            key: SumKey { day, program, user, cluster: b"c", ..SumKey::default() },
            job,
            facts: JobFacts { nodes: 2, tasks: 4, cpus_per_task: 1, ..JobFacts::default() },
            first_ns,
            last_ns: first_ns + 1_000_000,
            processes: 2,
            ends: Some((Status::Completed, sum)),
            verdict: None,
            modules: Modules::None,
            started: None,
        }
    }

    fn add_all(store: &SumsStore, tallies: &mut [SumTally<'_>]) -> u64 {
        let mut writes = store.database.writes();
        let added = add(store, &mut writes, tallies, |_, _| true).unwrap();
        writes.commit().unwrap();
        added.new
    }

    /// Each user, program and month -> its row.
    type Rows = BTreeMap<(Vec<u8>, u64, u16), SumRow>;

    /// All of them, and the number of rows.
    fn all(store: &SumsStore) -> (Rows, usize) {
        let (mut all, mut count) = (BTreeMap::<_, SumRow>::new(), 0);
        for entry in store.rows.iter().chain(store.months.iter()) {
            let (key, value) = entry.into_inner().unwrap();
            let key = SumKey::read(&key).unwrap();
            let month = (key.user.to_vec(), key.program, dates::first_of_month(key.day));
            all.entry(month).or_default().merge(SumRow::read(&value).unwrap());
            count += 1;
        }
        (all, count)
    }

    #[test]
    fn days_become_months_and_nothing_of_them_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        let mut tallies = Vec::new();
        for day in (YEAR..YEAR + 70).step_by(3) {
            tallies.push(tally(day, 1, b"ann", b""));
            tallies.push(tally(day, u64::from(day % 2), b"bob", b"17"));
        }
        let mut rows = add_all(&store, &mut tallies) as i64;
        let (before, _) = all(&store);
        // Whole months before the 15th of March: January and February.
        let roll = |before: u16, rows_max: usize| {
            let mut writes = store.database.writes();
            let changes = roll_up(&store, before, rows_max, &mut writes).unwrap();
            writes.commit().unwrap();
            changes.iter().map(|(_, more)| more).sum::<i64>()
        };
        loop {
            match roll(YEAR + 73, 5) {
                0 => break,
                fewer => rows += fewer,
            }
        }
        let (after, count) = all(&store);
        assert_eq!(after, before);
        let jobs = store.jobs.iter().count();
        assert_eq!(rows, (count + jobs) as i64);
        assert_eq!(store.months.iter().count(), 2 * 3, "two months of ann's program, and bob's two");
        assert!(store.rows.iter().all(|row| row.key().unwrap()[..2] >= (YEAR + 59).to_be_bytes()[..]));
        let mentions: u64 =
            store.programs.iter().map(|entry| crate::database::number(&entry.value().unwrap())).sum();
        assert_eq!(mentions, count as u64);
        // What is late joins its month.
        rows += add_all(&store, &mut [tally(YEAR + 3, 1, b"ann", b"")]) as i64;
        assert_eq!(roll(YEAR + 73, 5), -1);
        let january = &all(&store).0[&(b"ann".to_vec(), 1, YEAR)];
        assert_eq!(january.processes, before[&(b"ann".to_vec(), 1, YEAR)].processes + 2);
        assert_eq!(rows - 1, (all(&store).1 + jobs) as i64);
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
        roll_up(&store, YEAR + 100, 10, &mut writes).unwrap();
        writes.commit().unwrap();
        assert_eq!(kept_name(&store, 7).unwrap().as_deref(), Some(&b"name"[..]));
    }
}
