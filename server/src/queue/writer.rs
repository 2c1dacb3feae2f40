//! The one writer of the queue: collects what receivers submit, commits it, and lets
//! acknowledgements go.
//!
//! Group commit: while one synchronisation runs, submissions gather, and the next takes them all.
//! It is done at once when somebody waits for an acknowledgement, else every `sync_every`. A full
//! queue, or a disk with too little room, refuses new events or drops the oldest, as the
//! configuration says; nothing is ever acknowledged that was not written. While the database is
//! mended after a failed write, the writer waits in its commit.

use super::{
    Batch, Entries, Entry, HEADER, HeldEntries, Kind, Queue,
    acknowledgements::Acknowledgements,
    delivered_events::DeliveredEvents,
    event_key::{identify, part_key},
    second_half::SecondHalf,
    submission::{Receipt, Refusal, Submission, SubmissionAnswer},
};
use crate::{
    clock::now_ns,
    config::{QueueConfig, WhenFull},
    database::{Cause, Condition, QueueStore, Writes, number},
    metrics::Metrics,
    registry::Registry,
};
use anyhow::{Context, Result};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{error, warn};

/// Most bytes of entries in one batch.
const BATCH_BYTES: usize = 1 << 20;

/// The time between two removals of batches that every consumer has behind itself.
const TRIM_EVERY: Duration = Duration::from_millis(200);

/// Groups of events whose way to the disk is timed apart; beyond them, with the one before.
const TIMED_MAX: usize = 4096;

/// A message to the writer.
pub enum WriterMessage {
    /// Events or builds to be made durable.
    Submit(Submission),
    /// No more will come: everything before this is written, then the queue closes.
    Stop,
}

/// Bytes that may be received and not yet written.
#[derive(Clone)]
pub struct Room {
    permits: Arc<Semaphore>,
    all: u32,
}

impl Room {
    /// Room for this many bytes.
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        Room { permits: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// The room, if it is there at once.
    pub fn take_now(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_many_owned(self.permits_of(bytes)).ok()
    }

    fn permits_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.all)
    }

    /// Waits for room; a submission larger than all of it gets all of it.
    pub async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_many_owned(self.permits_of(bytes)).await.ok()
    }
}

/// The writing side.
pub struct Writer {
    store: QueueStore,
    queue: Arc<Queue>,
    held: Arc<HeldEntries>,
    registry: Arc<dyn Registry>,
    acknowledgements: Acknowledgements,
    metrics: Arc<Metrics>,
    config: QueueConfig,
    condition: Arc<Condition>,
    messages: Receiver<WriterMessage>,
    delivered: DeliveredEvents,
    next: u64,
    /// First batch that is still there, and bytes of all batches ever before it and before the
    /// next.
    head: u64,
    bytes_before_head: u64,
    bytes_before_next: u64,
    second_half: SecondHalf,
    said_full: Option<Instant>,
    /// Times of receipt of events that are not yet synchronised, each with their number.
    timed: Vec<(i64, u64)>,
}

impl Writer {
    /// Opens the writing side; submissions go to the sender.
    pub fn open(
        store: QueueStore,
        queue: Arc<Queue>,
        held: Arc<HeldEntries>,
        registry: Arc<dyn Registry>,
        metrics: Arc<Metrics>,
        config: QueueConfig,
        condition: Arc<Condition>,
    ) -> Result<(Self, Sender<WriterMessage>)> {
        let (sender, messages) = channel();
        let next = queue.tail().borrow().next;
        let head = queue.head()?;
        let (bytes_before_head, bytes_before_next) = match store.batches.last_key_value() {
            Some(last) => {
                let value = last.value()?;
                (bytes_before(&store, head)?.unwrap_or(0), number(&value) + value.len() as u64)
            }
            None => (0, 0),
        };
        let delivered = DeliveredEvents::open(store.clone())?;
        let second_half = SecondHalf::of(&config);
        let writer = Writer {
            store,
            queue,
            held,
            acknowledgements: Acknowledgements::start(registry.clone(), metrics.clone())?,
            registry,
            metrics,
            config,
            condition,
            messages,
            delivered,
            next,
            head,
            bytes_before_head,
            bytes_before_next,
            second_half,
            said_full: None,
            timed: Vec::new(),
        };
        Ok((writer, sender))
    }

    /// Writes until told to stop. An error of the database ends it: nothing can be promised after
    /// one.
    pub fn run(mut self) -> Result<()> {
        let result = self.write_until_stopped();
        if let Err(problem) = &result {
            error!("cannot write the queue, so the server ends: {problem:#}");
        }
        // What is still pending gets its refusal by losing its receipt.
        self.queue.close();
        result
    }

