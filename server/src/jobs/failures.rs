//! Jobs in which something failed: a row for each, written together with the events that say so.
//!
//! A script's own commands fail all the time, and mean nothing: `grep` that finds nothing. So the
//! processes that count are the ranks of MPI launches, and the outermost ones, above which no
//! process told of itself. A process that the kernel killed because memory was short counts
//! wherever it stands. Only what the kernel told counts, of users whom it proved.
//!
//! Rows are bounded. Where there are too many, the user with the most loses the oldest, and answers
//! about that time say so. Tests:
//! `tests/end_to_end/tests/failed_jobs.rs`.

use super::{Jobs, index::JobError};
use crate::{
    database::{Table, Writes},
    fields::{Fields, Value},
    job_name,
    queue::{EndSource, Entry, Kind},
    sums::Status,
};
use bytes::Buf;
use ogrt_proto::{
    ToldBy,
    field_numbers::{process_end, process_info},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

/// Most rows.
pub(super) const ROWS_MAX: usize = 100_000;

/// Bytes of a program's path in a row.
const PATH_MAX: usize = 512;

/// The key of the time up to which rows were dropped: no user has this number.
const DROPPED: &[u8] = b"\xFF\xFF\xFF\xFFdropped";

/// The worst that happened in a job, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// A process that counts exited with another status than 0.
    Failed,
    /// A process that counts was ended by a signal.
    Killed,
    /// The kernel killed a process because memory was short.
    Oom,
}

/// The end of a process that counts, and that was no success.
struct FailedEnd {
    state: JobState,
    /// The exit status, or the signal.
    number: u64,
    time_ns: i64,
    program: String,
}

/// What is kept of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FailedJob {
    state: JobState,
    first_ns: i64,
    last_ns: i64,
    failed: u64,
    killed: u64,
    oom: u64,
    /// The first of the worst: its program, and its exit status or signal.
    program: String,
    number: u64,
}

/// Rows of each user.
#[derive(Default)]
pub struct FailureShares(Mutex<HashMap<u32, usize>>);

impl FailureShares {
    /// Counts what is there.
    pub fn open(rows: &Table) -> fjall::Result<Self> {
        let mut shares = HashMap::new();
        for entry in rows.iter() {
            if let Some(uid) = uid_of(&entry.key()?) {
                *shares.entry(uid).or_default() += 1;
            }
        }
        Ok(FailureShares(Mutex::new(shares)))
    }
}

/// The failures of a write, by the keys of their rows.
#[derive(Default)]
pub struct NewFailures(BTreeMap<Vec<u8>, FailedJob>);

impl NewFailures {
    /// Takes up an end, if it is one that counts.
    pub fn add(&mut self, entry: &[u8], uid: Option<u32>, job: &[u8], cluster: &[u8]) {
        let Some(uid) = uid.filter(|_| !job.is_empty()) else { return };
        let Some(end) = Entry::borrowed(&mut &*entry).and_then(|entry| FailedEnd::read(&entry)) else {
            return;
        };
        let row = FailedJob::of(&end);
        match self.0.entry(row_key(uid, cluster, job)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(row);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().add(row),
        }
    }
}

impl FailedEnd {
    fn read(entry: &Entry<&[u8]>) -> Option<FailedEnd> {
        if entry.kind != Kind::End {
            return None;
        }
        let (mut how, mut status, mut signal, mut time_ns) = (0, 0, 0, None);
        let (mut is_oom, mut is_told, mut start) = (false, entry.end_source == EndSource::Kernel, &[][..]);
        for field in Fields::of(entry.message).map_while(Result::ok) {
            match field {
                (process_end::ENDED_BY, Value::Varint(value)) => how = value,
                (process_end::EXIT_STATUS, Value::Varint(value)) => status = value,
                (process_end::SIGNAL, Value::Varint(value)) => signal = value,
                (process_end::OOM_KILLED, Value::Varint(value)) => is_oom = value != 0,
                (process_end::TIME_NS, Value::Varint(value)) => time_ns = Some(value as i64),
                (process_end::TOLD_BY, Value::Varint(value)) => {
                    is_told |= entry.via.is_some() && value == ToldBy::Kernel as u64
                }
                (process_end::START, Value::Bytes(bytes)) => start = bytes,
                _ => {}
            }
        }
        let (state, number) = match Status::of(how, status, is_oom) {
            Status::Oom => (JobState::Oom, signal),
            Status::Killed => (JobState::Killed, signal),
            Status::Failed => (JobState::Failed, status),
            Status::Completed | Status::Exec | Status::Unseen => return None,
        };
        let (mut counts, mut program) = (is_oom, &[][..]);
        for field in Fields::of(start).map_while(Result::ok) {
            match field {
                (process_info::IS_OUTERMOST, Value::Varint(value)) => counts |= value != 0,
                (process_info::MPI_RANK, _) => counts = true,
                (process_info::BINPATH, Value::Bytes(bytes)) => program = bytes,
                _ => {}
            }
        }
        let program = String::from_utf8_lossy(&program[..program.len().min(PATH_MAX)]).into_owned();
        let time_ns = time_ns.unwrap_or(entry.received_ns);
        (counts && is_told).then_some(FailedEnd { state, number, time_ns, program })
    }
}

