//! The file of dead letters: documents that a receiver refuses for good, with its reason, one a line.
//!
//! `dead-letters/NAME.jsonl` in the data directory, only ever appended to; an operator may take it away at any
//! time. Its length is remembered with the output's offset, as that of every file is, so a crash puts no document
//! there twice. A full file holds the output up: nothing is thrown away.

use super::Document;
use crate::outputs::{DocumentKey, Surroundings, file::read_back};
use anyhow::{Context, Result, ensure};
use serde_json::{json, value::RawValue};
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
};

const REMEMBERED_AS: &str = "dead letters";

/// See the module.
pub struct DeadLetters {
    path: PathBuf,
    bytes_max: u64,
    file: Option<File>,
    is_dirty: bool,
    /// Put there before a restart, by batches that come again.
    known: HashSet<DocumentKey>,
    /// Batches from here on were not there before.
    replay_until: u64,
}

impl DeadLetters {
    /// The file is made when something is refused.
    pub fn open(bytes_max: u64, around: &Surroundings<'_>) -> Result<Self> {
        let path = around.data_dir.join("dead-letters").join(format!("{}.jsonl", around.name));
        let mut known = HashSet::new();
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) {
            let there = file.metadata().with_context(|| cannot(&path))?.len();
            let from = around.queue.remembered(around.name, REMEMBERED_AS)?.unwrap_or(0).min(there);
            let back = read_back(&file, &path, from)?;
            // A line that a crash cut off is of a batch that comes again.
            file.set_len(back.good_until).with_context(|| cannot(&path))?;
            known = back.keys;
        }
        let replay_until = around.replay_until;
        Ok(DeadLetters { path, bytes_max, file: None, is_dirty: false, known, replay_until })
    }

    /// Appends each document with the reason.
    pub fn put(&mut self, refused: &[(Document<'_>, String)]) -> Result<()> {
        let mut text = Vec::new();
        for (document, reason) in refused {
            if self.known.contains(&document.key()) {
                continue;
            }
            let json: &RawValue =
                serde_json::from_slice(document.json()).context("a document that is no JSON")?;
            let mut line = json!({
                "event_id": document.event_id(),
                "refused_at_ns": crate::clock::now_ns(),
                "reason": reason,
            });
            if document.key().1 {
                line["type"] = "end".into();
            }
            let line = line.to_string();
            // The document itself goes in as it is, at the end.
            text.extend_from_slice(line.trim_end_matches('}').as_bytes());
            text.extend_from_slice(b",\"document\":");
            text.extend_from_slice(json.get().as_bytes());
            text.extend_from_slice(b"}\n");
        }
        if text.is_empty() {
            return Ok(());
        }
        self.reopen_if_gone()?;
        let there = self.length()?;
        ensure!(
            there + text.len() as u64 <= self.bytes_max,
            "{} is full ({there} bytes): the output goes on when it has been moved away",
            self.path.display()
        );
        let file = self.file.as_mut().with_context(|| cannot(&self.path))?;
        if let Err(problem) = file.write_all(&text) {
            // No half line stays.
            file.set_len(there).with_context(|| cannot(&self.path))?;
            return Err(problem).with_context(|| cannot(&self.path));
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Synchronises; the file's length, to be remembered with the offset, once everything has come again that may be
    /// in there. Until then the length stays from which on documents are read back.
    pub fn commit(&mut self, delivered_to: u64) -> Result<Vec<(String, u64)>> {
        if self.is_dirty
            && let Some(file) = &self.file
        {
            file.sync_all().with_context(|| cannot(&self.path))?;
            self.is_dirty = false;
        }
        if delivered_to < self.replay_until {
            return Ok(Vec::new());
        }
        self.known = HashSet::new();
        let length = fs::metadata(&self.path).map(|about| about.len()).unwrap_or(0);
        Ok(vec![(REMEMBERED_AS.to_owned(), length)])
    }

    fn length(&self) -> Result<u64> {
        let about = self.file.as_ref().map(File::metadata).transpose().with_context(|| cannot(&self.path))?;
        Ok(about.map_or(0, |about| about.len()))
    }

    fn reopen_if_gone(&mut self) -> Result<()> {
        if self.file.is_some() && self.path.exists() {
            return Ok(());
        }
        let directory = self.path.parent().context("no directory for dead letters")?;
        fs::create_dir_all(directory).with_context(|| cannot(&self.path))?;
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        self.file = Some(file.with_context(|| cannot(&self.path))?);
        Ok(())
    }
}

fn cannot(path: &std::path::Path) -> String {
    format!("cannot write {}", path.display())
}
