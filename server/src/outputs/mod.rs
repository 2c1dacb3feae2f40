//! Outputs: each reads joined batches from its own offset in the queue, at its own pace.
//!
//! [`drive`] is the life of every output, [`Output`] is what it asks of one. After a crash an
//! output gets batches again that it delivered after its last commit. Each output uses the events'
//! ids and kinds so that the effect is the same as of one delivery. Outputs that send over a
//! network share [`remote`]: they only say what a request is, and what its answer means.
//! docs/howto/add-an-output.md tells how to add an output.

mod backoff;
mod drive;
mod elasticsearch;
mod file;
mod json_tcp;
mod kafka;
mod null;
mod relay;
mod relay_builds;
mod remote;
mod splunk_hec;

pub use drive::drive;
pub use relay_builds::RelayBuilds;
pub use remote::DEAD_LETTERS;

use crate::{
    config::{OutputConfig, Sending},
    database::Condition,
    join::{DocumentBatch, EventDocument},
    metrics::OutputMetrics,
    queue::{Kind, Queue, Sender},
    shutdown::Shutdown,
};
use anyhow::{Context, Result};
use remote::{ConnectionSink, Remote, Sink};
use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

/// The key of a document: an event's id, whether the document is that of its end, and who sent it.
pub type DocumentKey = ([u8; 16], bool, Sender);

/// The key of an event's document.
pub fn document_key(event: &EventDocument) -> DocumentKey {
    (event.id, event.kind == Kind::End, event.sender)
}

/// A future that runs in the output's own thread.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What documents are written to.
pub trait Output: Send {
    /// How long to wait before a delivery, so that documents that belong together are written
    /// together.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// How often to commit.
    fn commit_every(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Checks that the receiver is there. Called at the start, and now and then while the output is
    /// idle.
    fn look(&mut self) -> Work<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Delivers the batches and counts their events. After an error, the same batches are delivered
    /// again.
    fn deliver<'a>(
        &'a mut self,
        batches: &'a [Arc<DocumentBatch>],
        give_up: &'a Shutdown,
    ) -> Work<'a, Result<()>>;

    /// May the output commit while batches come again that may have been delivered before a
    /// restart? It must not if it needs what it last remembered to recognise them.
    fn commits_while_repeating(&self) -> bool {
        false
    }

    /// Makes everything delivered durable. Returns what to remember in the write that moves the
    /// offset.
    fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        Ok(Vec::new())
    }
}

/// What an output needs besides its configuration.
pub struct Surroundings<'a> {
    /// The output's name.
    pub name: &'a str,
    /// The server's data directory.
    pub data_dir: &'a Path,
    /// The queue, which has the output's offset.
    pub queue: &'a Arc<Queue>,
    /// Batches before this one may have been delivered before a restart.
    pub replay_until: u64,
    /// What the disk of `data_dir` has room for.
    pub condition: Arc<Condition>,
    /// The output's metrics.
    pub metrics: Arc<OutputMetrics>,
}

/// Opens the output.
pub fn open(config: &OutputConfig, around: Surroundings<'_>) -> Result<Box<dyn Output>> {
    let name = around.name.to_owned();
    match config {
        OutputConfig::File(config) => {
            file::FileOutput::open(config, around).map(|file| Box::new(file) as Box<dyn Output>)
        }
        OutputConfig::Null(_) => Ok(Box::new(null::Null(around.metrics)) as Box<dyn Output>),
        OutputConfig::Elasticsearch(config) => {
            sending(elasticsearch::Elasticsearch::new(config), config.sending(), around)
        }
        OutputConfig::JsonTcp(config) => sending(json_tcp::JsonTcp::new(config), config.sending(), around),
        OutputConfig::SplunkHec(config) => {
            sending(splunk_hec::SplunkHec::new(config), config.sending(), around)
        }
        OutputConfig::Kafka(config) => {
            sending(kafka::Kafka::new(config).map(ConnectionSink), config.sending(), around)
        }
        OutputConfig::Ogrt(config) => {
            sending(relay::Relay::new(config).map(ConnectionSink), config.sending(), around)
        }
    }
    .with_context(|| format!("[outputs.{name}]"))
}

fn sending<S: Sink + 'static>(
    sink: Result<S>,
    sending: Sending,
    around: Surroundings<'_>,
) -> Result<Box<dyn Output>> {
    Ok(Box::new(Remote::open(sink?, sending, around)?))
}
