//! Reads back what was written after the remembered length, after a crash.

use crate::{outputs::DocumentKey, queue::Sender};
use anyhow::{Context, Result};
use ogrt_note::Signature;
use serde::Deserialize;
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::Path,
};

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event_id: std::borrow::Cow<'a, str>,
    #[serde(default, borrow)]
    r#type: std::borrow::Cow<'a, str>,
    #[serde(default, borrow)]
    identity: std::borrow::Cow<'a, str>,
    uid: Option<u32>,
    delivered_by: Option<u32>,
}

impl Head<'_> {
    fn sender(&self) -> Sender {
        match (self.delivered_by, self.uid) {
            (Some(uid), _) => Sender::Local(uid),
            (None, Some(uid)) if self.identity == "kernel" => Sender::Process(uid),
            _ => Sender::Anybody,
        }
    }
}

/// The whole documents after an offset in a file.
pub struct Readback {
    pub keys: HashSet<DocumentKey>,
    /// The end of the last whole document, and of its line.
    pub good_until: u64,
}

/// Reads lines from `offset` while each is a whole document, with or without a comma at its end.
pub fn read_back(file: &File, path: &Path, offset: u64) -> Result<Readback> {
    let cannot = || format!("cannot read back {}", path.display());
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    reader.seek(SeekFrom::Start(offset)).with_context(cannot)?;
    let mut found = Readback { keys: HashSet::new(), good_until: offset };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).with_context(cannot)?;
        if line.last() != Some(&b'\n') {
            return Ok(found);
        }
        let document = line.trim_ascii().strip_suffix(b",").unwrap_or(line.trim_ascii());
        let Ok(head) = serde_json::from_slice::<Head<'_>>(document) else { return Ok(found) };
        let Ok(id) = Signature::parse(head.event_id.as_bytes()) else { return Ok(found) };
        found.keys.insert((*id.as_bytes(), head.r#type == "end", head.sender()));
        found.good_until += read as u64;
    }
}