    fn write_until_stopped(&mut self) -> Result<()> {
        let mut trimmed = Instant::now();
        let mut synced = Instant::now();
        let mut unsynced = false;
        loop {
            let patience = self.config.sync_every.0.min(TRIM_EVERY);
            let mut submissions = Vec::new();
            let mut stop = false;
            match self.messages.recv_timeout(patience) {
                Ok(message) => stop = self.gather(message, &mut submissions),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => stop = true,
            }
            let receipts = self.write(submissions).context("cannot write to the database")?;
            unsynced |= receipts.wrote;
            let awaited = !receipts.answers.is_empty();
            if unsynced && (awaited || stop || synced.elapsed() >= self.config.sync_every.0) {
                self.store.database.sync().context("cannot synchronise the database")?;
                (synced, unsynced) = (Instant::now(), false);
                self.metrics.queue_syncs.add(1);
                let now_ns = now_ns();
                for (received_ns, events) in self.timed.drain(..) {
                    self.metrics.durable.took(now_ns.saturating_sub(received_ns), events);
                }
            }
            for (receipt, answer) in receipts.answers {
                self.acknowledgements.give(receipt, answer);
            }
            if receipts.registered {
                // After the answers: a build waits for its own, and waking the join takes time.
                self.queue.nudge();
            }
            if trimmed.elapsed() >= TRIM_EVERY {
                self.trim().context("cannot trim the queue")?;
                self.is_full()?;
                trimmed = Instant::now();
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Takes what is there, up to the size of a batch; true when told to stop.
    fn gather(&self, first: WriterMessage, submissions: &mut Vec<Submission>) -> bool {
        let mut bytes = 0;
        let mut message = Some(first);
        while let Some(WriterMessage::Submit(submission)) = message {
            bytes += submission.bytes();
            submissions.push(submission);
            message = if bytes < BATCH_BYTES { self.messages.try_recv().ok() } else { None };
        }
        matches!(message, Some(WriterMessage::Stop))
    }

    fn write(&mut self, submissions: Vec<Submission>) -> Result<Receipts> {
        let mut receipts = Receipts::default();
        if submissions.is_empty() {
            return Ok(receipts);
        }
        let full = self.is_full()?;
        let no_room = !self.registry.has_room();
        let mut batch = self.store.database.writes();
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        let mut rooms = Vec::new();
        self.second_half.look(self.bytes_before_next - self.bytes_before_head);
        for mut submission in submissions {
            // What was held is in the database already and may always come back.
            if (full && submission.replaces.is_empty()) || (no_room && !submission.builds.is_empty()) {
                self.metrics.events_refused.add(submission.entries.count());
                receipts.answers.extend(submission.receipt.map(|receipt| (receipt, Err(Refusal::Full))));
                continue;
            }
            if self.acknowledgements.refuse(&submission) {
                self.metrics.events_refused.add(submission.entries.count());
                let receipt = submission.receipt.take();
                receipts.answers.extend(receipt.map(|receipt| (receipt, Err(Refusal::NotCommitted))));
                continue;
            }
            // What was held was durable before.
            if submission.replaces.is_empty() {
                let events = submission.entries.count();
                submission.entries = self.second_half.admit(submission.entries, &self.metrics);
                if submission.entries.count() < events
                    && let Some(receipt) = submission.receipt.take()
                {
                    // Nothing of it is kept, as after any refusal.
                    self.metrics.events_refused.add(submission.entries.count());
                    receipts.answers.push((receipt, Err(Refusal::Share)));
                    continue;
                }
                self.time(&submission.entries);
            }
            for key in &submission.replaces {
                self.held.release(&mut batch, *key);
            }
            if submission.once {
                for entry in submission.entries.into_each() {
                    if self.is_new(&mut batch, &entry)? {
                        entry.write(&mut bytes);
                        self.metrics.events_queued.add(1);
                    } else {
                        self.metrics.events_duplicate.add(1);
                    }
                }
            } else {
                self.metrics.events_queued.add(submission.entries.count());
                if bytes.is_empty() {
                    bytes = submission.entries.into_bytes();
                } else {
                    bytes.extend_from_slice(submission.entries.bytes());
                }
            }
            for (event_id, uid) in &submission.closes {
                self.delivered.insert_end(&mut batch, event_id, *uid);
            }
            waiting
                .extend(submission.receipt.map(|receipt| (receipt, records.len(), submission.builds.len())));
            records.extend(submission.builds);
            rooms.extend(submission.room);
        }
        let mut outcomes = if records.is_empty() { Vec::new() } else { self.registry.register(&records)? };
        receipts.wrote = !bytes.is_empty() || !batch.is_empty() || !records.is_empty();
        let published = if bytes.is_empty() { None } else { Some(self.put(&mut batch, bytes)) };
        self.delivered.before_commit(&mut batch);
        batch.commit()?;
        self.delivered.after_commit()?;
        receipts.registered = published.is_none() && !outcomes.is_empty();
        if let Some(batch) = published {
            self.queue.publish(batch);
        }
        for (receipt, from, count) in waiting {
            let builds = outcomes.get_mut(from..from + count).unwrap_or_default();
            let builds = builds.iter_mut().map(std::mem::take).collect();
            receipts.answers.push((receipt, Ok(SubmissionAnswer { builds })));
        }
        Ok(receipts)
    }

    /// Remembers an entry of an acknowledging stream; false where it came before, or the kernel has
    /// told the same end.
    fn is_new(&mut self, batch: &mut Writes, entry: &Entry) -> Result<bool> {
        let Some(identity) = identify(entry.kind, &entry.message) else { return Ok(true) };
        let Some(key) = part_key(entry, &identity) else { return Ok(true) };
        if entry.is_import() {
            return Ok(self.delivered.insert_import(batch, key)?);
        }
        let sender = entry.sender();
        if entry.kind == Kind::End
            && let Some(event_id) = key.first_chunk()
            && self.delivered.is_ended(event_id, sender)?
        {
            return Ok(false);
        }
        Ok(self.delivered.insert(batch, key, sender, identity.claimed_uid)?)
    }

    fn time(&mut self, entries: &Entries) {
        let Some(received_ns) = entries.oldest_ns() else { return };
        let is_full = self.timed.len() >= TIMED_MAX;
        match self.timed.last_mut() {
            Some(last) if is_full => last.1 += entries.count(),
            _ => self.timed.push((received_ns, entries.count())),
        }
    }

    fn put(&mut self, batch: &mut Writes, bytes: Vec<u8>) -> Batch {
        let mut value = Vec::with_capacity(bytes.len() / 2);
        value.extend_from_slice(&self.bytes_before_next.to_be_bytes());
        debug_assert_eq!(value.len(), HEADER);
        value.extend_from_slice(&lz4_flex::compress_prepend_size(&bytes));
        self.second_half.wrote(value.len(), bytes.len());
        self.bytes_before_next += value.len() as u64;
        batch.insert(&self.store.batches, self.next.to_be_bytes(), value);
        let published = Batch { sequence: self.next, bytes: bytes.into() };
        self.next += 1;
        self.metrics.queue_bytes.set(self.bytes_before_next - self.bytes_before_head);
        published
    }

    /// Is there no room? With the policy to drop the oldest there always is, unless the disk is
    /// full.
    fn is_full(&mut self) -> Result<bool> {
        let over = self.bytes_before_next - self.bytes_before_head > self.config.bytes_max.0;
        let refuses = over && self.config.when_full == WhenFull::Refuse;
        self.condition
            .set(Cause::Queue, refuses.then(|| "the queue is full (queue.bytes_max is reached)".into()));
        if over && self.said_full.is_none_or(|said| said.elapsed() > Duration::from_secs(10)) {
            self.said_full = Some(Instant::now());
            warn!(
                "the queue is full (queue.bytes_max is reached): {}",
                match self.config.when_full {
                    WhenFull::Refuse => "new events are refused until an output catches up",
                    WhenFull::DropOldest => "the oldest events are dropped for the outputs that are behind",
                }
            );
        }
        if self.config.when_full == WhenFull::DropOldest && over {
            // A sixteenth at once, so that this is rare.
            let target = self.config.bytes_max.0 - self.config.bytes_max.0 / 16;
            let mut to = self.head;
            while to + 1 < self.next
                && bytes_before(&self.store, to)?.is_none_or(|b| self.bytes_before_next - b > target)
            {
                to += 1;
            }
            self.remove_before(to)?;
        }
        Ok(!self.condition.takes_events())
    }

    /// Removes what every output has behind itself; the newest batch stays.
    fn trim(&mut self) -> Result<()> {
        let to = self.queue.needed_from().min(self.next.saturating_sub(1));
        if to > self.head {
            self.remove_before(to)?;
        }
        self.metrics.queue_batches.set(self.next - self.head);
        self.metrics.queue_bytes.set(self.bytes_before_next - self.bytes_before_head);
        Ok(())
    }

    fn remove_before(&mut self, to: u64) -> Result<()> {
        while self.head < to {
            let end = to.min(self.head + 4096);
            let mut batch = self.store.database.writes();
            for sequence in self.head..end {
                batch.remove(&self.store.batches, sequence.to_be_bytes());
            }
            self.held.forget_skipped(&mut batch, self.head..end)?;
            batch.commit()?;
            self.head = end;
        }
        self.bytes_before_head = bytes_before(&self.store, self.head)?.unwrap_or(self.bytes_before_next);
        Ok(())
    }
}

#[derive(Default)]
struct Receipts {
    wrote: bool,
    /// There are builds that the join does not know of yet.
    registered: bool,
    answers: Vec<(Receipt, Result<SubmissionAnswer, Refusal>)>,
}

fn bytes_before(store: &QueueStore, sequence: u64) -> Result<Option<u64>> {
    Ok(store.batches.get(sequence.to_be_bytes())?.map(|value| number(&value)))
}
