//! The limit of each job: what is over it is counted, exactly, and goes out as one summary.
//!
//! A job has a bucket that fills with `events_per_second` up to `burst_events`; an event that finds
//! it empty is counted in the job's summary. The summary is held like an event that waits (see
//! [`super::held_events`]): it is written with the list that leaves those events out, so that a
//! crash neither forgets nor counts twice, and enters the queue as an event of its own when it has
//! gathered for `summary_every`.

use super::{decode_event::Event, held_events::Release};
use crate::{
    config::LimitConfig,
    queue::{EndSource, Entry, HeldKey, Kind},
};
use bytes::Bytes;
use ogrt_proto::{JobSummary, ProgramCount};
use prost::Message;
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Programs named in a summary; the others are counted under an empty path.
const PROGRAMS_MAX: usize = 32;

/// Longest path of a program in a summary.
const PATH_MAX: usize = 1024;

/// How often jobs that are quiet are forgotten, where there are too many.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// All jobs.
#[derive(Default)]
pub struct Limiter {
    jobs: HashMap<Bytes, JobBucket>,
    /// The times when summaries are due, in order.
    due: VecDeque<(Instant, Bytes)>,
    /// Jobs whose summary has changed since it was last written.
    changed: Vec<Bytes>,
    /// The key of the job at hand; here so that it keeps its memory.
    key: Vec<u8>,
    forgotten_at: Option<Instant>,
}

struct JobBucket {
    left: f64,
    at: Instant,
    open: Option<OpenSummary>,
}

struct OpenSummary {
    key: HeldKey,
    summary: JobSummary,
    is_changed: bool,
}

impl Limiter {
    /// Tells whether the event is over its job's limit. Then it is counted, and the summary may be
    /// held under its key.
    pub fn takes(&mut self, config: &LimitConfig, entry: &Entry, event: &Event<'_>, key: HeldKey) -> bool {
        if config.events_per_second == 0 || event.job_id.is_empty() || entry.kind == Kind::Summary {
            return false;
        }
        let now = Instant::now();
        write_key(event.cluster, event.job_id, &mut self.key);
        if !self.jobs.contains_key(&self.key[..]) {
            if self.jobs.len() >= config.jobs_max && !self.forgets_some(config, now) {
                return false;
            }
            let fresh = JobBucket { left: config.burst_events.max(1) as f64, at: now, open: None };
            self.jobs.insert(Bytes::copy_from_slice(&self.key), fresh);
        }
        let Some(job) = self.jobs.get_mut(&self.key[..]) else { return false };
        job.fill(config, now);
        if job.left >= 1.0 {
            job.left -= 1.0;
            return false;
        }
        let name = || Bytes::copy_from_slice(&self.key);
        let open = job.open.get_or_insert_with(|| {
            self.due.push_back((now + config.summary_every.0, name()));
            let id = uuid::Uuid::now_v7().as_bytes().to_vec();
            let summary = JobSummary {
                event_id: Some(id.into()),
                job_id: Some(Bytes::copy_from_slice(event.job_id)),
                cluster: (!event.cluster.is_empty()).then(|| Bytes::copy_from_slice(event.cluster)),
                from_ns: Some(entry.received_ns),
                ..JobSummary::default()
            };
            OpenSummary { key, summary, is_changed: false }
        });
        open.count(entry, event);
        if !std::mem::replace(&mut open.is_changed, true) {
            self.changed.push(name());
        }
        true
    }

    /// The summaries that have changed since this was asked last, to be held.
    pub fn changed(&mut self) -> Vec<(HeldKey, Entry)> {
        let mut changed = Vec::new();
        for job_id in self.changed.drain(..) {
            if let Some(open) = self.jobs.get_mut(&job_id).and_then(|job| job.open.as_mut()) {
                open.is_changed = false;
                changed.push((open.key, open.entry()));
            }
        }
        changed
    }

    /// Takes up a summary that was held when the server ended.
    pub fn resume(&mut self, config: &LimitConfig, key: HeldKey, entry: &Entry) -> Option<Release> {
        let summary = JobSummary::decode(entry.message.clone()).unwrap_or_default();
        let mut name = Vec::new();
        write_key(summary.cluster(), summary.job_id(), &mut name);
        let job_id = Bytes::from(name);
        let now = Instant::now();
        let job =
            self.jobs.entry(job_id.clone()).or_insert_with(|| JobBucket { left: 0.0, at: now, open: None });
        let open = OpenSummary { key, summary, is_changed: false };
        if job.open.is_some() {
            // The one before was on its way when the server ended; so this one goes, too.
            return Some(open.release());
        }
        job.open = Some(open);
        self.due.push_back((now + config.summary_every.0, job_id));
        None
    }

    /// Summaries that have gathered long enough.
    pub fn due(&mut self) -> Vec<Release> {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some((_, job_id)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            due.extend(self.jobs.get_mut(&job_id).and_then(|job| job.open.take()).map(OpenSummary::release));
        }
        due
    }

    /// The time when the next one has gathered long enough.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(at, _)| *at)
    }

    /// Forgets jobs that have their whole share again.
    fn forgets_some(&mut self, config: &LimitConfig, now: Instant) -> bool {
        if self.forgotten_at.is_some_and(|at| now - at < FORGET_EVERY) {
            return false;
        }
        self.forgotten_at = Some(now);
        self.jobs.retain(|_, job| {
            job.fill(config, now);
            job.open.is_some() || job.left < config.burst_events as f64
        });
        self.jobs.len() < config.jobs_max
    }
}

/// Writes the key of a job over what was there.
fn write_key(cluster: &[u8], job_id: &[u8], key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(&cluster.len().to_ne_bytes());
    key.extend_from_slice(cluster);
    key.extend_from_slice(job_id);
}

impl JobBucket {
    fn fill(&mut self, config: &LimitConfig, now: Instant) {
        let more = (now - self.at).as_secs_f64() * config.events_per_second as f64;
        self.left = (self.left + more).min(config.burst_events.max(1) as f64);
        self.at = now;
    }
}

impl OpenSummary {
    fn count(&mut self, entry: &Entry, event: &Event<'_>) {
        let summary = &mut self.summary;
        summary.to_ns = Some(entry.received_ns);
        if entry.kind == Kind::End {
            summary.ends = Some(summary.ends() + 1);
            return;
        }
        summary.starts = Some(summary.starts() + 1);
        let path = &event.binpath[..event.binpath.len().min(PATH_MAX)];
        let known = summary.programs.iter().position(|program| program.binpath() == path);
        let at = known.unwrap_or_else(|| {
            let path = if summary.programs.len() < PROGRAMS_MAX { path } else { b"" };
            let rest = summary.programs.iter().position(|program| program.binpath() == path);
            rest.unwrap_or_else(|| {
                let binpath = Some(Bytes::copy_from_slice(path));
                summary.programs.push(ProgramCount { binpath, starts: None });
                summary.programs.len() - 1
            })
        });
        let program = &mut summary.programs[at];
        program.starts = Some(program.starts() + 1);
    }

    fn entry(&self) -> Entry {
        Entry {
            kind: Kind::Summary,
            received_ns: self.summary.to_ns(),
            assigned_id: None,
            credentials: None,
            delivered_by: None,
            via: None,
            is_final: true,
            is_whole: true,
            end_source: EndSource::Client,
            message: self.summary.encode_to_vec().into(),
        }
    }

    fn release(self) -> Release {
        Release { entry: self.entry(), replaces: vec![self.key], in_vain: false }
    }
}
