//! The limit of each job: what is over it is counted, exactly, and goes out as one summary.
//!
//! A job has a bucket that fills with `events_per_second` up to `burst_events`; an event that finds
//! it empty is counted in the job's summary. The summary is held like an event that waits (see
//! [`super::held_events`]): it is written with the list that leaves those events out, so that a
//! crash neither forgets nor counts twice, and enters the queue as an event of its own when it has
//! gathered for `summary_every`.
//!
//! Each sender has a bucket of his own in a job, and all claims one: so nobody brings the events of
//! another's job into a summary (`claims_under_a_jobs_id_leave_its_limit_alone`). The places of
//! jobs are shared among senders, and the bytes of summaries are bounded.

use super::{decode_event::Event, held_events::Release, job_places::JobPlaces};
use crate::{
    config::LimitConfig,
    fair_shares::ShareHolder,
    job_key::{cluster_key, job_key},
    queue::{EndSource, Entry, HeldKey, Kind},
};
use bytes::Bytes;
use ogrt_proto::{JobSummary, ProgramCount};
use prost::Message;
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Programs named in a summary, and the bytes of their paths; the others are counted under an empty
/// path. A summary is written again with each batch that changes it.
const PROGRAMS_MAX: usize = 32;
const PATHS_BYTES_MAX: usize = 4096;

/// Longest job id and cluster of a job that is limited: its summary repeats them.
const NAMES_MAX: usize = 1024;

/// Longest path of a program in a summary.
const PATH_MAX: usize = 1024;

/// How often jobs that are quiet are forgotten, where there are too many.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// All jobs.
#[derive(Default)]
pub struct Limiter {
    jobs: HashMap<Bytes, JobBucket>,
    places: JobPlaces,
    /// The times when summaries are due, in order.
    due: VecDeque<(Instant, Bytes)>,
    /// Jobs whose summary has changed since it was last written.
    changed: Vec<Bytes>,
    /// The key of the job at hand; here so that it keeps its memory.
    key: Vec<u8>,
    forgotten_at: Option<Instant>,
    /// The sender of the event at hand, if its job is not limited because he has too many.
    unlimited: Option<ShareHolder>,
}

