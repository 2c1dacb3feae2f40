//! Closing `events.jsonl`: when it is large or old enough it gets a name with the time, is packed, and a new one begins.
//!
//! Only a file of which everything is committed is closed, and that the new one begins is remembered before anything
//! is written to it. So after a crash what comes again is looked for in the file where it can be, and a closed file
//! never changes. Packing happens aside; what a crash left unpacked is packed at the next start.

use crate::{
    clock::now_ns,
    config::{FileCompression, FileConfig},
    outputs::dates,
};
use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use tracing::warn;

const SECOND_NS: i64 = 1_000_000_000;

/// When files are closed, and what happens to closed ones.
pub struct Rotation {
    bytes_max: u64,
    every_s: i64,
    closed: Arc<ClosedFiles>,
}

/// Closed files of a directory; one thread at a time works on them.
struct ClosedFiles {
    directory: PathBuf,
    gzip: bool,
    keep: usize,
    work: Mutex<()>,
}

impl Rotation {
    /// Takes up what an earlier run left to do.
    pub fn new(config: &FileConfig) -> Result<Self> {
        let rotation = Rotation {
            bytes_max: config.rotate_bytes.0,
            every_s: i64::try_from(config.rotate_every.0.as_secs()).unwrap_or(i64::MAX),
            closed: Arc::new(ClosedFiles {
                directory: config.path.clone(),
                gzip: config.compression == FileCompression::Gzip,
                keep: config.keep_closed,
                work: Mutex::default(),
            }),
        };
        rotation.tend()?;
        Ok(rotation)
    }

    /// Is a file of this length, begun at this time, to be closed? Periods are those of UTC: a day ends at midnight.
    pub fn is_due(&self, length: u64, begun_s: i64) -> bool {
        let now_s = now_ns() / SECOND_NS;
        let is_large = self.bytes_max > 0 && length >= self.bytes_max;
        let is_old = self.every_s > 0 && now_s.div_euclid(self.every_s) != begun_s.div_euclid(self.every_s);
        length > 0 && (is_large || is_old)
    }

    /// Gives the file its last name.
    pub fn close(&self, path: &Path) -> Result<()> {
        let stamp = dates::stamp(now_ns());
        let free = |name: &PathBuf| !name.exists() && !packed(name).exists();
        let name = (0..)
            .map(|number| match number {
                0 => format!("events-{stamp}.jsonl"),
                _ => format!("events-{stamp}-{number}.jsonl"),
            })
            .map(|name| path.with_file_name(name))
            .find(free)
            .context("no free name")?;
        let renamed = fs::rename(path, &name).and_then(|()| File::open(&self.closed.directory)?.sync_all());
        match renamed {
            // An attempt before this one came so far.
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.with_context(|| format!("cannot rename {}", path.display())),
        }
    }

    /// Packs closed files, and removes the oldest beyond those that are kept, in a thread.
    pub fn tend(&self) -> Result<()> {
        let closed = self.closed.clone();
        let work = move || {
            if let Err(problem) = closed.tend() {
                warn!("closed files in {}: {problem:#}; it is tried again later", closed.directory.display());
            }
        };
        thread::Builder::new().name("closed files".into()).spawn(work).context("cannot start a thread")?;
        Ok(())
    }
}

impl ClosedFiles {
    fn tend(&self) -> Result<()> {
        let _alone = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gzip {
            for path in self.names(".jsonl")? {
                pack(&path).with_context(|| format!("cannot pack {}", path.display()))?;
            }
        }
        if self.keep > 0 {
            let mut all = [self.names(".jsonl")?, self.names(".jsonl.gz")?].concat();
            all.sort();
            for path in all.iter().take(all.len().saturating_sub(self.keep)) {
                fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Closed files with this ending, the oldest first.
    fn names(&self, ending: &str) -> Result<Vec<PathBuf>> {
        let cannot = || format!("cannot read {}", self.directory.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("events-") && name.ends_with(ending) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

fn packed(path: &Path) -> PathBuf {
    path.with_extension("jsonl.gz")
}

/// Under its final name only when it is whole and on the disk; then the other goes.
fn pack(path: &Path) -> io::Result<()> {
    let fresh = path.with_extension("jsonl.gz.new");
    let mut from = File::open(path)?;
    let mut to = GzEncoder::new(File::create(&fresh)?, Compression::default());
    io::copy(&mut from, &mut to)?;
    let mut to = to.finish()?;
    to.flush()?;
    to.sync_all()?;
    fs::rename(&fresh, packed(path))?;
    fs::remove_file(path)
}
