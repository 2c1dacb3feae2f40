//! What is kept to answer questions about jobs: the events of each job, joined when somebody asks.
//!
//! The stage pulls batches like an output and writes, for each job, its entries of a moment as one compressed
//! value; its offset in the queue moves in the same write, so each event is kept once. Because the join is made
//! at the question, an answer shows records that came long after the event. What is kept is bounded by age and by
//! bytes; the oldest goes first.

use crate::{
    clock::now_ns,
    config::JobsConfig,
    database::{Store, number},
    join::{BatchReader, DocumentBatch, DocumentBatches, EventHead, Joiner, Want},
    metrics::Metrics,
    queue::{Entry, Kind, Queue},
    shutdown::Shutdown,
};
use anyhow::{Context, Result};
use bytes::{Buf, BufMut, Bytes};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{time::sleep, time::timeout};
use tracing::error;

/// The consumer's name in the queue, which no output can have.
pub const CONSUMER: &str = ".jobs";

const BYTES: &str = "jobs bytes";

/// Events that come within this time share a value.
const LINGER: Duration = Duration::from_millis(50);

/// Documents' bytes behind one write.
const GATHER_BYTES: usize = 4 << 20;

const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// Longest job id that is kept apart; longer ones are told apart by this much of them.
const JOB_ID_MAX: usize = 1024;

/// See the module.
pub struct Jobs {
    store: Arc<Store>,
    queue: Arc<Queue>,
    documents: Arc<DocumentBatches>,
    joiner: Arc<Joiner>,
    metrics: Arc<Metrics>,
    config: JobsConfig,
}

/// The processes of a job.
pub struct JobAnswer {
    /// One document each, as JSON.
    pub processes: Vec<Vec<u8>>,
    /// What was counted because the job had more than its share, one document each.
    pub summaries: Vec<Vec<u8>>,
    /// There are more than may be in one answer.
    pub is_cut: bool,
}

impl Jobs {
    /// Opens what is kept.
    pub fn new(
        store: Arc<Store>,
        queue: Arc<Queue>,
        documents: Arc<DocumentBatches>,
        joiner: Arc<Joiner>,
        metrics: Arc<Metrics>,
        config: JobsConfig,
    ) -> Self {
        Jobs { store, queue, documents, joiner, metrics, config }
    }

