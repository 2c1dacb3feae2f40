//! What outputs read: documents of recent batches from memory, older ones joined once more from the
//! queue.

use super::{DocumentBatch, Joiner};
use crate::{
    follow,
    queue::{Batch, HeldEntries, Queue, Tail},
};
use anyhow::Result;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Documents of recent batches kept in memory, in bytes.
const RECENT_BYTES: usize = 12 << 20;

/// Buffers kept for further batches.
const SPARES: usize = 4;

/// The longest that the join waits for outputs that keep up.
const MOMENT: Duration = Duration::from_millis(100);

/// The batches of documents, which each output reads through a [`BatchReader`].
pub struct DocumentBatches {
    pub(super) queue: Arc<Queue>,
    pub(super) held: Arc<HeldEntries>,
    pub(super) joiner: Arc<Joiner>,
    pub(super) tail: watch::Sender<Tail>,
    recent: Mutex<RecentDocuments>,
    readers: Mutex<Vec<Arc<Progress>>>,
}

/// The progress of a reader, and whether it keeps up with the batches in memory.
struct Progress {
    next: AtomicU64,
    keeps_up: AtomicBool,
}

/// The form in which a reader takes a batch that is not in memory any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Its documents, which costs a second join.
    Documents,
    /// Only what its entries are: no documents, and nobody waits for this reader.
    Entries,
}

/// One way through the joined batches.
pub struct BatchReader {
    documents: Arc<DocumentBatches>,
    progress: Arc<Progress>,
    want: Want,
}

impl BatchReader {
    /// The end of the batches that are joined, to be watched.
    pub fn tail(&self) -> watch::Receiver<Tail> {
        self.documents.tail.subscribe()
    }

    /// A batch that the join has passed; `None` when it was dropped.
    pub fn read(&self, sequence: u64) -> Result<Option<Arc<DocumentBatch>>> {
        let recent = self.documents.recent(sequence);
        let keeps_up = recent.is_some() && self.want == Want::Documents;
        self.progress.keeps_up.store(keeps_up, Ordering::Relaxed);
        self.progress.next.store(sequence + 1, Ordering::Relaxed);
        match recent {
            Some(batch) => Ok(Some(batch)),
            None => self.documents.read_again(sequence, self.want),
        }
    }
}

#[derive(Default)]
struct RecentDocuments {
    batches: VecDeque<Arc<DocumentBatch>>,
    bytes: usize,
    /// Text of a batch that nobody needs any more: its memory is used again, for the kernel takes
    /// time to give and to clear as much anew for each batch.
    spare: Vec<Vec<u8>>,
}

impl DocumentBatches {
    /// Reads go on at the oldest offset of any consumer.
    pub fn new(queue: Arc<Queue>, held: Arc<HeldEntries>, joiner: Arc<Joiner>) -> Result<Self> {
        let next = reader_offsets(&queue).min().unwrap_or(queue.tail().borrow().next).max(queue.head()?);
        Ok(DocumentBatches {
            queue,
            held,
            joiner,
            tail: watch::Sender::new(Tail { next, closed: false }),
            recent: Mutex::default(),
            readers: Mutex::default(),
        })
    }

    /// How far the join is, to be watched.
    pub fn tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// A batch that the join has passed, and the indexes of its entries that were left out or held
    /// back, in order; `None` when it was dropped.
    pub fn entries(&self, sequence: u64) -> Result<Option<(Batch, Vec<u32>)>> {
        let Some(batch) = self.queue.read(sequence)? else { return Ok(None) };
        Ok(Some((batch, self.held.skipped(sequence)?)))
    }

    /// A way through, beginning with batch `next`.
    pub fn reader(self: &Arc<Self>, next: u64, want: Want) -> BatchReader {
        let progress = Arc::new(Progress { next: AtomicU64::new(next), keeps_up: AtomicBool::new(false) });
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(progress.clone());
        BatchReader { documents: self.clone(), progress, want }
    }

    fn recent(&self, sequence: u64) -> Option<Arc<DocumentBatch>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.batches.binary_search_by_key(&sequence, |batch| batch.sequence).ok()?;
        recent.batches.get(at).cloned()
    }

    fn read_again(&self, sequence: u64, want: Want) -> Result<Option<Arc<DocumentBatch>>> {
        let Some(batch) = self.queue.read(sequence)? else { return Ok(None) };
        let held = self.held.skipped(sequence)?;
        Ok(Some(Arc::new(match want {
            Want::Documents => self.joiner.join(&batch, &held, Vec::new(), &mut ()),
            Want::Entries => super::sort(&batch, &held),
        })))
    }

    /// Memory of a batch that nobody needs any more.
    pub(super) fn spare(&self) -> Vec<u8> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).spare.pop().unwrap_or_default()
    }

    /// Joining a batch again costs as much as the first time, so a reader that keeps up gets a
    /// moment before what it is about to read goes from memory. One that does not use the moment is
    /// not waited for again until it has caught up.
    fn wait_for_readers(&self) {
        let oldest = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            match recent.batches.front() {
                Some(oldest) if recent.bytes > RECENT_BYTES => oldest.sequence,
                _ => return,
            }
        };
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let deadline = Instant::now() + MOMENT;
        for reader in readers {
            while reader.keeps_up.load(Ordering::Relaxed) && reader.next.load(Ordering::Relaxed) <= oldest {
                if Instant::now() >= deadline {
                    reader.keeps_up.store(false, Ordering::Relaxed);
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub(super) fn publish(&self, batch: DocumentBatch) {
        self.wait_for_readers();
        let next = batch.sequence + 1;
        {
            let size = |batch: &DocumentBatch| {
                batch.lines.capacity() + batch.entries.len() + batch.events.len() * 96
            };
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.bytes += size(&batch);
            recent.batches.push_back(Arc::new(batch));
            while recent.bytes > RECENT_BYTES && recent.batches.len() > 1 {
                let Some(gone) = recent.batches.pop_front() else { break };
                recent.bytes -= size(&gone);
                if let Ok(DocumentBatch { mut lines, .. }) = Arc::try_unwrap(gone)
                    && recent.spare.len() < SPARES
                {
                    lines.clear();
                    recent.spare.push(lines);
                }
            }
        }
        self.tail.send_replace(Tail { next, closed: false });
    }
}

/// The offsets of those who read documents. Others read the queue itself.
pub fn reader_offsets(queue: &Queue) -> impl Iterator<Item = u64> {
    let readers = queue.offsets().into_iter().filter(|(name, _)| name != follow::CONSUMER);
    readers.map(|(_, offset)| offset)
}
