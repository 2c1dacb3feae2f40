//! The list of jobs: where the record of each is found, the newest first, and what most questions
//! narrow it by.
//!
//! ```text
//! !(start of the first process), the record's key -> its last moment, states, array, account, partition
//! ```
//! It is written together with the records ([`super::add`]), so each record is in it once. A job
//! leaves the list when it is old (`uses.jobs_keep`), and when its record goes.

use super::{JobState, job_record::JobRecord};
use crate::{
    database::{SumsStore, Writes},
    stored_text::{put_name, take_name},
};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// The form of a value.
const FORM: u8 = 1;

/// The key under which stands when the last job was left out, because there was no room. All others
/// are behind it.
const DROPPED: &[u8] = &[0];

/// What stands in front of a record's key here.
const TIME_BYTES: usize = 8;

/// A job in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedJob<'a> {
    pub first_ns: i64,
    /// The record's key.
    pub record: &'a [u8],
    pub last_ns: i64,
    /// A bit for each [`JobState`] that it has: a job with a failure may still run.
    pub states: u8,
    pub array_job: u32,
    pub array_task: u32,
    pub account: &'a [u8],
    pub partition: &'a [u8],
}

impl<'a> ListedJob<'a> {
    /// Reads a key and its value.
    pub fn read(key: &'a [u8], mut value: &'a [u8]) -> Option<Self> {
        let (time, record) = key.split_first_chunk::<TIME_BYTES>()?;
        let first_ns = !u64::from_be_bytes(*time) as i64;
        if value.try_get_u8().ok()? != FORM {
            return None;
        }
        let (last_ns, states) = (value.try_get_i64().ok()?, value.try_get_u8().ok()?);
        let mut small = || u32::try_from(decode_varint(&mut value).ok()?).ok();
        let (array_job, array_task) = (small()?, small()?);
        let (account, partition) = (take_name(&mut value)?, take_name(&mut value)?);
        Some(ListedJob { first_ns, record, last_ns, states, array_job, array_task, account, partition })
    }

    /// A process of it has no end yet.
    pub fn is_running(&self) -> bool {
        self.states >> JobState::Running as u8 & 1 == 1
    }

    fn value(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        out.put_i64(self.last_ns);
        out.put_u8(self.states);
        encode_varint(self.array_job.into(), &mut out);
        encode_varint(self.array_task.into(), &mut out);
        put_name(&mut out, self.account);
        put_name(&mut out, self.partition);
        out
    }
}

/// The first key of jobs that began at this time or before.
pub fn from(first_ns: i64) -> Vec<u8> {
    (!(first_ns.max(0) as u64)).to_be_bytes().to_vec()
}

/// The first key of all.
pub fn begin() -> Vec<u8> {
    from(i64::MAX)
}

fn list_key(first_ns: i64, record: &[u8]) -> Vec<u8> {
    [&from(first_ns)[..], record].concat()
}

/// Puts a record's place in the list among the writes. `before`: the start of its job, where it is
/// in the list.
pub fn put(
    store: &SumsStore,
    writes: &mut Writes,
    key: &[u8],
    record: &JobRecord,
    before: Option<i64>,
    is_claimed: bool,
) {
    if let Some(before) = before.filter(|before| *before != record.first_ns()) {
        remove(store, writes, before, key);
    }
    let (place, value) = entry(key, record, is_claimed);
    writes.insert(&store.job_list, place, value);
}

/// The key and the value of a record's place in the list.
pub fn entry(key: &[u8], record: &JobRecord, is_claimed: bool) -> (Vec<u8>, Vec<u8>) {
    let first_ns = record.first_ns();
    let (account, partition) = record.account_and_partition();
    let (array_job, array_task) = record.array();
    let last_ns = record.last_ns();
    let mut states = 1 << record.outcome.state(is_claimed) as u8;
    if record.outcome.is_running(is_claimed) {
        states |= 1 << JobState::Running as u8;
    }
    let listed =
        ListedJob { first_ns, record: key, last_ns, states, array_job, array_task, account, partition };
    (list_key(first_ns, key), listed.value())
}

/// Takes a record that goes out of the list.
pub fn remove(store: &SumsStore, writes: &mut Writes, first_ns: i64, key: &[u8]) {
    writes.remove(&store.job_list, list_key(first_ns, key));
}

