//! One request to stop, seen by every stage.

use std::sync::Arc;
use tokio::sync::watch;

/// Asks all stages to stop; clones speak of the same request.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// A request that was not made yet.
    pub fn new() -> Self {
        Shutdown(Arc::new(watch::Sender::new(false)))
    }

    /// Makes the request.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Was it made?
    pub fn asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is made.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::new()
    }
}
