//! The output that writes files, in two layouts: [`lines`] and [`jobs`].
//!
//! Both only ever append, by a single write, and remember with their place in the queue how long each file was.
//! After a crash what stands behind that length was written by batches that come again: its events are read back
//! and left out. So every event is in its file once, and nothing that a reader has seen is taken back.

mod flusher;
mod jobs;
mod lines;
mod names;
mod readback;

use crate::{
    config::{FileConfig, FileLayout},
    join::JoinedBatch,
    metrics::OutputMetrics,
    queue::Queue,
};
use anyhow::{Context, Result};
use std::{fs, sync::Arc, time::Duration};

/// What an output remembers of its files.
pub struct Memory {
    name: String,
    queue: Arc<Queue>,
    replay_until: u64,
}

impl Memory {
    /// How long the file was when the output's place was last moved on.
    fn length(&self, file: &str) -> Result<Option<u64>> {
        self.queue.remembered(&self.name, file)
    }

    /// May this batch have been written before a restart?
    fn may_repeat(&self, sequence: u64) -> bool {
        sequence < self.replay_until
    }
}

/// One of the layouts.
pub enum FileOutput {
    /// One JSON document for a job.
    Jobs(jobs::Jobs, FileConfig),
    /// One event a line.
    Lines(lines::Lines, FileConfig),
}

impl FileOutput {
    /// Opens the directory, made if need be.
    pub fn open(
        name: &str,
        config: &FileConfig,
        queue: Arc<Queue>,
        replay_until: u64,
        metrics: Arc<OutputMetrics>,
    ) -> Result<Self> {
        fs::create_dir_all(&config.path)
            .with_context(|| format!("output {name}: cannot make {}", config.path.display()))?;
        let memory = Memory { name: name.to_owned(), queue, replay_until };
        Ok(match config.layout {
            FileLayout::Jobs => FileOutput::Jobs(jobs::Jobs::new(config, memory, metrics), config.clone()),
            FileLayout::Lines => {
                FileOutput::Lines(lines::Lines::open(config, memory, metrics)?, config.clone())
            }
        })
    }

    /// Documents of a job that come within this time share a write.
    pub fn linger(&self) -> Duration {
        match self {
            FileOutput::Jobs(..) => Duration::from_millis(5),
            FileOutput::Lines(..) => Duration::ZERO,
        }
    }

    /// See [`FileConfig`].
    pub fn commit_every(&self) -> Duration {
        match self {
            FileOutput::Jobs(_, config) | FileOutput::Lines(_, config) => config.commit_every.0,
        }
    }

    /// Appends; the number of events written.
    pub fn deliver(&mut self, batches: &[Arc<JoinedBatch>]) -> Result<u64> {
        match self {
            FileOutput::Jobs(jobs, _) => jobs.deliver(batches),
            FileOutput::Lines(lines, _) => lines.deliver(batches),
        }
    }

    /// Synchronises; the files written since the last time, with their lengths.
    pub fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        match self {
            FileOutput::Jobs(jobs, _) => jobs.commit(),
            FileOutput::Lines(lines, _) => lines.commit(),
        }
    }
}
