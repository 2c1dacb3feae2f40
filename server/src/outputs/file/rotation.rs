//! Closes `events.jsonl`: when it is large or old enough it is renamed to a name with the time and
//! compressed, and a new file begins.
//!
//! A file is closed when everything in it is committed, and the new one is remembered before
//! anything is written to it. So after a crash we look for repeated events in the right file, and a
//! closed file does not change (`server/tests/server/rotation.rs`). Another thread compresses; the
//! next start compresses what a crash left.

use crate::{
    clock::now_ns,
    config::{FileCompression, FileConfig},
    dates,
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

/// The closed files of a directory; one thread at a time works on them.
struct ClosedFiles {
    directory: PathBuf,
    gzip: bool,
    keep: usize,
    work: Mutex<()>,
}

impl Rotation {
    /// Reads the configuration, and compresses what an earlier run left.
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

    /// Is it time to close a file of this length that was begun at this time? Periods are those of
    /// UTC: a day ends at midnight.
    pub fn is_due(&self, length: u64, begun_s: i64) -> bool {
        let now_s = now_ns() / SECOND_NS;
        let is_large = self.bytes_max > 0 && length >= self.bytes_max;
        let is_old = self.every_s > 0 && now_s.div_euclid(self.every_s) != begun_s.div_euclid(self.every_s);
        length > 0 && (is_large || is_old)
    }

    /// Gives the file its final name.
    pub fn close(&self, path: &Path) -> Result<()> {
        // An earlier attempt has come so far that the new file is there.
        if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return Ok(());
        }
        let stamp = dates::stamp(now_ns());
        let free = |name: &PathBuf| !name.exists() && !packed(name).exists();
        let name = (0..)
            .map(|number| match number {
                0 => format!("events-{stamp}.jsonl"),
                _ => format!("events-{stamp}-{number}.jsonl"),
            })
            .map(|name| path.with_file_name(name))
            .find(free)
            .context("no name is free for the closed file")?;
        let renamed = fs::rename(path, &name).and_then(|()| File::open(&self.closed.directory)?.sync_all());
        match renamed {
            // An earlier attempt has renamed it already.
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.with_context(|| format!("cannot rename {}", path.display())),
        }
    }

    /// Compresses closed files, and deletes the oldest beyond `keep_closed`, in a thread.
    pub fn tend(&self) -> Result<()> {
        let closed = self.closed.clone();
        let work = move || {
            if let Err(problem) = closed.tend() {
                warn!(
                    "cannot tend the closed files in {}: {problem:#}. Trying again later",
                    closed.directory.display()
                );
            }
        };
        thread::Builder::new()
            .name("closed files".into())
            .spawn(work)
            .context("cannot start the thread that compresses closed files")?;
        Ok(())
    }
}

impl ClosedFiles {
    fn tend(&self) -> Result<()> {
        let _alone = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gzip {
            for path in self.names(".jsonl")? {
                pack(&path).with_context(|| format!("cannot compress {}", path.display()))?;
            }
        }
        if self.keep > 0 {
            let mut all = [self.names(".jsonl")?, self.names(".jsonl.gz")?].concat();
            all.sort();
            for path in all.iter().take(all.len().saturating_sub(self.keep)) {
                fs::remove_file(path).with_context(|| format!("cannot delete {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// The closed files with this ending, the oldest first.
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

/// Compresses a file. The result gets its final name when it is whole and on the disk; then the
/// original is deleted.
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
