//! Layout `jobs`: one JSON document for each job, whole and valid after every write, at constant
//! cost.
//!
//! ```text
//! {"job_id":"4711","processes":[
//! {...},
//! {...}
//! ]}
//! ```
//! The document ends with the closing bytes, so one write over them adds processes and closes the
//! document again. The first cluster with a job of some id has the file of that name; behind
//! `job_id` stands its name. If a full disk takes only a part of the write, the closing bytes are
//! written back at once: there was room for them before
//! (`a_job_file_is_whole_while_its_disk_is_full`).

use super::{
    Memory,
    names::{file_stem, file_stem_in},
    readback::read_back,
};
use crate::{
    config::{FileConfig, FileSync},
    job_name,
    join::{DocumentBatch, EventDocument},
    metrics::OutputMetrics,
    outputs::{DocumentKey, document_key},
};
use anyhow::{Context, Result};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};
use tracing::warn;

const CLOSING: &[u8] = b"\n]}\n";

/// The number of written files from which the whole file system is flushed at once.
const SYNC_ONE_BY_ONE: usize = 16;

/// See the module.
pub struct JobFiles {
    directory: PathBuf,
    open_max: usize,
    fsync: FileSync,
    open: HashMap<JobName, JobFile>,
    /// Lengths of files that were written since the last commit and then closed.
    closed: BTreeMap<String, u64>,
    /// Jobs that are written already, if a delivery failed at another job and is repeated.
    done: HashSet<JobName>,
    clock: u64,
    memory: Memory,
    metrics: Arc<OutputMetrics>,
}

/// A job: its cluster, and its id.
type JobName = (Bytes, Bytes);

struct JobFile {
    file: File,
    name: String,
    path: PathBuf,
    /// Length of the whole document.
    length: u64,
    /// The document has no process yet.
    is_empty: bool,
    /// The file was written since the last commit.
    is_dirty: bool,
    last_used: u64,
    written: HashSet<DocumentKey>,
}

impl JobFiles {
    /// Opens no file yet.
    pub fn new(config: &FileConfig, memory: Memory, metrics: Arc<OutputMetrics>) -> Self {
        JobFiles {
            directory: config.path.clone(),
            open_max: config.open_files_max.max(1),
            fsync: config.fsync,
            open: HashMap::new(),
            closed: BTreeMap::new(),
            done: HashSet::new(),
            clock: 0,
            memory,
            metrics,
        }
    }

    /// Appends to each job's file, one write for each job.
    pub fn deliver(&mut self, batches: &[Arc<DocumentBatch>]) -> Result<()> {
        let repeats = batches.first().is_some_and(|first| self.memory.may_repeat(first.sequence));
        let mut by_job: BTreeMap<JobName, Vec<(&DocumentBatch, &EventDocument)>> = BTreeMap::new();
        for batch in batches {
            for event in &batch.events {
                let job = (event.cluster.clone(), event.job_id.clone());
                by_job.entry(job).or_default().push((batch, event));
            }
        }
        let mut text = Vec::new();
        for (name, processes) in by_job {
            if self.done.contains(&name) {
                continue;
            }
            self.clock += 1;
            if !self.open.contains_key(&name) {
                self.make_room()?;
                let job = self.open_job(&name, false)?;
                self.open.insert(own(&name), job);
            }
            let Some(job) = self.open.get_mut(&name) else { continue };
            job.last_used = self.clock;
            text.clear();
            let mut fresh = 0;
            for (batch, event) in processes {
                if repeats && job.written.contains(&document_key(event)) {
                    self.metrics.events_rewritten.add(1);
                    continue;
                }
                text.extend_from_slice(if job.is_empty && fresh == 0 { b"\n" } else { b",\n" });
                text.extend_from_slice(batch.document(event));
                fresh += 1;
            }
            if fresh == 0 {
                continue;
            }
            text.extend_from_slice(CLOSING);
            let at = job.length - CLOSING.len() as u64;
            if let Err(problem) = job.file.write_all_at(&text, at) {
                let closed = close_at(&job.file, at);
                return closed
                    .and(Err(problem))
                    .with_context(|| format!("cannot write {}", job.path.display()));
            }
            job.length = at + text.len() as u64;
            job.is_empty = false;
            job.is_dirty = true;
            self.metrics.events_written.add(fresh);
            self.done.insert(own(&name));
            if !repeats && !job.written.is_empty() {
                job.written = HashSet::new();
            }
        }
        self.done.clear();
        Ok(())
    }

