//! Pauses between attempts. Each is twice as long as the one before, with a random part, so that
//! outputs do not all retry at once.

use crate::{metrics::OutputMetrics, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tracing::{error, info};

const FIRST: Duration = Duration::from_millis(100);

/// The backoff of an output or of one of its workers.
pub struct Backoff {
    name: String,
    metrics: Arc<OutputMetrics>,
    backoff_max: Duration,
    attempts: u32,
}

impl Backoff {
    /// The backoff before the first failure.
    pub fn new(name: &str, metrics: Arc<OutputMetrics>, backoff_max: Duration) -> Self {
        Backoff { name: name.to_owned(), metrics, backoff_max, attempts: 0 }
    }

    /// Pauses after a failed attempt; returns at once on `give_up`.
    pub async fn wait_after(&mut self, problem: &anyhow::Error, give_up: &Shutdown) {
        if self.attempts == 0 {
            error!("output {}: {problem:#}. It tries again, and events wait in the queue", self.name);
        }
        self.metrics.fails(&format!("{problem:#}"));
        let pause = FIRST.saturating_mul(2u32.pow(self.attempts.min(16))).min(self.backoff_max);
        self.attempts += 1;
        let jitter = uuid::Uuid::new_v4().as_u128() as u64 % (pause.as_millis() as u64 / 2).max(1);
        let _ = timeout(pause / 2 + Duration::from_millis(jitter), give_up.wait()).await;
    }

    /// Notes that an attempt worked.
    pub fn reset(&mut self) {
        if self.attempts > 0 {
            info!("output {} works again, after {} failed attempts", self.name, self.attempts);
            self.attempts = 0;
        }
        self.metrics.works();
    }
}
