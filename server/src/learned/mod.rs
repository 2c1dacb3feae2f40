//! Learned files: what programs and libraries are that nobody registered.
//!
//! `ogrt learn` tells the server which package each file of a machine is from ([`file`]). An entry
//! is a build-id, a path or both, with the names of its package. It stays when the package is
//! removed, so what ran before keeps its name; the same path with another build-id is another
//! entry.
//!
//! The entries lie in the server's own database ([`table`]). Where the registry is PostgreSQL, all
//! servers of the site share them there, and each follows them into its own ([`shared`]): so a name
//! is found without a question to another machine. [`names`] says what a file is called.
//!
//! What has no name may resemble a file that does: `ogrt learn` sends sketches too ([`sketches`],
//! [`resemblance`]). Such an answer is never a name, and nothing is counted by it.

mod file;
mod named_file;
mod names;
mod resemblance;
mod shared;
mod sketches;
mod table;

pub use file::{LearnedFile, read_batch, read_sketch};
pub use named_file::NamedFile;
pub use names::{SoftwareName, SoftwareNames};
pub use resemblance::Resemblance;
pub use table::{FileFilter, FilePage};

use crate::{
    config::{RegistryBackend, RegistryConfig},
    database::LearnedStore,
    registry::RegistryError,
};
use anyhow::Result;
use ogrt_sketch::Sketch;
use serde::Serialize;
use shared::SharedFiles;
use sketches::SketchTable;
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::FileTable;
use tracing::debug;

/// Most entries: 2 GB of disk. A node image has some ten thousand files that count.
const FILES_MAX: u64 = 10_000_000;

/// See the module.
pub struct LearnedFiles {
    table: FileTable,
    sketches: SketchTable,
    shared: Option<SharedFiles>,
    /// Held while entries are written.
    writing: Mutex<()>,
}

/// How many files of a batch there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// Files that were not known.
    new: usize,
    /// Files that had other names.
    changed: usize,
    /// Files that had the same names.
    known: usize,
    /// Sketches that were not known.
    sketches: usize,
}

/// Why files cannot be learned.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    #[error(transparent)]
    Store(#[from] RegistryError),
    #[error("the server knows {FILES_MAX} learned files, which is all that it keeps")]
    Full,
}

impl LearnedFiles {
    /// Opens what is kept.
    pub fn open(config: &RegistryConfig, store: LearnedStore) -> Result<Self> {
        let shared = match config.backend {
            RegistryBackend::Embedded => None,
            RegistryBackend::Postgres => Some(SharedFiles::new(config)?),
        };
        let sketches = SketchTable { store: store.clone() };
        Ok(LearnedFiles { table: FileTable { store }, sketches, shared, writing: Mutex::new(()) })
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns these files, durable when this returns.
    pub fn learn(&self, files: Vec<LearnedFile>) -> Result<Learned, LearnError> {
        let _writing = self.writing();
        if let Some(shared) = &self.shared {
            shared.follow(&self.table)?;
        }
        let (mut learned, mut writes) = (Learned::default(), Vec::new());
        for file in files {
            let brings_sketch = self.sketches.is_new(&file)?;
            learned.sketches += usize::from(brings_sketch);
            match self.table.get(&file.key())? {
                None => learned.new += 1,
                Some(known) if known == file.names => {
                    learned.known += 1;
                    if !brings_sketch {
                        continue;
                    }
                }
                Some(_) => learned.changed += 1,
            }
            writes.push(file);
        }
        if self.table.count()? + learned.new as u64 > FILES_MAX {
            return Err(LearnError::Full);
        }
        match &self.shared {
            Some(shared) => {
                shared.write(writes)?;
                shared.follow(&self.table)?;
            }
            None => self.table.put(&writes, None)?,
        }
        Ok(learned)
    }

    /// Takes over what other servers of the site have learned. Where their database is away, what
    /// is known here is the answer.
    pub fn catch_up(&self) {
        let Some(shared) = &self.shared else { return };
        let _writing = self.writing();
        if let Err(problem) = shared.follow(&self.table) {
            debug!("learned files of other servers cannot be read: {problem}");
        }
    }

    /// Keeps sketches of programs that ran, durable when this returns. Returns how many are new.
    pub fn observe(&self, programs: &[(Vec<u8>, Sketch)]) -> Result<usize, RegistryError> {
        let _writing = self.writing();
        self.sketches.observe(programs)
    }

    /// A page of the files that fit.
    pub fn list(&self, filter: &FileFilter) -> Result<FilePage, RegistryError> {
        self.catch_up();
        self.table.list(filter)
    }
}
