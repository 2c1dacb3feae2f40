//! What is kept to answer questions about jobs: the events of each job, joined when somebody asks.
//!
//! The stage pulls batches like an output and writes, for each job, its entries of a moment as one
//! compressed value. Its offset in the queue moves in the same write, so each event is kept once:
//! the test `a_write_that_fails_keeps_neither_events_nor_offset`. Because the join is made at the
//! question, an answer shows records that came long after the event. What is kept is bounded by age
//! and by bytes. Where there is too much, senders with more than their share lose their oldest
//! (`who_floods_pushes_out_nobody_else`).

mod answer;
mod error;
mod event_shares;
mod gather;
mod index;
mod kept_events;
mod keys;
mod losses;
mod open_starts;
mod retention;
mod site;
mod values;
mod whole_since;

use crate::{
    clock::now_ns,
    config::JobsConfig,
    database::{JobsStore, number},
    fair_shares::{ShareHolder, Shares},
    join::{BatchReader, DocumentBatches, Joiner, Want},
    metrics::Metrics,
    queue::Queue,
    shutdown::Shutdown,
};
use anyhow::Result;
use bytes::BufMut;
use gather::{Groups, WriteBatches};
use index::IndexCache;
use keys::{log_key, value_key};
use losses::LossSweep;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{time::sleep, time::timeout};
use tracing::error;

pub use answer::{JobCursor, JobPage};
pub use error::JobError;
pub use open_starts::OpenStartReader;
pub use site::Site;
use values::JobValues;

/// The consumer's name in the queue, which no output can have.
pub const CONSUMER: &str = ".jobs";

/// Events that come within this time share a value.
const LINGER: Duration = Duration::from_millis(50);

/// Documents' bytes behind one write.
const GATHER_BYTES: usize = 4 << 20;

const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// See the module.
pub struct Jobs {
    store: JobsStore,
    queue: Arc<Queue>,
    documents: Arc<DocumentBatches>,
    joiner: Arc<Joiner>,
    metrics: Arc<Metrics>,
    config: JobsConfig,
    /// Bytes of each sender.
    shares: Mutex<Shares>,
    indexes: IndexCache,
    sweep: LossSweep,
    /// The database of several servers, where these share what jobs ran.
    site: Option<Arc<Site>>,
}

impl Jobs {
    /// Opens the events that are kept.
    pub fn new(
        store: JobsStore,
        queue: Arc<Queue>,
        documents: Arc<DocumentBatches>,
        joiner: Arc<Joiner>,
        metrics: Arc<Metrics>,
        config: JobsConfig,
        site: Option<Site>,
    ) -> Result<Self> {
        store.remove_failures()?;
        let mut shares = Shares::default();
        for entry in store.senders.iter() {
            let (sender, bytes) = entry.into_inner()?;
            shares.set(ShareHolder::read(&sender), number(&bytes));
        }
        let (shares, indexes, sweep) = (Mutex::new(shares), IndexCache::default(), LossSweep::default());
        let site = site.map(Arc::new);
        let jobs = Jobs { store, queue, documents, joiner, metrics, config, shares, indexes, sweep, site };
        jobs.begin_whole()?;
        Ok(jobs)
    }

    /// Keeps events until the join is closed. Runs in a thread of its own.
    pub async fn keep(&self, give_up: Shutdown) {
        if let Some(site) = &self.site {
            return site.keep(self, &give_up).await;
        }
        let mut next = self.queue.offset(CONSUMER);
        let reader = self.documents.reader(next, Want::Entries);
        let mut tail = reader.tail();
        let mut pruned = Instant::now();
        loop {
            let seen = *tail.borrow_and_update();
            self.metrics.jobs_lag.set(seen.next.saturating_sub(next));
            if next < seen.next {
                match self.write(&reader, next, seen.next) {
                    Ok(to) => {
                        next = to;
                        self.metrics.jobs_lag.set(tail.borrow().next.saturating_sub(next));
                    }
                    Err(problem) => {
                        error!("events of jobs cannot be kept: {problem:#}; it is tried again");
                        let _ = timeout(Duration::from_secs(1), give_up.wait()).await;
                    }
                }
            }
            if pruned.elapsed() > PRUNE_EVERY {
                pruned = Instant::now();
                self.indexes.forget_old();
                if let Err(problem) = self.prune() {
                    error!("old events of jobs cannot be removed: {problem:#}");
                }
            }
            if (seen.closed && next >= seen.next) || give_up.asked() {
                return;
            }
            if next >= seen.next {
                let _ = timeout(PRUNE_EVERY, tail.changed()).await;
                if !tail.borrow().closed {
                    sleep(LINGER).await;
                }
            }
        }
    }

