//! What receivers hand over to the writer, and its answer.

use super::{Entries, HeldKey};
use crate::registry::Registration;
use anyhow::Result;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Events and records that a receiver hands over at once.
#[derive(Default)]
pub struct Submission {
    /// Events.
    pub entries: Entries,
    /// Build records as they came.
    pub builds: Vec<Bytes>,
    /// Drop copies of events that an acknowledging stream delivered before.
    pub once: bool,
    /// Held entries that these replace.
    pub replaces: Vec<HeldKey>,
    /// Event ids and users of ends among the entries that the kernel tells: no other end of them is
    /// queued any more from an acknowledging stream.
    pub closes: Vec<([u8; 16], u32)>,
    /// The way back to a receiver that waits for it.
    pub receipt: Option<Receipt>,
    /// The share of the bytes that may be pending.
    pub room: Option<OwnedSemaphorePermit>,
}

impl Submission {
    /// Tells that there is nothing to be made durable.
    pub fn is_empty(&self) -> bool {
        self.entries.count() == 0 && self.builds.is_empty()
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> usize {
        self.entries.bytes().len() + self.builds.iter().map(Bytes::len).sum::<usize>()
    }
}

/// The writer's answer when all of a submission is durable, or that it was refused.
pub type Receipt = oneshot::Sender<Result<SubmissionAnswer, Refusal>>;

/// The answer when all of a submission is durable.
#[derive(Debug, Default)]
pub struct SubmissionAnswer {
    /// The outcome of each registration.
    pub builds: Vec<Registration>,
}

/// The reason why nothing of a submission was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bound of the queue, or of the disk, is reached.
    #[error("the queue is full")]
    Full,
    /// The sender has more than its share of the queue.
    #[error("the sender has more than its share of the queue")]
    Share,
    /// The registry's database is away, and registrations are acknowledged when they are in it.
    #[error("the registry's database does not take build records now")]
    NotCommitted,
    /// The database failed, or the server stops.
    #[error("the queue is closed")]
    Closed,
}
