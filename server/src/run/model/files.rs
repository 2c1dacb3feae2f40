//! What the file outputs have written: read back whole, or cut off as by a crash in a write.

use super::population::{Message, process_of};
use crate::queue::Queue;
use anyhow::{Context, Result, ensure};
use ogrt_note::Signature;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The document of an event.
#[derive(Clone, Debug)]
pub struct Document {
    pub process: usize,
    pub is_end: bool,
    pub json: Value,
}

impl Document {
    /// The document in these bytes; an error unless it is of a process of the run.
    pub fn read(bytes: &[u8], processes: usize) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let json: Value = serde_json::from_slice(bytes).with_context(|| format!("not a document: {text}"))?;
        Document::of(json, processes)
    }

    /// The document in this JSON; an error unless it is of a process of the run.
    pub fn of(json: Value, processes: usize) -> Result<Self> {
        let id = json["event_id"].as_str().and_then(|id| Signature::parse(id.as_bytes()).ok());
        let process = id
            .and_then(|id| process_of(*id.as_bytes(), processes))
            .with_context(|| format!("an event that nobody sent: {json}"))?;
        Ok(Document { process, is_end: json["type"] == "end", json })
    }

    /// Its event, as the first message of it.
    pub fn event(&self) -> Message {
        Message { process: self.process, is_end: self.is_end, part: 0 }
    }
}

/// The documents of layout `lines`, closed files included.
pub fn lines(directory: &Path, processes: usize) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for path in files_in(&directory.join("lines"))? {
        for line in fs::read(&path)?.split_inclusive(|byte| *byte == b'\n') {
            ensure!(line.ends_with(b"\n"), "{} ends within a line", path.display());
            documents.push(Document::read(line, processes)?);
        }
    }
    Ok(documents)
}

/// The documents of layout `jobs`: those of each job.
pub fn jobs(directory: &Path, processes: usize) -> Result<BTreeMap<String, Vec<Document>>> {
    let mut jobs = BTreeMap::new();
    for path in files_in(&directory.join("jobs"))? {
        let whole: Value = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| format!("{} is not valid", path.display()))?;
        let job = whole["job_id"].as_str().context("a job's file without job_id")?.to_owned();
        let mut documents = Vec::new();
        for json in whole["processes"].as_array().context("a job's file without processes")? {
            documents.push(Document::of(json.clone(), processes)?);
        }
        ensure!(jobs.insert(job, documents).is_none(), "{} is a second file of its job", path.display());
    }
    Ok(jobs)
}

/// What a job's file ends with; the next write begins in its place.
const CLOSING: &[u8] = b"\n]}\n";

/// Takes back a part of what was written behind the last commit of each file; `where_to` says how
/// much.
pub fn tear(directory: &Path, queue: &Queue, where_to: usize) -> Result<()> {
    for (output, closing) in [("lines", &b""[..]), ("jobs", CLOSING)] {
        for path in files_in(&directory.join(output))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let length = fs::metadata(&path)?.len();
            let committed = match queue.remembered(output, &name)? {
                Some(committed) => committed,
                // Its first write goes into what it was made with.
                None if output == "jobs" => made_with(&path)?,
                None if name == "events.jsonl" => 0,
                None => continue,
            };
            if length > committed {
                let from = committed - closing.len() as u64;
                let to = from + where_to as u64 % (length - from);
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(to.max(committed))?;
                // Where not even the closing was written over, its end still stands.
                if let Some(old) = closing.get((to - from) as usize..) {
                    file.write_all_at(old, to)?;
                }
            }
        }
    }
    Ok(())
}

/// Bytes of a job's file without processes.
fn made_with(path: &Path) -> Result<u64> {
    const PROCESSES: &str = "\"processes\":[";
    let text = fs::read_to_string(path)?;
    let at = text.find(PROCESSES).with_context(|| format!("{} has no processes", path.display()))?;
    Ok((at + PROCESSES.len() + CLOSING.len()) as u64)
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if directory.exists() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What a crash left while a file was made.
            if !name.starts_with('.') {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