    /// Writes batches from `next` on, and returns where the next write begins.
    fn write(&self, reader: &BatchReader, next: u64, end: u64) -> Result<u64> {
        let gathered = WriteBatches::read(reader, next, end, GATHER_BYTES)?;
        let to = gathered.to;
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let Groups { by_job, senders } = gathered.groups(&shares);
        let mut senders: Vec<_> = senders.into_iter().map(|sender| (sender, SenderLog::default())).collect();
        let mut writes = self.store.database.writes();
        let mut kept = 0;
        for ((job, cluster, sender), group) in &by_job {
            let packed = lz4_flex::compress_prepend_size(&group.entries);
            let key = value_key(job, cluster, next, group.number);
            let (_, log) = &mut senders[*sender];
            log.bytes += (packed.len() + key.len()) as u64;
            log.keys.put_u16(key.len() as u16);
            log.keys.put_slice(&key);
            writes.insert(&self.store.values, key, packed);
        }
        // Several names may have become one sender.
        let mut logs: BTreeMap<ShareHolder, SenderLog> = BTreeMap::new();
        for (sender, log) in senders {
            let known = logs.entry(sender).or_default();
            known.bytes += log.bytes;
            known.keys.extend(log.keys);
        }
        let mut more = Vec::new();
        for (sender, log) in logs {
            kept += log.bytes;
            let mut value = Vec::with_capacity(16 + log.keys.len());
            value.put_i64(now_ns());
            value.put_u64(log.bytes);
            value.put_slice(&log.keys);
            writes.insert(&self.store.log, log_key(&sender, next), value);
            let amount = shares.get(&sender) + log.bytes;
            self.put_share(&mut writes, &sender, amount);
            more.push((sender, amount));
        }
        if kept > 0 {
            let total = self.store.bytes.get()? + kept;
            self.metrics.jobs_bytes.set(total);
            writes.set(&self.store.bytes, total);
        }
        if gathered.is_dropped {
            // The full queue has dropped events that nobody kept.
            self.put_lost(&mut writes, now_ns())?;
        }
        self.queue.move_on(CONSUMER, to, writes)?;
        more.into_iter().for_each(|(sender, amount)| shares.set(sender, amount));
        Ok(to)
    }

    /// The values that answers read.
    fn values(&self) -> &dyn JobValues {
        match &self.site {
            Some(site) => &**site,
            None => &self.store,
        }
    }