    /// Keeps events until the join is closed. Runs in a thread of its own.
    pub async fn keep(&self, give_up: Shutdown) {
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

    /// Writes batches from `next` on; where the next write begins.
    fn write(&self, reader: &BatchReader, next: u64, end: u64) -> Result<u64> {
        let (mut batches, mut bytes, mut to): (Vec<Arc<DocumentBatch>>, usize, u64) = (Vec::new(), 0, next);
        while to < end && bytes < GATHER_BYTES {
            if let Some(batch) = reader.read(to)? {
                bytes += batch.size();
                batches.push(batch);
            }
            to += 1;
        }
        let mut by_job: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
        for batch in &batches {
            for event in &batch.events {
                by_job.entry(job_key(&event.job_id)).or_default().extend_from_slice(batch.entry(event));
            }
        }
        let mut writes = self.store.batch();
        let mut log = Vec::new();
        log.put_i64(now_ns());
        log.put_u64(0);
        let mut kept = 0;
        for (job, entries) in &by_job {
            let packed = lz4_flex::compress_prepend_size(entries);
            kept += (packed.len() + job.len() + 16) as u64;
            writes.insert(&self.store.jobs, value_key(job, next), packed);
            log.put_u16(job.len() as u16);
            log.put_slice(job);
        }
        if !by_job.is_empty() {
            log[8..16].copy_from_slice(&kept.to_be_bytes());
            let total = self.store.total(BYTES)? + kept;
            self.metrics.jobs_bytes.set(total);
            writes.insert(&self.store.totals, BYTES, total.to_be_bytes());
            writes.insert(&self.store.job_log, next.to_be_bytes(), log);
        }
        writes.commit()?;
        self.queue.move_on(CONSUMER, to, &[])?;
        Ok(to)
    }

    /// Removes what is too old or too much.
    fn prune(&self) -> Result<()> {
        let oldest =
            now_ns().saturating_sub(i64::try_from(self.config.keep.0.as_nanos()).unwrap_or(i64::MAX));
        let mut total = self.store.total(BYTES)?;
        for entry in self.store.job_log.iter().take(10_000) {
            let (sequence, value) = entry.into_inner()?;
            let mut log = &*value;
            let (Ok(time), Ok(bytes)) = (log.try_get_i64(), log.try_get_u64()) else { continue };
            if time >= oldest && total <= self.config.bytes_max.0 {
                break;
            }
            let mut writes = self.store.batch();
            while let Ok(len) = log.try_get_u16() {
                let Some(job) = log.get(..usize::from(len)) else { break };
                writes.remove(&self.store.jobs, value_key(job, number(&sequence)));
                log.advance(usize::from(len));
            }
            total = total.saturating_sub(bytes);
            writes.insert(&self.store.totals, BYTES, total.to_be_bytes());
            writes.remove(&self.store.job_log, sequence);
            writes.commit()?;
        }
        self.metrics.jobs_bytes.set(total);
        Ok(())
    }

    /// Waits, not long, until what was received before is kept.
    pub async fn catch_up(&self) {
        let until = self.queue.tail().borrow().next;
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.queue.offset(CONSUMER) < until && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The processes of a job, with their ends, in the order in which they came.
    pub fn answer(&self, job_id: &[u8]) -> Result<JobAnswer> {
        let mut processes: Vec<Vec<u8>> = Vec::new();
        let mut at: HashMap<[u8; 16], usize> = HashMap::new();
        let mut ends: Vec<([u8; 16], Vec<u8>)> = Vec::new();
        let mut summaries = Vec::new();
        let mut is_cut = false;
        for value in self.store.jobs.prefix(value_prefix(job_key(job_id))) {
            let packed = value.value()?;
            let entries =
                lz4_flex::decompress_size_prepended(&packed).context("what is kept of a job is damaged")?;
            let mut rest = Bytes::from(entries);
            while let Some(entry) = Entry::read(&mut rest) {
                let mut document = Vec::new();
                let Some(EventHead { id, kind }) = self.joiner.document(&entry, &mut document) else {
                    continue;
                };
                if processes.len() + ends.len() + summaries.len() >= self.config.answer_processes_max {
                    is_cut = true;
                    break;
                }
                match kind {
                    Kind::Start => {
                        // A client may have sent it again.
                        if at.insert(id, processes.len()).is_none() {
                            processes.push(document);
                        }
                    }
                    Kind::End => ends.push((id, document)),
                    Kind::Summary => summaries.push(document),
                }
            }
        }
        for (id, end) in ends {
            match at.remove(&id).and_then(|at| processes.get_mut(at)) {
                Some(process) => add_end(process, &end),
                None => processes.push(end),
            }
        }
        Ok(JobAnswer { processes, summaries, is_cut })
    }
}

/// Puts the `end` of an end's document into its process's document.
fn add_end(process: &mut Vec<u8>, end: &[u8]) {
    #[derive(serde::Deserialize)]
    struct End<'a> {
        #[serde(borrow)]
        end: &'a serde_json::value::RawValue,
    }
    if let (Ok(End { end }), Some(b'}')) = (serde_json::from_slice(end), process.last()) {
        process.pop();
        process.extend_from_slice(b",\"end\":");
        process.extend_from_slice(end.get().as_bytes());
        process.push(b'}');
    }
}

fn job_key(job_id: &[u8]) -> &[u8] {
    &job_id[..job_id.len().min(JOB_ID_MAX)]
}

/// The length stands in front, so that no job's values lie among another's.
fn value_prefix(job: &[u8]) -> Vec<u8> {
    [&(job.len() as u16).to_be_bytes(), job].concat()
}

fn value_key(job: &[u8], sequence: u64) -> Vec<u8> {
    [&(job.len() as u16).to_be_bytes(), job, &sequence.to_be_bytes()].concat()
}