impl FailedJob {
    fn of(end: &FailedEnd) -> FailedJob {
        let is = |state| u64::from(end.state == state);
        FailedJob {
            state: end.state,
            first_ns: end.time_ns,
            last_ns: end.time_ns,
            failed: is(JobState::Failed),
            killed: is(JobState::Killed),
            oom: is(JobState::Oom),
            program: end.program.clone(),
            number: end.number,
        }
    }

    /// Adds later ends of the same job.
    fn add(&mut self, more: FailedJob) {
        if more.state > self.state {
            (self.state, self.program, self.number) = (more.state, more.program, more.number);
        }
        self.first_ns = self.first_ns.min(more.first_ns);
        self.last_ns = self.last_ns.max(more.last_ns);
        self.failed += more.failed;
        self.killed += more.killed;
        self.oom += more.oom;
    }
}

fn row_key(uid: u32, cluster: &[u8], job: &[u8]) -> Vec<u8> {
    [&uid.to_be_bytes()[..], &(cluster.len() as u16).to_be_bytes(), cluster, job].concat()
}

fn uid_of(key: &[u8]) -> Option<u32> {
    (key != DROPPED).then(|| (&*key).try_get_u32().ok()).flatten()
}

/// The user, the cluster and the job of a row.
fn row_of(key: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let uid = uid_of(key)?;
    let (length, rest) = key.get(4..)?.split_first_chunk()?;
    let (cluster, job) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((uid, cluster, job))
}

/// What is asked for.
#[derive(Debug, Default)]
pub struct FailureQuestion {
    pub states: Vec<JobState>,
    pub uid: Option<u32>,
    pub cluster: Option<Vec<u8>>,
    pub since_ns: Option<i64>,
    pub until_ns: Option<i64>,
    pub limit: usize,
}

/// The jobs, the last failure first, each with its user.
pub struct FailureAnswer {
    pub jobs: Vec<(u32, serde_json::Value)>,
    /// There are more than that, or some of that time were dropped.
    pub is_cut: bool,
}

impl Jobs {
    /// Puts the failures of a write among its writes.
    pub(super) fn put_failures(&self, failures: NewFailures, writes: &mut Writes) -> anyhow::Result<()> {
        let mut shares = self.failures.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, row) in failures.0 {
            let row = match self.store.failures.get(&key)? {
                Some(known) => {
                    let mut known: FailedJob = serde_json::from_slice(&known)?;
                    known.add(row);
                    known
                }
                None => {
                    *shares.entry(uid_of(&key).unwrap_or(0)).or_default() += 1;
                    row
                }
            };
            writes.insert(&self.store.failures, key, serde_json::to_vec(&row)?);
        }
        Ok(())
    }

    /// Drops rows that are old, and the oldest of the user with the most where there are too many.
    pub(super) fn prune_failures(&self, oldest_ns: i64, rows_max: usize) -> anyhow::Result<()> {
        let mut shares = self.failures.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: HashMap<u32, Vec<(i64, Vec<u8>)>> = HashMap::new();
        let mut gone = Vec::new();
        for entry in self.store.failures.iter() {
            let (key, value) = entry.into_inner()?;
            let Some(uid) = uid_of(&key) else { continue };
            let row: FailedJob = serde_json::from_slice(&value)?;
            match row.last_ns < oldest_ns {
                true => gone.push((uid, key.to_vec())),
                false => times.entry(uid).or_default().push((row.last_ns, key.to_vec())),
            }
        }
        let mut dropped_ns = None;
        while times.values().map(Vec::len).sum::<usize>() > rows_max {
            let Some((uid, rows)) = times.iter_mut().max_by_key(|(_, rows)| rows.len()) else { break };
            rows.sort_unstable();
            for (last_ns, key) in rows.drain(..rows.len().div_ceil(4)) {
                dropped_ns = dropped_ns.max(Some(last_ns));
                gone.push((*uid, key));
            }
        }
        let mut writes = self.store.database.writes();
        for (uid, key) in &gone {
            writes.remove(&self.store.failures, key);
            if let Some(share) = shares.get_mut(uid) {
                *share = share.saturating_sub(1);
            }
        }
        if let Some(dropped_ns) = dropped_ns.max(self.dropped_ns()?) {
            writes.insert(&self.store.failures, DROPPED, dropped_ns.to_be_bytes());
        }
        if !gone.is_empty() {
            writes.commit()?;
        }
        shares.retain(|_, share| *share > 0);
        Ok(())
    }

    /// True if there are so many rows that some are to be dropped.
    pub(super) fn has_many_failures(&self) -> bool {
        let shares = self.failures.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares.values().sum::<usize>() > ROWS_MAX
    }

    /// The time of the last row that was dropped though it was not old.
    fn dropped_ns(&self) -> fjall::Result<Option<i64>> {
        let value = self.store.failures.get(DROPPED)?;
        Ok(value.and_then(|value| (&*value).try_get_i64().ok()))
    }

    /// Jobs in which something failed.
    pub fn failures(&self, question: &FailureQuestion) -> Result<FailureAnswer, JobError> {
        let mut found: Vec<(i64, Vec<u8>, FailedJob)> = Vec::new();
        let prefix = question.uid.map(u32::to_be_bytes);
        for entry in self.store.failures.prefix(prefix.map(Vec::from).unwrap_or_default()) {
            let (key, value) = entry.into_inner()?;
            let Some((_, cluster, _)) = row_of(&key) else { continue };
            let row: FailedJob = serde_json::from_slice(&value)?;
            let fits = (question.states.is_empty() || question.states.contains(&row.state))
                && question.cluster.as_ref().is_none_or(|wanted| wanted == cluster)
                && question.since_ns.is_none_or(|since| row.last_ns >= since)
                && question.until_ns.is_none_or(|until| row.first_ns < until);
            if fits {
                found.push((row.last_ns, key.to_vec(), row));
            }
        }
        found.sort_unstable_by(|left, right| (right.0, &left.1).cmp(&(left.0, &right.1)));
        let has_lost = self
            .dropped_ns()?
            .is_some_and(|dropped_ns| question.since_ns.is_none_or(|since| since <= dropped_ns));
        let is_cut = found.len() > question.limit || has_lost;
        found.truncate(question.limit);
        let jobs = found.iter().filter_map(|(_, key, row)| document(key, row)).collect();
        Ok(FailureAnswer { jobs, is_cut })
    }
}