    /// Waits, at most a second, until events that were received before are kept. Where that takes
    /// longer: the time of receipt from which on they are not kept yet. Several servers take two.
    pub async fn catch_up(&self) -> Result<Option<i64>, JobError> {
        if let Some(site) = &self.site {
            return Ok(site.catch_up(&self.queue).await?);
        }
        let until = self.queue.tail().borrow().next;
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let next = self.queue.offset(CONSUMER);
            if next >= until {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Ok(self.queue.received_ns(next));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What is written of one sender.
#[derive(Default)]
struct SenderLog {
    bytes: u64,
    /// Each with its length in front.
    keys: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{QueueConfig, RegistryConfig},
        database::Store,
        queue::{Credentials, EndSource, Entry, HeldEntries, Kind, Submission, Writer, WriterMessage},
        registry::{self, Summaries},
    };
    use answer::tests::answer;
    use bytes::Bytes;
    use ogrt_proto::{ProcessEnd, ProcessInfo};
    use prost::Message;
    use std::path::Path;

    /// The stage, with all that it stands on.
    pub struct Line {
        store: Store,
        queue: Arc<Queue>,
        pub jobs: Jobs,
        writer: Option<Writer>,
        to_writer: std::sync::mpsc::Sender<WriterMessage>,
    }

    impl Line {
        pub fn open(directory: &Path) -> Line {
            let store = Store::open(directory).unwrap();
            let metrics = Arc::new(Metrics::default());
            let queue = Arc::new(Queue::open(store.queue(), &[CONSUMER.to_owned()]).unwrap());
            let held = Arc::new(HeldEntries::new(store.held()));
            let (summaries, _) = Summaries::new(16, None);
            let summaries = Arc::new(summaries);
            let registry =
                registry::open(&RegistryConfig::default(), &store, summaries.clone(), metrics.clone());
            let registry = registry.unwrap();
            let (writer, to_writer) = Writer::open(
                store.queue(),
                queue.clone(),
                held.clone(),
                registry.clone(),
                metrics.clone(),
                QueueConfig::default(),
                store.condition(),
            )
            .unwrap();
            let joiner = Arc::new(Joiner::new(registry, summaries));
            let documents = Arc::new(DocumentBatches::new(queue.clone(), held, joiner.clone()).unwrap());
            let config = JobsConfig::default();
            let jobs =
                Jobs::new(store.jobs(), queue.clone(), documents, joiner, metrics, config, None).unwrap();
            Line { store, queue, jobs, writer: Some(writer), to_writer }
        }

        /// Queues events as one batch.
        pub fn queue(&mut self, entries: &[Entry]) {
            let mut submission = Submission::default();
            entries.iter().for_each(|entry| submission.entries.push(entry));
            self.to_writer.send(WriterMessage::Submit(submission)).unwrap();
            self.to_writer.send(WriterMessage::Stop).unwrap();
            self.writer.take().unwrap().run().unwrap();
        }

        pub fn write(&self) -> Result<u64> {
            let next = self.queue.offset(CONSUMER);
            let reader = self.jobs.documents.reader(next, Want::Entries);
            self.jobs.write(&reader, next, self.queue.tail().borrow().next)
        }

        /// The number of events that are kept, their bytes as noted, and their bytes as they are.
        fn kept(&self) -> (usize, u64, u64) {
            let (mut events, mut bytes) = (0, 0);
            for entry in self.jobs.store.values.iter() {
                let (key, packed) = entry.into_inner().unwrap();
                if (keys::losses_begin()..keys::losses_end()).contains(&key.to_vec()) {
                    continue;
                }
                bytes += (packed.len() + key.len()) as u64;
                let mut rest = Bytes::from(lz4_flex::decompress_size_prepended(&packed).unwrap());
                events += std::iter::from_fn(|| Entry::read(&mut rest)).count();
            }
            (events, self.jobs.store.bytes.get().unwrap(), bytes)
        }
    }

    fn id(number: u8) -> Option<Bytes> {
        Some(vec![number; 16].into())
    }

    fn entry(kind: Kind, message: Vec<u8>) -> Entry {
        Entry {
            kind,
            received_ns: 1,
            assigned_id: None,
            credentials: None,
            delivered_by: None,
            via: None,
            is_final: false,
            is_whole: false,
            end_source: EndSource::Client,
            message: message.into(),
        }
    }

    pub fn start(number: u8, job: &str) -> Entry {
        let info = ProcessInfo {
            event_id: id(number),
            job_id: Some(job.to_owned().into()),
            ..ProcessInfo::default()
        };
        entry(Kind::Start, info.encode_to_vec())
    }

    fn end(number: u8, job: &str, duration_ns: u64) -> Entry {
        let end = ProcessEnd {
            event_id: id(number),
            job_id: Some(job.to_owned().into()),
            duration_ns: Some(duration_ns),
            ..ProcessEnd::default()
        };
        entry(Kind::End, end.encode_to_vec())
    }

    #[test]
    fn a_write_that_fails_keeps_neither_events_nor_offset() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        line.queue(&[start(1, "a"), start(2, "b"), start(3, "a")]);
        // With the second commit failing, the first would stay if events and offset were written
        // one by one.
        for commits in [0, 1] {
            line.store.faults().fail_after(commits);
            let is_written = line.write().is_ok();
            line.store.faults().fail_after(u64::MAX);
            let (events, said, there) = line.kept();
            assert_eq!(
                line.queue.offset(CONSUMER),
                if is_written { 1 } else { 0 },
                "after {commits} commits"
            );
            assert_eq!(events, if is_written { 3 } else { 0 }, "after {commits} commits");
            assert_eq!(said, there, "after {commits} commits");
            // What a start after a crash would find.
            drop(line);
            line = Line::open(directory.path());
            assert_eq!(line.queue.offset(CONSUMER), if is_written { 1 } else { 0 });
        }
        assert_eq!(line.kept().0, 3);
    }

    #[test]
    fn what_was_kept_twice_is_answered_once_and_each_end_is_with_its_own_start() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        let [first, other] = [start(1, "r"), start(2, "r")];
        let unknown = end(3, "r", 9);
        let ends = [end(1, "r", 7), end(1, "r", 8), unknown.clone(), unknown];
        line.queue(&[&[first.clone(), first, other], &ends[..]].concat());
        line.write().unwrap();
        let answer = answer(&line.jobs, b"r", None).unwrap();
        let processes: Vec<serde_json::Value> =
            answer.processes.iter().map(|process| serde_json::from_slice(process).unwrap()).collect();
        let durations: Vec<_> =
            processes.iter().map(|process| process["end"]["duration_ns"].as_u64()).collect();
        assert_eq!(durations, [Some(7), None, Some(9)], "{processes:?}");
    }

