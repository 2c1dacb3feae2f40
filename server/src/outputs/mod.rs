//! Outputs: each pulls joined batches from its own offset in the queue, at its own pace.
//!
//! [`drive`] is the life of every output, [`Output`] what it asks of one. After a crash an output sees batches
//! again that it delivered after its last commit; the event's id and kind tell it which those are, and each output
//! uses them so that the effect is once. Those that send over a network share the rooms of [`remote`] and only say
//! what a request is and what its answer means. To add an output: docs/howto/add-an-output.md.

mod backoff;
mod dates;
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

use crate::{
    config::{OutputConfig, Sending},
    join::DocumentBatch,
    metrics::OutputMetrics,
    queue::{Kind, Queue},
    shutdown::Shutdown,
};
use anyhow::{Context, Result};
use remote::{ConnectionSink, Remote, Sink};
use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

/// What names a document: an event has one for its start and one for its end.
pub type DocumentKey = ([u8; 16], bool);

/// The key of an event's document.
pub fn document_key(id: [u8; 16], kind: Kind) -> DocumentKey {
    (id, kind == Kind::End)
}

/// Work that runs in the output's own thread.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What every output can do.
pub trait Output: Send {
    /// How long to gather before delivering, so that what belongs together is written together.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// How often to commit.
    fn commit_every(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Is the receiver there? Asked at the start, and now and then while there is nothing to deliver.
    fn look(&mut self) -> Work<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Delivers the batches and counts the events, or says why that did not work; then the same ones come again.
    fn deliver<'a>(
        &'a mut self,
        batches: &'a [Arc<DocumentBatch>],
        give_up: &'a Shutdown,
    ) -> Work<'a, Result<()>>;

    /// May it commit while batches come again that may have been delivered before a restart? Not where what it
    /// remembers tells how to know them.
    fn commits_while_repeating(&self) -> bool {
        false
    }

    /// Makes everything delivered durable; what to remember of it goes with the offset.
    fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        Ok(Vec::new())
    }
}

/// What an output needs besides its configuration.
pub struct Surroundings<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it may keep what it has to keep.
    pub data_dir: &'a Path,
    /// The queue, which has the output's offset.
    pub queue: &'a Arc<Queue>,
    /// Batches below may have been delivered before a restart.
    pub replay_until: u64,
    /// Its counts.
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
