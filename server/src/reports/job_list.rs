//! A list of jobs, the newest first, a page at a time.
//!
//! What most questions narrow it by stands in the list itself ([`crate::sums::job_list`]); the
//! record of a job is read for those that fit. A page looks at a bounded number of jobs: where it
//! ends before it is full, it has a cursor, and the next one goes on.

use super::{ReportKey, Reports, names::Names};
use crate::{
    job_name,
    sums::{self, JobRecord, JobState, ListedJob, RecordKey, Status, job_list},
    uses::UsesError,
};
use serde_json::{Value, json};
use std::{cmp::Reverse, collections::BTreeMap};

/// Most jobs that one page looks at.
const LOOKED_AT_MAX: usize = 200_000;

/// The same where one job is asked for: whoever knows when it began finds it at once.
const LOOKED_AT_FOR_ONE: usize = 20_000;

/// Most names of software in one line.
const SOFTWARE_MAX: usize = 10;

/// What is asked for. Empty texts narrow nothing.
#[derive(Clone, Debug, Default)]
pub struct JobListQuestion {
    /// Jobs in one of these states; any where there are none.
    pub states: Vec<JobState>,
    pub user: String,
    pub account: String,
    pub partition: String,
    /// A cluster's key.
    pub cluster: Option<Vec<u8>>,
    /// The name of a registered software that the job ran.
    pub software: String,
    /// A job's key.
    pub job: Option<Vec<u8>>,
    /// An array, and its task.
    pub array_job: Option<u32>,
    pub array_task: Option<u32>,
    /// Jobs of which something was there in this time, in Unix nanoseconds.
    pub since_ns: Option<i64>,
    pub until_ns: Option<i64>,
    /// The cursor of a page.
    pub after: Option<Vec<u8>>,
    pub limit: usize,
}

/// A page of the list.
#[derive(Debug, Default)]
pub struct JobListPage {
    /// docs/api.md explains each key.
    pub jobs: Vec<Value>,
    /// The cursor of the next page.
    pub next: Option<Vec<u8>>,
    /// Jobs are missing.
    pub is_cut: bool,
}

impl JobListQuestion {
    fn fits(&self, listed: &ListedJob<'_>, key: &RecordKey<'_>) -> bool {
        let is = |wanted: &str, name: &[u8]| wanted.is_empty() || wanted.as_bytes() == name;
        let states = self.states.iter().fold(0, |all, state| all | 1 << *state as u8);
        (self.states.is_empty() || states & listed.states != 0)
            && is(&self.user, key.user)
            && is(&self.account, listed.account)
            && is(&self.partition, listed.partition)
            && self.cluster.as_ref().is_none_or(|cluster| cluster == key.cluster)
            && self.job.as_ref().is_none_or(|job| job == key.job)
            && self.array_job.is_none_or(|job| job == listed.array_job)
            && self.array_task.is_none_or(|task| listed.array_job > 0 && task == listed.array_task)
            // What runs goes on until now.
            && self.since_ns.is_none_or(|since| listed.last_ns >= since || listed.is_running())
            && self.until_ns.is_none_or(|until| listed.first_ns < until)
    }

    /// The first key of the page.
    fn begin(&self) -> Vec<u8> {
        let until =
            self.until_ns.map_or_else(job_list::begin, |until| job_list::from(until.saturating_sub(1)));
        match &self.after {
            // The key behind it.
            Some(after) => until.max([&after[..], &[0]].concat()),
            None => until,
        }
    }
}

impl Reports {
    /// A page of the list.
    pub fn jobs(&self, question: &JobListQuestion) -> Result<JobListPage, UsesError> {
        let sums = self.uses.sums();
        let mut names = self.names();
        let mut page = JobListPage::default();
        let mut last: Option<Vec<u8>> = None;
        let most = if question.job.is_some() { LOOKED_AT_FOR_ONE } else { LOOKED_AT_MAX };
        for (looked_at, entry) in sums.job_list.range(question.begin()..).enumerate() {
            let (key, value) = entry.into_inner()?;
            if looked_at == most {
                page.next = last;
                break;
            }
            let before = last.replace(key.to_vec());
            let Some(listed) = ListedJob::read(&key, &value) else { continue };
            let Some(record_key) = RecordKey::read(listed.record) else { continue };
            if !question.fits(&listed, &record_key) {
                continue;
            }
            let Some(record) = sums::record(sums, listed.record)? else { continue };
            let software = software(&record, &mut names)?;
            if !question.software.is_empty() && !software.iter().any(|one| one.software == question.software)
            {
                page.is_cut |= record.is_full();
                continue;
            }
            if page.jobs.len() == question.limit {
                page.next = before;
                break;
            }
            page.jobs.push(self.document(&listed, &record_key, &record, &software)?);
            // Who asks for one job need not wait for the look at all that are older.
            if question.job.is_some() && page.jobs.len() == question.limit {
                page.next = last;
                break;
            }
        }
        let dropped_ns = job_list::dropped_ns(sums)?;
        page.is_cut |=
            dropped_ns.is_some_and(|dropped| question.since_ns.is_none_or(|since| since <= dropped));
        Ok(page)
    }