    #[test]
    fn a_stage_that_is_behind_says_until_when_events_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut line = Line::open(directory.path());
        let late = Entry { received_ns: 77, ..start(1, "a") };
        line.queue(&[late]);
        assert_eq!(runtime.block_on(line.jobs.catch_up()).unwrap(), Some(77));
        line.write().unwrap();
        assert_eq!(runtime.block_on(line.jobs.catch_up()).unwrap(), None);
    }

    #[test]
    fn jobs_of_two_clusters_with_one_id_are_two() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        let of = |number: u8, cluster: &str| {
            let info = ProcessInfo {
                event_id: id(number),
                job_id: Some("900".into()),
                cluster: (!cluster.is_empty()).then(|| cluster.to_owned().into()),
                ..ProcessInfo::default()
            };
            entry(Kind::Start, info.encode_to_vec())
        };
        line.queue(&[of(1, "alpha"), of(2, "beta"), of(3, ""), of(4, "alpha")]);
        line.write().unwrap();
        let count = |cluster: Option<&str>| {
            let answer = answer(&line.jobs, b"900", cluster.map(str::as_bytes)).unwrap();
            (answer.processes.len(), answer.clusters.len())
        };
        assert_eq!(
            [None, Some("alpha"), Some("beta"), Some("")].map(count),
            [(4, 3), (2, 1), (1, 1), (1, 1)]
        );
        assert_eq!(count(Some("alph")), (0, 0));
        assert_eq!(answer(&line.jobs, b"90", None).unwrap().processes.len(), 0);
    }

    #[test]
    fn claims_under_a_jobs_id_leave_its_own_events_in_the_answer() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        line.jobs.config.bytes_max = crate::config::Size(600_000);
        let of = |number: u32, cluster: String, proved: Option<u32>| {
            let mut event_id = [0; 16];
            event_id[..4].copy_from_slice(&number.to_be_bytes());
            let info = ProcessInfo {
                event_id: Some(event_id.to_vec().into()),
                job_id: Some("900".into()),
                cluster: Some(cluster.into()),
                uid: Some(number),
                ..ProcessInfo::default()
            };
            let credentials = proved.map(|uid| Credentials { pid: 1, uid, gid: 1 });
            Entry { credentials, ..entry(Kind::Start, info.encode_to_vec()) }
        };
        // They come before the job does, each from a cluster with a long name.
        let mut entries: Vec<Entry> =
            (0..3000).map(|n| of(n, format!("{n}{}", "c".repeat(200)), None)).collect();
        entries.extend((5000..5010).map(|n| of(n, "alpha".to_owned(), Some(7))));
        line.queue(&entries);
        line.write().unwrap();
        let own = |cluster: Option<&[u8]>| {
            let page = line.jobs.page(b"900", cluster, None, usize::MAX).unwrap();
            let (_, documents) = page.processes(&line.jobs, 0..page.len(), usize::MAX).unwrap();
            let is_own = |document: &&Vec<u8>| String::from_utf8_lossy(document).contains("\"kernel\"");
            (documents.iter().filter(is_own).count(), page.len(), page.clusters().len(), page.is_cut())
        };
        let (proved, all, clusters, is_cut) = own(None);
        assert_eq!((proved, is_cut), (10, true));
        assert!(all < 200 && clusters < 200, "names of clusters count as well: {all} {clusters}");
        assert_eq!(own(Some(b"alpha")), (10, 10, 1, false));
        // What is too much goes, and nothing of the job's own.
        line.jobs.prune().unwrap();
        assert_eq!(own(Some(b"alpha")), (10, 10, 1, false));
        assert!(
            line.jobs.values().has_lost(b"900", None).unwrap()
                && !line.jobs.values().has_lost(b"900", Some(b"alpha")).unwrap()
        );
        let (events, said, there) = line.kept();
        assert!(events < 3010 && said == there && said <= 600_000, "{events} {said} {there}");
    }

    #[test]
    fn who_floods_pushes_out_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        line.jobs.config.bytes_max = crate::config::Size(20_000);
        let of = |number: usize, user: &str, job: String| {
            let mut event_id = [0; 16];
            event_id[..8].copy_from_slice(&number.to_be_bytes());
            let info = ProcessInfo {
                event_id: Some(event_id.to_vec().into()),
                job_id: Some(job.into()),
                username: Some(user.to_owned().into()),
                hostname: Some("node1".into()),
                ..ProcessInfo::default()
            };
            entry(Kind::Start, info.encode_to_vec())
        };
        let mut entries: Vec<Entry> = (0..20).map(|n| of(n, "ann", format!("real{n}"))).collect();
        entries.extend((100..1000).map(|n| of(n, "flood", format!("x{n}"))));
        entries.push(of(1000, "flood", "real5".to_owned()));
        line.queue(&entries);
        line.write().unwrap();
        line.jobs.prune().unwrap();
        let (events, said, there) = line.kept();
        assert!(said == there && said <= 20_000, "{events} events, {said} of {there} bytes");
        for n in 0..20 {
            let answer = answer(&line.jobs, format!("real{n}").as_bytes(), None).unwrap();
            assert_eq!(answer.processes.len(), 1, "real{n}");
        }
        // What is lost of a job is said, also where nothing of it is left.
        let lost = ["real4", "real5", "x100", "x1000000"];
        let lost = lost.map(|job| line.jobs.values().has_lost(job.as_bytes(), None).unwrap());
        assert_eq!(lost, [false, true, true, false]);
        assert_eq!(line.jobs.store.losses.get().unwrap(), 901);
        // The marks of what has nothing left go when they are old, the others stay.
        line.jobs.sweep_losses(i64::MAX).unwrap();
        assert_eq!(line.jobs.store.losses.get().unwrap(), 1);
        assert!(line.jobs.values().has_lost(b"real5", Some(b"")).unwrap());
        assert!(line.jobs.metrics.text().contains("sender=\"claimed flood@node1\""));
        // What is kept of each is known after a restart.
        let before = line.jobs.shares.lock().unwrap().total();
        drop(line);
        let line = Line::open(directory.path());
        assert_eq!(line.jobs.shares.lock().unwrap().total(), before);
    }
}
