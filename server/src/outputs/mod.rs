//! Outputs: each pulls joined batches from its own place in the queue, at its own pace.
//!
//! [`drive`] is the life of every output: take what is there, deliver it, again until it works, and now and then
//! commit, which moves the place in the queue on. After a crash an output sees batches again that it delivered
//! after its last commit; the event's id and kind tell it which those are, and each output uses them so that the
//! effect is once. To add an output: docs/outputs.md.

mod file;
mod null;

use crate::{
    config::OutputConfig,
    join::{Joined, JoinedBatch, Reader, Want},
    metrics::OutputMetrics,
    queue::{Kind, Queue},
};
use anyhow::Result;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

/// Batches delivered at once, at most.
const BATCHES_AT_ONCE: usize = 256;

/// Bytes of documents delivered at once, at most.
const BYTES_AT_ONCE: usize = 4 << 20;

/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What names a document: an event has one for its start and one for its end.
pub type DocumentKey = ([u8; 16], bool);

/// The key of an event's document.
pub fn document_key(id: [u8; 16], kind: Kind) -> DocumentKey {
    (id, kind == Kind::End)
}

/// One output.
pub enum Output {
    /// Files.
    File(Box<file::FileOutput>),
    /// Nothing.
    Null,
}

impl Output {
    /// Opens the output; batches below `replay_until` may have been delivered before a restart.
    pub fn open(
        name: &str,
        config: &OutputConfig,
        queue: &Arc<Queue>,
        replay_until: u64,
        metrics: Arc<OutputMetrics>,
    ) -> Result<Self> {
        match config {
            OutputConfig::File(config) => {
                file::FileOutput::open(name, config, queue.clone(), replay_until, metrics)
                    .map(|file| Output::File(Box::new(file)))
            }
            OutputConfig::Null(_) => Ok(Output::Null),
        }
    }

    /// How long to gather before delivering, so that what belongs together is written together.
    fn linger(&self) -> Duration {
        match self {
            Output::File(file) => file.linger(),
            Output::Null => Duration::ZERO,
        }
    }

    fn commit_every(&self) -> Duration {
        match self {
            Output::File(file) => file.commit_every(),
            Output::Null => Duration::from_secs(1),
        }
    }

    /// Delivers the batches, or says why that did not work; then the same ones come again.
    fn deliver(&mut self, batches: &[Arc<JoinedBatch>]) -> Result<u64> {
        match self {
            Output::File(file) => file.deliver(batches),
            Output::Null => Ok(null::forget(batches)),
        }
    }

    /// Makes everything delivered durable; what to remember of it goes with the place.
    fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        match self {
            Output::File(file) => file.commit(),
            Output::Null => Ok(Vec::new()),
        }
    }
}

/// Runs an output until the join is closed and everything is delivered, or `give_up` says that time is over.
/// Runs in a thread of its own, so that an output may block.
pub async fn drive(
    name: String,
    mut output: Output,
    replay_until: u64,
    queue: Arc<Queue>,
    joined: Arc<Joined>,
    metrics: Arc<OutputMetrics>,
    give_up: crate::Shutdown,
) {
    let mut next = queue.place(&name);
    let joined = joined.reader(next, Want::Documents);
    let mut tail = joined.tail();
    let mut committed = next;
    let mut committed_at = Instant::now();
    let mut trouble = Trouble::new(&name, &metrics);
    loop {
        let seen = *tail.borrow_and_update();
        metrics.behind.set(seen.next.saturating_sub(next));
        if next < seen.next && !give_up.asked() {
            let (batches, taken_to, lost) = match gather(&joined, next, seen.next) {
                Ok(taken) => taken,
                Err(problem) => {
                    trouble.meet(&problem, &give_up).await;
                    continue;
                }
            };
            if lost > 0 {
                warn!(
                    "output {name}: {lost} batches were dropped from the full queue before it came to them"
                );
                metrics.batches_lost.add(lost);
            }
            loop {
                match output.deliver(&batches) {
                    Ok(events) => {
                        metrics.events_written.add(events);
                        trouble.is_over();
                        next = taken_to;
                        break;
                    }
                    Err(problem) => trouble.meet(&problem, &give_up).await,
                }
                if give_up.asked() {
                    break;
                }
            }
        }
        let caught_up = next >= seen.next;
        let ending = (seen.closed && caught_up) || give_up.asked();
        // Until what may have been written before a restart has all come again, the old place and what was
        // remembered with it stay: they tell what to look for.
        if next > committed
            && next >= replay_until
            && (ending || committed_at.elapsed() >= output.commit_every())
        {
            let moved = output.commit().and_then(|remember| queue.move_on(&name, next, &remember));
            match moved {
                Ok(()) => (committed, committed_at) = (next, Instant::now()),
                Err(problem) => trouble.meet(&problem, &give_up).await,
            }
        }
        if ending {
            metrics.behind.set(seen.next.saturating_sub(next));
            return;
        }
        if caught_up {
            let patience = if next > committed { output.commit_every() } else { Duration::from_secs(60) };
            if timeout(patience, tail.changed()).await.is_ok() {
                sleep(output.linger()).await;
            }
        }
    }
}

/// The batches from `next` on, up to the bounds of one delivery; where they end; and how many were dropped.
fn gather(joined: &Reader, next: u64, end: u64) -> Result<(Vec<Arc<JoinedBatch>>, u64, u64)> {
    let (mut batches, mut bytes, mut at, mut lost) = (Vec::new(), 0, next, 0);
    while at < end && batches.len() < BATCHES_AT_ONCE && bytes < BYTES_AT_ONCE {
        match joined.read(at)? {
            Some(batch) => {
                bytes += batch.lines.len();
                batches.push(batch);
            }
            None => lost += 1,
        }
        at += 1;
    }
    Ok((batches, at, lost))
}

/// Pauses between attempts: doubling, with a random part so that outputs do not come back all at once.
struct Trouble<'a> {
    name: &'a str,
    metrics: &'a OutputMetrics,
    attempts: u32,
}

impl<'a> Trouble<'a> {
    fn new(name: &'a str, metrics: &'a OutputMetrics) -> Self {
        metrics.up.set(1);
        Trouble { name, metrics, attempts: 0 }
    }

    async fn meet(&mut self, problem: &anyhow::Error, give_up: &crate::Shutdown) {
        let pause = (Duration::from_millis(100) * 2u32.pow(self.attempts.min(10))).min(PAUSE_MAX);
        if self.attempts == 0 {
            error!("output {}: {problem:#}; it is tried again, and events wait in the queue", self.name);
        }
        self.attempts += 1;
        self.metrics.up.set(0);
        self.metrics.retries.add(1);
        let jitter = uuid::Uuid::new_v4().as_u128() as u64 % (pause.as_millis() as u64 / 2).max(1);
        let pause = pause / 2 + Duration::from_millis(jitter);
        let _ = timeout(pause, give_up.wait()).await;
    }

    fn is_over(&mut self) {
        if self.attempts > 0 {
            info!("output {}: works again after {} attempts", self.name, self.attempts);
            self.attempts = 0;
        }
        self.metrics.up.set(1);
    }
}
