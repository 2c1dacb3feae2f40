//! The life of every output: take batches, deliver them until that works, and commit now and then.

use super::{Output, Work, backoff::Backoff};
use crate::{
    clock::now_ns,
    join::{BatchReader, DocumentBatch, DocumentBatches, Want},
    metrics::OutputMetrics,
    queue::Queue,
    shutdown::Shutdown,
};
use anyhow::Result;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use tracing::warn;

/// Most batches in one delivery.
const BATCHES_AT_ONCE: usize = 256;

/// Most bytes of documents in one delivery.
const BYTES_AT_ONCE: usize = 4 << 20;

/// The longest pause between attempts of an output without a key `backoff_max`.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How often an idle output checks that its receiver is there.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Runs an output until the join is closed and everything is delivered, or until `give_up`. This
/// runs in a thread of its own, so an output may block.
pub async fn drive(
    name: String,
    mut output: Box<dyn Output>,
    replay_until: u64,
    queue: Arc<Queue>,
    documents: Arc<DocumentBatches>,
    metrics: Arc<OutputMetrics>,
    give_up: Shutdown,
) {
    let mut next = queue.offset(&name);
    let reader = documents.reader(next, Want::Documents);
    let mut tail = reader.tail();
    let mut committed = next;
    // The first commit is made at once, so that a server that dies again and again makes progress.
    let mut committed_at: Option<Instant> = None;
    let mut backoff = Backoff::new(&name, metrics.clone(), PAUSE_MAX);
    // An output counts as good until it fails.
    metrics.works();
    match output.look().await {
        Ok(()) => backoff.reset(),
        Err(problem) => backoff.wait_after(&problem, &give_up).await,
    }
    loop {
        let seen = *tail.borrow_and_update();
        metrics.lag.set(seen.next.saturating_sub(next));
        if next < seen.next && !give_up.asked() {
            let (batches, taken_to, lost) = match gather(&reader, next, seen.next) {
                Ok(taken) => taken,
                Err(problem) => {
                    backoff.wait_after(&problem, &give_up).await;
                    continue;
                }
            };
            if lost > 0 {
                warn!(
                    "output {name}: the queue was full, and dropped {lost} batches that this output had not delivered: \
                     their events never come to it. A larger queue.bytes_max lasts longer"
                );
                metrics.batches_lost.add(lost);
            }
            loop {
                let work = output.deliver(&batches, &give_up);
                match watched(work, || metrics.lag.set(tail.borrow().next.saturating_sub(next))).await {
                    Ok(()) => {
                        let events = batches.iter().flat_map(|batch| &batch.events);
                        // Nothing is delivered everywhere, also where nobody listens.
                        if events.clone().next().is_some() {
                            backoff.reset();
                        }
                        metrics.written.until(now_ns(), events.map(|event| event.received_ns));
                        next = taken_to;
                        metrics.lag.set(tail.borrow().next.saturating_sub(next));
                        break;
                    }
                    Err(problem) => backoff.wait_after(&problem, &give_up).await,
                }
                if give_up.asked() {
                    break;
                }
            }
        }
        let caught_up = next >= seen.next;
        let ending = (seen.closed && caught_up) || give_up.asked();
        // Batches come again that may have been written before a restart. To know which those are,
        // some outputs need the old offset and what was remembered with it.
        if next > committed
            && (next >= replay_until || output.commits_while_repeating())
            && (ending || committed_at.is_none_or(|at| at.elapsed() >= output.commit_every()))
        {
            let moved = output.commit().and_then(|remember| {
                let mut writes = queue.writes();
                for (item, value) in &remember {
                    queue.remember(&mut writes, &name, item, *value);
                }
                queue.move_on(&name, next, writes)
            });
            match moved {
                Ok(()) => (committed, committed_at) = (next, Some(Instant::now())),
                Err(problem) => backoff.wait_after(&problem, &give_up).await,
            }
        }
        if ending {
            metrics.lag.set(seen.next.saturating_sub(next));
            return;
        }
        if caught_up {
            let patience = if next > committed { output.commit_every() } else { LOOK_EVERY };
            match timeout(patience, tail.changed()).await {
                Ok(_) => sleep(output.linger()).await,
                Err(_) if next == committed => match output.look().await {
                    Ok(()) => backoff.reset(),
                    Err(problem) => backoff.wait_after(&problem, &give_up).await,
                },
                Err(_) => {}
            }
        }
    }
}

/// Does the work, and calls `tell` once a second meanwhile.
async fn watched<T>(mut work: Work<'_, T>, tell: impl Fn()) -> T {
    loop {
        match timeout(Duration::from_secs(1), &mut work).await {
            Ok(done) => return done,
            Err(_) => tell(),
        }
    }
}

/// The batches of one delivery from `next` on, the offset after them, and how many batches the full
/// queue dropped.
fn gather(reader: &BatchReader, next: u64, end: u64) -> Result<(Vec<Arc<DocumentBatch>>, u64, u64)> {
    let (mut batches, mut bytes, mut at, mut lost) = (Vec::new(), 0, next, 0);
    while at < end && batches.len() < BATCHES_AT_ONCE && bytes < BYTES_AT_ONCE {
        match reader.read(at)? {
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
