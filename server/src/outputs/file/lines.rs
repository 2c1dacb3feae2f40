//! Layout `lines`: `events.jsonl`, one document a line; each batch is appended by one write.
//! [`Rotation`] closes the file.

use super::{Memory, flusher::Flusher, readback::read_back, rotation::Rotation};
use crate::{
    config::{FileConfig, FileSync},
    join::DocumentBatch,
    metrics::OutputMetrics,
    outputs::{DocumentKey, document_key},
};
use anyhow::{Context, Result};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

const NAME: &str = "events.jsonl";

/// The time when the file was begun, in seconds of Unix time, is remembered under this name.
const BEGUN: &str = "events.jsonl begun";

/// See the module.
pub struct Lines {
    file: File,
    flusher: Flusher,
    path: PathBuf,
    length: u64,
    begun_s: i64,
    rotation: Rotation,
    fsync: FileSync,
    /// The next batch to write.
    next: u64,
    memory: Memory,
    /// Documents that were written before a restart, after the remembered length.
    written: HashSet<DocumentKey>,
    metrics: Arc<OutputMetrics>,
}

impl Lines {
    /// Opens the file, and cuts off a line that a crash left half-written.
    pub fn open(config: &FileConfig, memory: Memory, metrics: Arc<OutputMetrics>) -> Result<Self> {
        let path = config.path.join(NAME);
        let cannot = || format!("cannot write {}", path.display());
        let rotation = Rotation::new(config)?;
        let file = open(&path).with_context(cannot)?;
        let there = file.metadata().with_context(cannot)?.len();
        // If somebody shortened or replaced the file, we go on at its end. The same holds if the
        // server ended just after it had begun the file, before it could remember that; nothing was
        // written to it.
        let remembered = memory.length(NAME)?.unwrap_or(0);
        let from = line_start(&file, remembered.min(there)).with_context(cannot)?;
        if from < remembered {
            memory.remember(&[(NAME, from)])?;
        }
        let begun_s = begun(&memory)?;
        let back = read_back(&file, &path, from)?;
        if back.good_until < there {
            // A crash cut off a write; its events come again.
            file.set_len(back.good_until).with_context(cannot)?;
        }
        let flusher = Flusher::new(&file).with_context(cannot)?;
        Ok(Lines {
            length: back.good_until,
            begun_s,
            rotation,
            fsync: config.fsync,
            next: 0,
            written: back.keys,
            file,
            flusher,
            path,
            memory,
            metrics,
        })
    }

    /// Appends the batches.
    pub fn deliver(&mut self, batches: &[Arc<DocumentBatch>]) -> Result<()> {
        self.rotate_if_due()?;
        // A delivery that failed half-way is repeated.
        let next = self.next;
        for batch in batches.iter().filter(|batch| batch.sequence >= next) {
            let (mut some, mut events) = (Vec::new(), 0);
            let repeats = !self.written.is_empty() && self.memory.may_repeat(batch.sequence);
            let lines = if repeats {
                for event in &batch.events {
                    if self.written.contains(&document_key(event)) {
                        self.metrics.events_rewritten.add(1);
                        continue;
                    }
                    some.extend_from_slice(batch.document(event));
                    some.push(b'\n');
                    events += 1;
                }
                &some
            } else {
                events = batch.events.len() as u64;
                &batch.lines
            };
            self.file
                .write_all_at(lines, self.length)
                .with_context(|| format!("cannot write {}", self.path.display()))?;
            self.length += lines.len() as u64;
            self.flusher.wrote(lines.len());
            self.metrics.events_written.add(events);
            self.next = batch.sequence + 1;
        }
        if batches.last().is_some_and(|last| !self.memory.may_repeat(last.sequence)) {
            self.written = HashSet::new();
        }
        Ok(())
    }

    /// Flushes the file. Returns its length.
    pub fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        if self.fsync == FileSync::Commit {
            self.file.sync_data().with_context(|| format!("cannot synchronise {}", self.path.display()))?;
        }
        Ok(vec![(NAME.to_owned(), self.length)])
    }

    /// Closes the file if it is due and everything in it is committed.
    fn rotate_if_due(&mut self) -> Result<()> {
        let is_due = self.rotation.is_due(self.length, self.begun_s);
        if !is_due || self.memory.length(NAME)? != Some(self.length) {
            return Ok(());
        }
        let cannot = || format!("cannot begin a new {}", self.path.display());
        self.rotation.close(&self.path)?;
        let file = open(&self.path).with_context(cannot)?;
        let flusher = Flusher::new(&file)?;
        let begun_s = now_s();
        // Until that is remembered, nothing is written to the new file.
        self.memory.remember(&[(NAME, 0), (BEGUN, begun_s as u64)])?;
        (self.file, self.flusher, self.length, self.begun_s) = (file, flusher, 0, begun_s);
        self.rotation.tend()
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn now_s() -> i64 {
    crate::clock::now_ns() / 1_000_000_000
}

/// The time when the file was begun; now, if that was not remembered.
fn begun(memory: &Memory) -> Result<i64> {
    if let Some(begun_s) = memory.length(BEGUN)? {
        return Ok(begun_s as i64);
    }
    let begun_s = now_s();
    memory.remember(&[(BEGUN, begun_s as u64)])?;
    Ok(begun_s)
}

/// The beginning of the line that `at` is in; `at` itself if a line begins there.
fn line_start(file: &File, at: u64) -> std::io::Result<u64> {
    let mut end = at;
    let mut block = vec![0; 64 * 1024];
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - begin) as usize];
        file.read_exact_at(block, begin)?;
        if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