fn document(key: &[u8], row: &FailedJob) -> Option<(u32, serde_json::Value)> {
    let (uid, cluster, job) = row_of(key)?;
    let mut document = json!({
        "job_id": job_name::of_key(job),
        "uid": uid,
        "state": row.state,
        "first_ns": row.first_ns,
        "last_ns": row.last_ns,
        "failed": row.failed,
        "killed": row.killed,
        "oom": row.oom,
        "binpath": row.program,
    });
    if !cluster.is_empty() {
        document["cluster"] = job_name::of_cluster(cluster).into();
    }
    let key = if row.state == JobState::Failed { "exit_status" } else { "signal" };
    document[key] = row.number.into();
    Some((uid, document))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Line, *};
    use crate::queue::Credentials;
    use ogrt_proto::{EndedBy, ProcessEnd, ProcessInfo};
    use prost::Message;

    /// The kernel's word on the end of a user's only process of a job.
    fn end(number: u8, uid: u32, job: &str, signal: u32, is_outermost: bool) -> Entry {
        let start = ProcessInfo { is_outermost: Some(is_outermost), ..ProcessInfo::default() };
        let message = ProcessEnd {
            event_id: Some(vec![number; 16].into()),
            job_id: Some(job.to_owned().into()),
            ended_by: Some(EndedBy::Signal as i32),
            signal: Some(signal),
            time_ns: Some(i64::from(number)),
            start: Some(start),
            ..ProcessEnd::default()
        };
        Entry {
            kind: Kind::End,
            received_ns: 1,
            assigned_id: None,
            credentials: Some(Credentials { pid: 7, uid, gid: uid }),
            delivered_by: None,
            via: None,
            is_final: false,
            is_whole: true,
            end_source: EndSource::Kernel,
            message: message.encode_to_vec().into(),
        }
    }

    fn names(line: &Line, since_ns: Option<i64>) -> (Vec<String>, bool) {
        let question = FailureQuestion { since_ns, limit: 100, ..FailureQuestion::default() };
        let answer = line.jobs.failures(&question).unwrap();
        let name = |(_, job): &(u32, serde_json::Value)| job["job_id"].as_str().unwrap().to_owned();
        (answer.jobs.iter().map(name).collect(), answer.is_cut)
    }

    #[test]
    fn who_has_the_most_loses_the_oldest_and_the_answer_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        let client = Entry { end_source: EndSource::Client, ..end(9, 5, "claim", 9, true) };
        line.queue(&[
            end(1, 5, "a", 9, true),
            end(2, 5, "b", 9, true),
            end(3, 6, "c", 9, true),
            end(4, 5, "d", 9, true),
            end(5, 5, "inner", 9, false),
            end(6, 5, "b", 15, true),
            client,
        ]);
        line.write().unwrap();
        assert_eq!(names(&line, None), (["b", "d", "c", "a"].map(str::to_owned).to_vec(), false));
        line.jobs.prune_failures(0, 3).unwrap();
        assert_eq!(names(&line, None), (["b", "d", "c"].map(str::to_owned).to_vec(), true));
        assert_eq!(names(&line, Some(2)), (["b", "d", "c"].map(str::to_owned).to_vec(), false));
        // Old ones go without a word: nobody asks for that time.
        line.jobs.prune_failures(4, 3).unwrap();
        assert_eq!(names(&line, Some(2)).0, ["b", "d"]);
        let shares = line.jobs.failures.0.lock().unwrap();
        assert_eq!(shares.iter().map(|(uid, rows)| (*uid, *rows)).collect::<Vec<_>>(), [(5, 2)]);
    }
}
