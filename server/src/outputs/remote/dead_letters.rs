//! The file of dead letters: documents that a receiver refused for good, with its reason, one a
//! line.
//!
//! The file is `dead-letters/NAME.jsonl` in the data directory. We only append to it, and an
//! operator may move it away at any time. Its length is remembered with the output's offset, so
//! after a crash no document is in it twice. A full file stops the output, because nothing is
//! thrown away. (`what_the_receiver_refuses_for_good_is_put_aside_once_and_exactly`)

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

/// The directory in the data directory.
pub const DEAD_LETTERS: &str = "dead-letters";

const REMEMBERED_AS: &str = "dead letters";

/// See the module.
pub struct DeadLetters {
    path: PathBuf,
    bytes_max: u64,
    file: Option<File>,
    is_dirty: bool,
    /// Documents that were put there before a restart, by batches that come again.
    known: HashSet<DocumentKey>,
    /// Batches from this one on were not delivered before the restart.
    replay_until: u64,
}

impl DeadLetters {
    /// Reads back what a crash may have left. The file itself is made when something is refused.
    pub fn open(bytes_max: u64, around: &Surroundings<'_>) -> Result<Self> {
        let path = around.data_dir.join(DEAD_LETTERS).join(format!("{}.jsonl", around.name));
        let mut known = HashSet::new();
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) {
            let there = file.metadata().with_context(|| cannot(&path))?.len();
            let from = around.queue.remembered(around.name, REMEMBERED_AS)?.unwrap_or(0).min(there);
            let back = read_back(&file, &path, from)?;
            // The batch of a line that a crash cut off comes again.
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
                serde_json::from_slice(document.json()).context("a document is not JSON")?;
            let mut line = json!({
                "event_id": document.event_id(),
                "refused_at_ns": crate::clock::now_ns(),
                "reason": reason,
            });
            if document.key().1 {
                line["type"] = "end".into();
            }
            let line = line.to_string();
            // The document itself is appended unchanged.
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
            "{} is full ({there} bytes): move it away, and the output goes on; or make dead_letters_bytes_max larger",
            self.path.display()
        );
        let file = self.file.as_mut().with_context(|| cannot(&self.path))?;
        if let Err(problem) = file.write_all(&text) {
            // A line that was written in part is cut off.
            file.set_len(there).with_context(|| cannot(&self.path))?;
            return Err(problem).with_context(|| cannot(&self.path));
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Flushes the file. Returns its length, to be remembered with the offset, once all batches
    /// from before the restart have come again: until then, documents are read back from the length
    /// that was remembered.
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
        let directory = self.path.parent().context("the path of the dead letters has no directory")?;
        fs::create_dir_all(directory).with_context(|| cannot(&self.path))?;
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        self.file = Some(file.with_context(|| cannot(&self.path))?);
        Ok(())
    }
}

fn cannot(path: &std::path::Path) -> String {
    format!("cannot write {}", path.display())
}
