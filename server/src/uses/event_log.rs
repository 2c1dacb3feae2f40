//! What is counted, in batches with numbers: of this server's queue.

use super::CONSUMER;
use crate::{
    database::Writes,
    join::DocumentBatches,
    queue::{Batch, Queue, Tail},
};
use anyhow::Result;
use std::sync::Arc;
use tokio::sync::watch;

/// Batches of events, and how far they are counted.
pub trait EventLog: Send + Sync {
    /// The end of what can be counted.
    fn tail(&self) -> watch::Receiver<Tail>;

    /// The number of the batch that comes next, of what was received.
    fn received(&self) -> u64;

    /// A batch, and the indexes of its entries that do not count, in order; `None` when it was
    /// dropped.
    fn entries(&self, number: u64) -> Result<Option<(Batch, Vec<u32>)>>;

    /// The oldest batch that is kept, or the next one where none is.
    fn head(&self) -> Result<u64>;

    /// The first batch that is not counted.
    fn offset(&self) -> u64;

    /// Moves the offset on, in one commit with what was made of the batches before `next`.
    fn move_on(&self, next: u64, writes: Writes) -> Result<()>;

    /// The time of receipt of the first event of a batch; `None` where the batch is not there.
    fn received_ns(&self, number: u64) -> Option<i64>;
}

/// The events of this server.
pub struct OwnEvents {
    queue: Arc<Queue>,
    documents: Arc<DocumentBatches>,
}

impl OwnEvents {
    /// Those of the queue that the join has passed.
    pub fn new(queue: Arc<Queue>, documents: Arc<DocumentBatches>) -> Self {
        OwnEvents { queue, documents }
    }
}

impl EventLog for OwnEvents {
    fn tail(&self) -> watch::Receiver<Tail> {
        self.documents.tail()
    }

    fn received(&self) -> u64 {
        self.queue.tail().borrow().next
    }

    fn entries(&self, number: u64) -> Result<Option<(Batch, Vec<u32>)>> {
        self.documents.entries(number)
    }

    fn head(&self) -> Result<u64> {
        self.queue.head()
    }

    fn offset(&self) -> u64 {
        self.queue.offset(CONSUMER)
    }

    fn move_on(&self, next: u64, writes: Writes) -> Result<()> {
        self.queue.move_on(CONSUMER, next, writes)
    }

    fn received_ns(&self, number: u64) -> Option<i64> {
        self.queue.received_ns(number)
    }
}