struct JobBucket {
    holder: ShareHolder,
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
        if event.job_id.len() + event.cluster.len() > NAMES_MAX {
            return false;
        }
        if config.events_per_second == 0 || event.job_id.is_empty() || entry.kind == Kind::Summary {
            return false;
        }
        let now = Instant::now();
        let holder = holder(entry);
        write_key(event.cluster, event.job_id, &holder, &mut self.key);
        if !self.jobs.contains_key(&self.key[..]) {
            if !self.places.has_room(&holder, config.jobs_max) {
                self.forgets_some(config, now);
                if !self.places.has_room(&holder, config.jobs_max) {
                    self.unlimited = self.places.sender_with_much(holder, config.jobs_max);
                    return false;
                }
            }
            self.places.take(&holder);
            let fresh = JobBucket { holder, left: config.burst_events.max(1) as f64, at: now, open: None };
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
        // Who sent what is in it, nobody knows by now.
        let holder = ShareHolder::others();
        write_key(summary.cluster(), summary.job_id(), &holder, &mut name);
        let job_id = Bytes::from(name);
        let now = Instant::now();
        let job = self.jobs.entry(job_id.clone()).or_insert_with(|| {
            self.places.take(&holder);
            JobBucket { holder, left: 0.0, at: now, open: None }
        });
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

    /// Takes the sender whose event was not limited because he has too many jobs.
    pub fn take_unlimited(&mut self) -> Option<ShareHolder> {
        self.unlimited.take()
    }

    /// Forgets jobs that have their whole share again.
    fn forgets_some(&mut self, config: &LimitConfig, now: Instant) {
        if self.forgotten_at.is_some_and(|at| now - at < FORGET_EVERY) {
            return;
        }
        self.forgotten_at = Some(now);
        self.jobs.retain(|_, job| {
            job.fill(config, now);
            let is_kept = job.open.is_some() || job.left < config.burst_events as f64;
            if !is_kept {
                self.places.leave(&job.holder);
            }
            is_kept
        });
    }
}

/// The sender whose bucket an event is in.
fn holder(entry: &Entry) -> ShareHolder {
    match entry.credentials {
        Some(credentials) => ShareHolder::uid_by(entry.relay(), credentials.uid),
        None => ShareHolder::others(),
    }
}

/// Writes the key of a sender's job over what was there.
fn write_key(cluster: &[u8], job_id: &[u8], holder: &ShareHolder, key: &mut Vec<u8>) {
    key.clear();
    for text in [&*cluster_key(cluster), holder.as_bytes()] {
        key.extend_from_slice(&text.len().to_ne_bytes());
        key.extend_from_slice(text);
    }
    key.extend_from_slice(&job_key(job_id));
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
        if entry.credentials.is_none() {
            summary.claimed = Some(summary.claimed() + 1);
        }
        if entry.kind == Kind::End {
            summary.ends = Some(summary.ends() + 1);
            return;
        }
        summary.starts = Some(summary.starts() + 1);
        let path = &event.binpath[..event.binpath.len().min(PATH_MAX)];
        let known = summary.programs.iter().position(|program| program.binpath() == path);
        let at = known.unwrap_or_else(|| {
            let bytes: usize = summary.programs.iter().map(|program| program.binpath().len()).sum();
            let has_room = summary.programs.len() < PROGRAMS_MAX && bytes + path.len() <= PATHS_BYTES_MAX;
            let path = if has_room { path } else { b"" };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Time, queue::Credentials};
    use ogrt_proto::ProcessInfo;

    fn entry(uid: Option<u32>, path: &str) -> Entry {
        let info = ProcessInfo { binpath: Some(path.to_owned().into()), ..ProcessInfo::default() };
        Entry {
            kind: Kind::Start,
            received_ns: 7,
            assigned_id: None,
            credentials: uid.map(|uid| Credentials { pid: 1, uid, gid: 1 }),
            delivered_by: None,
            via: None,
            is_final: false,
            is_whole: false,
            end_source: EndSource::Client,
            message: info.encode_to_vec().into(),
        }
    }

    /// How many of these events of a job are over its limit.
    fn over(limiter: &mut Limiter, job: &str, entries: impl IntoIterator<Item = Entry>) -> usize {
        let config = LimitConfig {
            events_per_second: 1,
            burst_events: 10,
            jobs_max: 8,
            summary_every: Time::from_secs(0),
        };
        let one = |entry: &Entry| {
            let mut event = Event::default();
            event.read(entry.kind, &entry.message).unwrap();
            event.job_id = job.as_bytes();
            limiter.takes(&config, entry, &event, (1, 1))
        };
        entries.into_iter().filter(one).count()
    }

    fn summaries(limiter: &mut Limiter) -> Vec<JobSummary> {
        let due = limiter.due();
        due.into_iter().map(|release| JobSummary::decode(release.entry.message).unwrap()).collect()
    }

    #[test]
    fn claims_under_a_jobs_id_leave_its_limit_alone() {
        let mut limiter = Limiter::default();
        let claims = (0..1000).map(|_| entry(None, "/t/x"));
        assert!((985..=990).contains(&over(&mut limiter, "4711", claims)));
        assert_eq!(over(&mut limiter, "4711", (0..10).map(|_| entry(Some(1), "/sw/app"))), 0);
        assert_eq!(over(&mut limiter, "4711", (0..5).map(|_| entry(Some(1), "/sw/app"))), 5);
        let both: Vec<_> = summaries(&mut limiter).iter().map(|one| (one.starts(), one.claimed())).collect();
        assert!(both.contains(&(5, 0)) && both.iter().any(|(starts, claimed)| starts == claimed), "{both:?}");
    }

    #[test]
    fn who_has_very_many_jobs_is_told_and_those_of_others_are_limited() {
        let mut limiter = Limiter::default();
        for job in 0..20 {
            over(&mut limiter, &format!("x{job}"), [entry(Some(1), "/t/x")]);
        }
        assert_eq!(limiter.take_unlimited(), Some(ShareHolder::proved_uid(1)));
        assert_eq!(over(&mut limiter, "x19", (0..100).map(|_| entry(Some(1), "/t/x"))), 0);
        limiter.take_unlimited();
        assert!(over(&mut limiter, "own", (0..100).map(|_| entry(Some(2), "/sw/app"))) >= 85);
        assert_eq!((limiter.take_unlimited(), limiter.jobs.len() <= 8), (None, true));
    }

    #[test]
    fn the_paths_in_a_summary_are_bounded() {
        let mut limiter = Limiter::default();
        let path = |n: usize| format!("/{}{n}", "p".repeat(1000));
        over(&mut limiter, "1", (0..100).map(|n| entry(None, &path(n % 30))));
        let [summary] = &summaries(&mut limiter)[..] else { panic!() };
        assert!(summary.encoded_len() < PATHS_BYTES_MAX + 200, "{}", summary.encoded_len());
        let starts: u64 = summary.programs.iter().map(ProgramCount::starts).sum();
        assert_eq!((starts, summary.starts()), (summary.starts(), starts));
        // The summary of a job with a very long id would repeat it.
        let long = "j".repeat(NAMES_MAX + 1);
        assert_eq!(over(&mut limiter, &long, (0..100).map(|_| entry(None, "/t/x"))), 0);
        assert_eq!(limiter.jobs.len(), 1);
    }
}
