//! Sends builds that were registered with a relay on to the server behind it.
//!
//! The relay's registry is their queue: builds have growing numbers, and the next one is remembered
//! when the other server acknowledges that it has those before it durably. The other server
//! recognises a repeated build, and refuses one whose signature another build has there. Builds are
//! sent apart from events, so that events go on when builds are refused, for example because the
//! token is missing. A rebuild that is registered after its build was sent is not passed on.

use super::{
    backoff::Backoff,
    relay::{Relay, RelayConnection},
    remote::Protocol,
};
use crate::{
    config::OgrtConfig,
    metrics::{Metrics, OutputMetrics},
    queue::Queue,
    registry::Registry,
    shutdown::Shutdown,
};
use anyhow::{Result, anyhow};
use ogrt_proto::{Frame, MessageType};
use prost::Message;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// The number of the next build is remembered under this name.
const NEXT_BUILD: &str = "builds";

/// How many builds are sent before it waits for the acknowledgement.
const AT_ONCE: usize = 16;

/// Builds that are registered within this time are sent together.
const LINGER: Duration = Duration::from_millis(50);

/// See the module.
pub struct RelayBuilds {
    relay: Relay,
    /// The output's name.
    name: String,
    timeout: Duration,
    backoff_max: Duration,
    queue: Arc<Queue>,
    registry: Arc<dyn Registry>,
    all: Arc<Metrics>,
    metrics: Arc<OutputMetrics>,
}

impl RelayBuilds {
    /// Reads the configuration, without connecting.
    pub fn new(
        name: &str,
        config: &OgrtConfig,
        queue: Arc<Queue>,
        registry: Arc<dyn Registry>,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let (timeout, backoff_max) = (config.sending().timeout, config.sending().backoff_max);
        let (relay, own) = (Relay::new(config)?, metrics.output(&format!("{name}.builds")));
        own.works();
        let name = name.to_owned();
        Ok(RelayBuilds { relay, name, timeout, backoff_max, queue, registry, all: metrics, metrics: own })
    }

    /// Passes builds on until the queue is closed. This runs in a thread of its own.
    pub async fn pass_on(self, give_up: Shutdown) {
        let mut backoff =
            Backoff::new(&format!("{}.builds", self.name), self.metrics.clone(), self.backoff_max);
        let mut tail = self.queue.tail();
        let mut connection = None;
        while !give_up.asked() {
            let closed = tail.borrow_and_update().closed;
            match self.some(&mut connection).await {
                Ok(true) => backoff.reset(),
                Ok(false) if closed => return,
                Ok(false) => {
                    // A registration also changes the tail.
                    let _ = tail.changed().await;
                    sleep(LINGER).await;
                }
                Err(problem) => {
                    connection = None;
                    backoff.wait_after(&problem, &give_up).await;
                }
            }
        }
    }

    /// Passes some builds on; false if there were none.
    async fn some(&self, connection: &mut Option<RelayConnection>) -> Result<bool> {
        let next = self.queue.remembered(&self.name, NEXT_BUILD)?.unwrap_or(0);
        let builds = self.registry.export(next.checked_sub(1), AT_ONCE)?;
        let Some((last, _)) = builds.last() else { return Ok(false) };
        let since = Instant::now();
        let (mut frames, mut count) = (Vec::new(), 0);
        for (_, build) in &builds {
            let again = build.made_again.iter().map(|record| record.encode_to_vec().into());
            for record in [build.record.clone()].into_iter().chain(again) {
                let frame = Frame { kind: MessageType::BuildRecord as u32, message: record };
                frames.extend_from_slice(&frame.to_bytes());
                count += 1;
            }
        }
        let send = async {
            let mut open = self.relay.open(connection).await?;
            open.send(&frames, count).await?;
            Ok::<_, anyhow::Error>(open)
        };
        let open = timeout(self.timeout, send)
            .await
            .map_err(|_| anyhow!("no answer within {:?}", self.timeout))??;
        *connection = Some(open);
        let mut writes = self.queue.writes();
        self.queue.remember(&mut writes, &self.name, NEXT_BUILD, last + 1);
        writes.commit()?;
        self.metrics.requests.add(1);
        self.metrics.request_ms.add(since.elapsed().as_millis() as u64);
        self.all.builds_relayed.add(builds.len() as u64);
        Ok(true)
    }
}