/// Notes that jobs up to this moment found no room.
pub fn put_dropped(store: &SumsStore, writes: &mut Writes, last_ns: i64) -> fjall::Result<()> {
    let last_ns = dropped_ns(store)?.map_or(last_ns, |known| known.max(last_ns));
    writes.insert(&store.job_list, DROPPED, last_ns.to_be_bytes());
    Ok(())
}

/// The last moment of the jobs that found no room.
pub fn dropped_ns(store: &SumsStore) -> fjall::Result<Option<i64>> {
    let value = store.job_list.get(DROPPED)?;
    Ok(value.and_then(|value| (&*value).try_get_i64().ok()))
}

/// Takes jobs whose last moment is before this one out of the list. It looks at so many, from those
/// behind `after` on, and begins again when it has seen all.
pub fn sweep(store: &SumsStore, oldest_ns: i64, slice: usize, after: &mut Vec<u8>) -> fjall::Result<()> {
    let first = if after.is_empty() { begin() } else { std::mem::take(after) };
    let mut writes = store.database.writes();
    let mut looked = 0;
    for entry in store.job_list.range(first..).take(slice) {
        let (key, value) = entry.into_inner()?;
        looked += 1;
        if ListedJob::read(&key, &value).is_some_and(|job| job.last_ns < oldest_ns) {
            writes.remove(&store.job_list, key.clone());
        }
        *after = key.to_vec();
    }
    if looked < slice {
        after.clear();
    }
    writes.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database::Store,
        sums::{EndSum, JobFacts, Status, SumKey, SumTally, add},
    };

    fn tally<'a>(job: &'a [u8], first_ns: i64, last_ns: i64, is_end: bool) -> SumTally<'a> {
        let key = SumKey { user: b"ann", account: b"chem", cluster: b"alpha", ..SumKey::default() };
        let facts = JobFacts { array_job: 80, array_task: 7, ..JobFacts::default() };
        let ends = is_end.then_some((Status::Killed, EndSum { processes: 1, ..EndSum::default() }));
        let verdict = is_end.then_some(9);
        let processes = u64::from(!is_end);
        SumTally { key, job, facts, first_ns, last_ns, processes, ends, verdict, ..SumTally::default() }
    }

    fn write(store: &SumsStore, mut tallies: Vec<SumTally<'_>>, has_room: bool) {
        let mut writes = store.database.writes();
        add(store, &mut writes, &mut tallies, |_, _| has_room).unwrap();
        writes.commit().unwrap();
    }

    fn list(store: &SumsStore) -> Vec<(i64, i64, u8)> {
        let entries = store.job_list.range(begin()..).map(|entry| entry.into_inner().unwrap());
        entries
            .map(|(key, value)| {
                let job = ListedJob::read(&key, &value).unwrap();
                assert_eq!((job.array_job, job.array_task, job.account), (80, 7, &b"chem"[..]));
                assert!((0..value.len()).all(|cut| ListedJob::read(&key, &value[..cut]).is_none()));
                (job.first_ns, job.last_ns, job.states)
            })
            .collect()
    }

    #[test]
    fn each_job_is_listed_once_the_newest_first_and_old_ones_leave() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses().sums;
        let running = 1 << JobState::Running as u8;
        let killed = 1 << JobState::Killed as u8;
        write(&store, vec![tally(b"1", 100, 100, false), tally(b"2", 300, 300, false)], true);
        assert_eq!(list(&store), [(300, 300, running), (100, 100, running)]);
        // A start that comes late moves its job; a failure shows beside what still runs.
        write(&store, vec![tally(b"2", 50, 50, false), tally(b"2", 300, 900, true)], true);
        assert_eq!(list(&store), [(100, 100, running), (50, 900, running | killed)]);
        sweep(&store, 500, 1, &mut Vec::new()).unwrap();
        assert_eq!(list(&store).len(), 1, "a slice is one");
        let mut after = Vec::new();
        sweep(&store, 1000, 1, &mut after).unwrap();
        assert!(list(&store).is_empty() && !after.is_empty());
        // What comes of an old job brings it back.
        write(&store, vec![tally(b"2", 50, 2000, true)], true);
        assert_eq!(list(&store), [(50, 2000, killed)]);
        assert_eq!(dropped_ns(&store).unwrap(), None);
        write(&store, vec![tally(b"3", 60, 70, false)], false);
        assert_eq!((list(&store).len(), dropped_ns(&store).unwrap()), (1, Some(70)));
    }
}