    /// Flushes what was written since the last commit. Returns the lengths of those files.
    pub fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        let dirty = self.open.values().filter(|job| job.is_dirty).count() + self.closed.len();
        if self.fsync == FileSync::Never {
            // After a crash of the server alone, the lengths are enough.
        } else if dirty > SYNC_ONE_BY_ONE || !self.closed.is_empty() {
            let directory = File::open(&self.directory)
                .with_context(|| format!("cannot open {}", self.directory.display()))?;
            nix::unistd::syncfs(&directory)
                .with_context(|| format!("cannot synchronise {}", self.directory.display()))?;
        } else {
            for job in self.open.values().filter(|job| job.is_dirty) {
                job.file.sync_data().with_context(|| format!("cannot synchronise {}", job.path.display()))?;
            }
        }
        let mut lengths: Vec<(String, u64)> = std::mem::take(&mut self.closed).into_iter().collect();
        for job in self.open.values_mut().filter(|job| job.is_dirty) {
            job.is_dirty = false;
            lengths.push((job.name.clone(), job.length));
        }
        Ok(lengths)
    }

    /// Closes the least recently used files, an eighth of them.
    fn make_room(&mut self) -> Result<()> {
        if self.open.len() < self.open_max {
            return Ok(());
        }
        let mut uses: Vec<u64> = self.open.values().map(|job| job.last_used).collect();
        uses.sort_unstable();
        let until = uses.get(self.open_max / 8).copied().unwrap_or(u64::MAX);
        let closed = &mut self.closed;
        self.open.retain(|_, job| {
            let stays = job.last_used > until;
            if !stays && job.is_dirty {
                closed.insert(job.name.clone(), job.length);
            }
            stays
        });
        Ok(())
    }

    /// Opens the file of a job, or makes it; where its name is taken by another cluster's job, one
    /// with the cluster's name.
    fn open_job(&self, job: &JobName, with_cluster: bool) -> Result<JobFile> {
        let (cluster, job_id) = job;
        let stem = if with_cluster { file_stem_in(cluster, job_id) } else { file_stem(job_id) };
        let name = format!("{stem}.json");
        let path = self.directory.join(&name);
        let cannot = || format!("cannot write {}", path.display());
        let shown = if job_id.is_empty() { "".into() } else { job_name::of(job_id) };
        let mut opening = serde_json::to_vec(&*shown).with_context(cannot)?;
        opening.splice(..0, *b"{\"job_id\":");
        let any_cluster = opening.clone();
        if !cluster.is_empty() {
            opening.extend_from_slice(b",\"cluster\":");
            opening.extend(serde_json::to_vec(&*job_name::of_cluster(cluster)).with_context(cannot)?);
        }
        opening.extend_from_slice(b",\"processes\":[");
        let start = opening.len() as u64;

        let existing = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Some(file),
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => None,
            Err(problem) => return Err(problem).with_context(cannot),
        };
        let mut empty = opening.clone();
        empty.extend_from_slice(CLOSING);
        let Some(file) = existing else {
            // A file gets its final name when it is valid.
            let fresh = self.directory.join(format!(".{name}.new"));
            fs::write(&fresh, &empty).with_context(cannot)?;
            fs::rename(&fresh, &path).with_context(cannot)?;
            let file = OpenOptions::new().read(true).write(true).open(&path).with_context(cannot)?;
            return Ok(self.job(file, name, path, empty.len() as u64, true, HashSet::new()));
        };

        let there = file.metadata().with_context(cannot)?.len();
        let closing_at = |length: u64| length.checked_sub(CLOSING.len() as u64).filter(|at| *at >= start);
        let mut head = vec![0; opening.len()];
        let is_ours = file.read_exact_at(&mut head, 0).is_ok() && head == opening;
        if !is_ours && !with_cluster && is_of_another_cluster(&file, &any_cluster) {
            return self.open_job(job, true);
        }
        if !is_ours {
            // We do not change a file that we did not write.
            let aside = self.directory.join(format!("{name}.{}.foreign", crate::clock::now_ns()));
            warn!("{} is not a document of this job: it is renamed to {}", path.display(), aside.display());
            fs::rename(&path, &aside).with_context(cannot)?;
            return self.open_job(job, with_cluster);
        }
        let mut closing = [0; CLOSING.len()];
        let is_closed = closing_at(there)
            .is_some_and(|at| file.read_exact_at(&mut closing, at).is_ok() && closing == CLOSING);
        // The queue repeats what was written after the length that we remember, so it may be in the
        // file already.
        let remembered = self.memory.length(&name)?.filter(|length| *length <= there).and_then(closing_at);
        let replaying = self.memory.may_repeat(self.memory.queue.offset(&self.memory.name));
        if is_closed && !replaying {
            return Ok(self.job(file, name, path, there, there <= empty.len() as u64, HashSet::new()));
        }
        // If neither a separator nor the closing bytes stand there, the file is not the one that we
        // remember.
        let byte_at = |at: u64| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).ok().map(|()| byte[0])
        };
        let begin = remembered.filter(|at| matches!(byte_at(*at), Some(b',' | b'\n'))).unwrap_or(start);
        let separator = if byte_at(begin) == Some(b',') { 2 } else { 1 };
        let back = read_back(&file, &path, begin + separator)?;
        if is_closed {
            let job = self.job(file, name, path, there, there <= empty.len() as u64, back.keys);
            // Nobody has synchronised what is behind the remembered length, and nothing is written
            // there again.
            return Ok(JobFile { is_dirty: true, ..job });
        }
        let good = if back.keys.is_empty() { begin } else { self.without_separator(&file, back.good_until) };
        warn!("{} was cut off by a crash: the missing documents come again from the queue", path.display());
        close_at(&file, good).with_context(cannot)?;
        let job = self.job(file, name, path, good + CLOSING.len() as u64, good == start, back.keys);
        Ok(JobFile { is_dirty: true, ..job })
    }

    /// The end of the last document, if `until` stands after the end of its line.
    fn without_separator(&self, file: &File, until: u64) -> u64 {
        let mut two = [0; 2];
        match file.read_exact_at(&mut two, until - 2) {
            Ok(()) if two == *b",\n" => until - 2,
            _ => until - 1,
        }
    }

    fn job(
        &self,
        file: File,
        name: String,
        path: PathBuf,
        length: u64,
        is_empty: bool,
        written: HashSet<DocumentKey>,
    ) -> JobFile {
        JobFile { file, name, path, length, is_empty, is_dirty: false, last_used: self.clock, written }
    }
}

/// Tells whether a document of the same job id, and of another cluster, begins so.
fn is_of_another_cluster(file: &File, any_cluster: &[u8]) -> bool {
    let mut head = vec![0; any_cluster.len()];
    let mut behind = [0; 11];
    let is_job = file.read_exact_at(&mut head, 0).is_ok() && head == any_cluster;
    let reads = is_job && file.read_exact_at(&mut behind, any_cluster.len() as u64).is_ok();
    reads && (&behind == b",\"cluster\":" || behind.starts_with(b",\"processe"))
}

/// The same name with memory of its own: that of an event shares its batch's, which a key in a map
/// must not keep alive.
fn own((cluster, job_id): &JobName) -> JobName {
    (Bytes::copy_from_slice(cluster), Bytes::copy_from_slice(job_id))
}

/// Ends the document at this offset. The closing bytes are written before the file is cut, because
/// another program may take the room that the cut frees.
fn close_at(file: &File, at: u64) -> std::io::Result<()> {
    file.write_all_at(CLOSING, at)?;
    file.set_len(at + CLOSING.len() as u64)
}
