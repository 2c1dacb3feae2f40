//! The output that forgets everything: for measuring, and for servers that only answer questions.

use crate::join::JoinedBatch;
use std::sync::Arc;

/// Counts the events.
pub fn forget(batches: &[Arc<JoinedBatch>]) -> u64 {
    batches.iter().map(|batch| batch.events.len() as u64).sum()
}
