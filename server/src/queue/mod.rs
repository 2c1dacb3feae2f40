//! The durable queue: batches of events under one increasing number, on disk before anything acts
//! on them.
//!
//! One thread writes ([`writer`]); the join and every output read by number, from memory while they
//! keep up and from the database when they do not. A batch is removed when every consumer has it
//! behind itself. The newest batch always stays, because its number is where a restart goes on.

mod acknowledgements;
mod delivered_events;
mod entry;
mod event_key;
mod held_entries;
mod second_half;
mod sender;
mod submission;
mod writer;

pub use entry::{Credentials, EndSource, Entries, Entry, EventIds, Kind, VIA_MAX, VIA_OBSERVER, VIA_XALT};
pub use event_key::{cluster_field, identify};
pub use held_entries::{HeldEntries, HeldKey};
pub use sender::Sender;
pub use submission::{Receipt, Refusal, Submission, SubmissionAnswer};
pub use writer::{Room, Writer, WriterMessage};

use crate::database::{QueueStore, Writes, number};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch;

/// Recent batches kept in memory, in bytes.
const RECENT_BYTES: usize = 8 << 20;

/// Bytes of a batch in the database before its compressed entries: the bytes of all batches before
/// it.
const HEADER: usize = 8;

/// Events that were queued together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The batch's number.
    pub sequence: u64,
    /// Entries, one after the other.
    pub bytes: Bytes,
}

/// The end of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The number of the batch that comes next.
    pub next: u64,
    /// No further one will come.
    pub closed: bool,
}

/// The reading side, and the offsets of all consumers.
pub struct Queue {
    store: QueueStore,
    tail: watch::Sender<Tail>,
    recent: Mutex<RecentBatches>,
    offsets: Mutex<BTreeMap<String, u64>>,
}

#[derive(Default)]
struct RecentBatches {
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl Queue {
    /// Opens the queue; consumers that are not among `consumers` any more lose their offset, new
    /// ones start at the end.
    pub fn open(store: QueueStore, consumers: &[String]) -> anyhow::Result<Self> {
        let next = match store.batches.last_key_value() {
            Some(last) => number(&last.key()?) + 1,
            None => 0,
        };
        let (mut offsets, mut writes) = (BTreeMap::new(), store.database.writes());
        for known in store.offsets.iter() {
            let (key, value) = known.into_inner()?;
            let name =
                String::from_utf8_lossy(key.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
            if !consumers.contains(&name) {
                writes.remove(&store.offsets, key);
            } else if !key.contains(&0) {
                offsets.insert(name, number(&value));
            }
        }
        for name in consumers {
            if !offsets.contains_key(name) {
                // On disk at once: after a crash it must go on here, and not at the end that is
                // then.
                writes.insert(&store.offsets, name.as_str(), next.to_be_bytes());
                offsets.insert(name.clone(), next);
            }
        }
        writes.commit()?;
        Ok(Queue {
            store,
            tail: watch::Sender::new(Tail { next, closed: false }),
            recent: Mutex::default(),
            offsets: Mutex::new(offsets),
        })
    }

    /// Opens it with the consumers that it has.
    pub fn open_as_it_is(store: QueueStore) -> anyhow::Result<Self> {
        let mut consumers = Vec::new();
        for known in store.offsets.iter() {
            let key = known.key()?;
            if !key.contains(&0) {
                consumers.push(String::from_utf8_lossy(&key).into_owned());
            }
        }
        Queue::open(store, &consumers)
    }

    /// The end of the queue, to be watched.
    pub fn tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// The batch with this number; `None` when it was dropped or is still to come.
    pub fn read(&self, sequence: u64) -> anyhow::Result<Option<Batch>> {
        {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(first) = recent.batches.front().filter(|first| first.sequence <= sequence)
                && let Some(batch) = recent.batches.get((sequence - first.sequence) as usize)
            {
                return Ok(Some(batch.clone()));
            }
        }
        let Some(stored) = self.store.batches.get(sequence.to_be_bytes())? else { return Ok(None) };
        let packed = stored.get(HEADER..).unwrap_or_default();
        let bytes = lz4_flex::decompress_size_prepended(packed)
            .map_err(|cause| anyhow::anyhow!("batch {sequence} of the queue is damaged: {cause}"))?;
        Ok(Some(Batch { sequence, bytes: bytes.into() }))
    }

    /// The time of receipt of the first event of a batch; `None` where the batch is not there.
    pub fn received_ns(&self, sequence: u64) -> Option<i64> {
        let batch = self.read(sequence).ok().flatten()?;
        Some(Entry::borrowed(&mut &batch.bytes[..])?.received_ns)
    }

    /// The oldest batch that is kept, or the next one where none is.
    pub fn head(&self) -> anyhow::Result<u64> {
        match self.store.batches.first_key_value() {
            Some(first) => Ok(number(&first.key()?)),
            None => Ok(self.tail.borrow().next),
        }
    }

    /// The batch where a consumer goes on.
    pub fn offset(&self, consumer: &str) -> u64 {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.get(consumer).copied().unwrap_or_else(|| self.tail.borrow().next)
    }

    /// The offsets of all consumers.
    pub fn offsets(&self) -> BTreeMap<String, u64> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number that an output remembers of a file, or of whatever else it writes to.
    pub fn remembered(&self, output: &str, item: &str) -> anyhow::Result<Option<u64>> {
        Ok(self.store.offsets.get(remembered_key(output, item))?.map(|value| number(&value)))
    }

    /// Has an output remember a number, once the writes are committed.
    pub fn remember(&self, writes: &mut Writes, output: &str, item: &str, value: u64) {
        writes.insert(&self.store.offsets, remembered_key(output, item), value.to_be_bytes());
    }

    /// Begins writes for [`Queue::remember`] and [`Queue::move_on`].
    pub fn writes(&self) -> Writes {
        self.store.database.writes()
    }

    /// Moves a consumer's offset on, in one commit with what it has made of the batches before
    /// `next`. There is no other way to move it, so no crash can come between the two.
    pub fn move_on(&self, consumer: &str, next: u64, mut writes: Writes) -> anyhow::Result<()> {
        writes.insert(&self.store.offsets, consumer, next.to_be_bytes());
        writes.commit()?;
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner).insert(consumer.to_owned(), next);
        Ok(())
    }

    /// Makes a batch that is in the database known to the readers.
    fn publish(&self, batch: Batch) {
        let next = batch.sequence + 1;
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.bytes += batch.bytes.len();
            recent.batches.push_back(batch);
            while recent.bytes > RECENT_BYTES && recent.batches.len() > 1 {
                if let Some(gone) = recent.batches.pop_front() {
                    recent.bytes -= gone.bytes.len();
                }
            }
        }
        self.tail.send_replace(Tail { next, closed: false });
    }

    /// Wakes who watches the tail when a build was registered, though nothing was queued.
    fn nudge(&self) {
        self.tail.send_modify(|_| ());
    }

    fn close(&self) {
        self.tail.send_modify(|tail| tail.closed = true);
    }

    /// The first batch that some consumer has still to take.
    fn needed_from(&self) -> u64 {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.values().copied().min().unwrap_or(u64::MAX)
    }
}

fn remembered_key(output: &str, item: &str) -> Vec<u8> {
    [output.as_bytes(), b"\0", item.as_bytes()].concat()
}
