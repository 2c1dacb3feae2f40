//! The output that drops everything: for measuring, and for servers that only answer questions.

use super::{Output, Work};
use crate::{join::DocumentBatch, metrics::OutputMetrics, shutdown::Shutdown};
use anyhow::Result;
use std::sync::Arc;

/// See the module.
pub struct Null(pub Arc<OutputMetrics>);

impl Output for Null {
    /// Only counts the events.
    fn deliver<'a>(&'a mut self, batches: &'a [Arc<DocumentBatch>], _: &'a Shutdown) -> Work<'a, Result<()>> {
        self.0.events_written.add(batches.iter().map(|batch| batch.events.len() as u64).sum());
        Box::pin(async { Ok(()) })
    }
}
