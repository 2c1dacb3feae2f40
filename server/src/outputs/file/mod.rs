//! The output that writes files, in two layouts: [`lines`] and [`jobs`].
//!
//! Both append by a single write, and remember each file's length with their offset in the queue.
//! What stands after that length at a restart was written by batches that come again: these events
//! are read back and left out. So every event is in its file once
//! (`acknowledged_events_survive_kill_9_and_appear_once`), and no whole document that a reader has
//! seen is removed.

mod flusher;
mod jobs;
mod lines;
mod names;
mod readback;
mod rotation;
mod shared_room;

pub use readback::read_back;

use super::{Output, Surroundings, Work};
use crate::{
    config::{FileConfig, FileLayout},
    join::DocumentBatch,
    queue::Queue,
    shutdown::Shutdown,
};
use anyhow::{Context, Result};
use shared_room::SharedRoom;
use std::{fs, sync::Arc, time::Duration};

/// What an output remembers of its files.
pub struct Memory {
    name: String,
    queue: Arc<Queue>,
    replay_until: u64,
}

impl Memory {
    /// The file's length when the output's offset last moved on.
    fn length(&self, file: &str) -> Result<Option<u64>> {
        self.queue.remembered(&self.name, file)
    }

    /// Remembers numbers at once, without a commit of the output.
    fn remember(&self, items: &[(&str, u64)]) -> Result<()> {
        let mut writes = self.queue.writes();
        for (item, value) in items {
            self.queue.remember(&mut writes, &self.name, item, *value);
        }
        Ok(writes.commit()?)
    }

    /// May this batch have been written before a restart?
    fn may_repeat(&self, sequence: u64) -> bool {
        sequence < self.replay_until
    }
}

/// The output, in one of its layouts.
pub struct FileOutput {
    layout: Layout,
    room: Option<SharedRoom>,
    commit_every: Duration,
}

enum Layout {
    Jobs(Box<jobs::JobFiles>),
    Lines(Box<lines::Lines>),
}

impl FileOutput {
    /// Opens the directory, which is created if it does not exist.
    pub fn open(config: &FileConfig, around: Surroundings<'_>) -> Result<Self> {
        let Surroundings { name, queue, replay_until, metrics, data_dir, condition } = around;
        fs::create_dir_all(&config.path)
            .with_context(|| format!("cannot create the directory {} (key path)", config.path.display()))?;
        let memory = Memory { name: name.to_owned(), queue: queue.clone(), replay_until };
        let layout = match config.layout {
            FileLayout::Jobs => Layout::Jobs(Box::new(jobs::JobFiles::new(config, memory, metrics))),
            FileLayout::Lines => Layout::Lines(Box::new(lines::Lines::open(config, memory, metrics)?)),
        };
        let room = SharedRoom::of(&config.path, data_dir, condition)?;
        Ok(FileOutput { layout, room, commit_every: config.commit_every.0 })
    }
}

impl Output for FileOutput {
    /// Documents of a job that come within this time are written together.
    fn linger(&self) -> Duration {
        match self.layout {
            Layout::Jobs(_) => Duration::from_millis(5),
            Layout::Lines(_) => Duration::ZERO,
        }
    }

    fn commit_every(&self) -> Duration {
        self.commit_every
    }

    /// Appends to the files.
    fn deliver<'a>(&'a mut self, batches: &'a [Arc<DocumentBatch>], _: &'a Shutdown) -> Work<'a, Result<()>> {
        let bytes = batches.iter().map(|batch| batch.lines.len() as u64).sum();
        let has_room = self.room.as_ref().map_or(Ok(()), |room| room.has(bytes));
        let written = has_room.and_then(|()| match &mut self.layout {
            Layout::Jobs(jobs) => jobs.deliver(batches),
            Layout::Lines(lines) => lines.deliver(batches),
        });
        Box::pin(async { written })
    }

    /// Flushes the files that were written since the last commit. Returns their lengths.
    fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        match &mut self.layout {
            Layout::Jobs(jobs) => jobs.commit(),
            Layout::Lines(lines) => lines.commit(),
        }
    }
}