    fn document(
        &self,
        listed: &ListedJob<'_>,
        key: &RecordKey<'_>,
        record: &JobRecord,
        software: &[JobSoftware],
    ) -> Result<Value, UsesError> {
        let outcome = &record.outcome;
        let mut job = json!({
            "job_id": job_name::of_key(key.job),
            "identity": if key.is_claimed { ogrt_proto::CLAIMED } else { ogrt_proto::KERNEL },
            "state": outcome.state(key.is_claimed).text(),
            "first_ns": record.first_ns(),
            "last_ns": record.last_ns(),
            "processes": outcome.processes(),
            "open": outcome.open(),
            "cpu_us": outcome.cpu_us(),
            "failed": outcome.verdicts(Status::Failed),
            "killed": outcome.verdicts(Status::Killed),
            "oom": outcome.verdicts(Status::Oom),
        });
        let texts = [
            ("username", String::from_utf8_lossy(key.user)),
            ("via", String::from_utf8_lossy(key.relay)),
            ("cluster", job_name::of_cluster(key.cluster)),
            ("account", String::from_utf8_lossy(listed.account)),
            ("partition", String::from_utf8_lossy(listed.partition)),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            job[name] = text.into();
        }
        if record.nodes() > 0 {
            job["nodes"] = record.nodes().into();
        }
        if listed.array_job > 0 {
            job["array_job"] = listed.array_job.into();
            job["array_task"] = listed.array_task.into();
        }
        if let Some(worst) = &outcome.worst {
            let key = if worst.status == Status::Failed { "exit_status" } else { "signal" };
            job[key] = worst.number.into();
            if !worst.what_ran.is_empty() {
                job["what_ran"] = String::from_utf8_lossy(&worst.what_ran).into();
            }
            if let Some(program) = self.uses.named_program(worst.program)? {
                job["binpath"] = String::from_utf8_lossy(&program.path).into();
            }
        }
        let told = software.iter().take(SOFTWARE_MAX);
        let told = told.map(|JobSoftware { software, version, known_by }| {
            json!({ "software": software, "version": version, "known_by": known_by })
        });
        job["software"] = told.collect::<Vec<_>>().into();
        if software.len() > SOFTWARE_MAX {
            job["software_in_all"] = software.len().into();
        }
        Ok(job)
    }
}

/// What a job ran, with its version, and what it is known by.
struct JobSoftware {
    software: String,
    version: String,
    known_by: String,
}

/// Software of a job that is registered or explained, with versions: what used the most CPU time
/// first.
fn software(record: &JobRecord, names: &mut Names<'_>) -> Result<Vec<JobSoftware>, UsesError> {
    let mut weights: BTreeMap<[String; 3], u64> = BTreeMap::new();
    let keys = [ReportKey::Software, ReportKey::Version, ReportKey::KnownBy];
    for (row, weight) in record.rows() {
        let of_row = names.of(&row, false)?;
        let line = names.line(&of_row, &keys);
        if let Ok(texts) = <[String; 3]>::try_from(names.texts(&line, 3))
            && !texts[0].is_empty()
        {
            let known = weights.entry(texts).or_default();
            *known = known.saturating_add(weight);
        }
    }
    let mut software: Vec<([String; 3], u64)> = weights.into_iter().collect();
    software.sort_by_key(|(_, weight)| Reverse(*weight));
    let named =
        |([software, version, known_by], _): ([String; 3], u64)| JobSoftware { software, version, known_by };
    Ok(software.into_iter().map(named).collect())
}
