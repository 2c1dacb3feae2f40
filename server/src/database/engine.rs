//! The engine, fjall, and what is done when it fails.
//!
//! After a failed write fjall takes none until it is opened again, and whether the failed one is on
//! disk is not known. So it is closed and opened again here, under all that stands on it, when
//! there is room, and the write is made once more. Writes set and remove keys, whatever was there
//! before, so made twice they leave the same. Whoever commits notices nothing but the time. Reads
//! go on meanwhile, but for the moment of opening.
//!
//! fjall also waits in a commit for its own thread, for ever where that thread has ended. So here
//! nobody commits while much waits for that thread (`Engine::wait_for_flushes`).
//! `server/tests/server/crash.rs` fills the disk under it, and the model of `server/src/run/model/`
//! breaks it under all stages.

use super::condition::{Cause, Condition};
use fjall::{CompressionType, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::{error, info};

/// Free space without which a failed engine is not opened again. It writes what it has in memory.
const ROOM_TO_OPEN: u64 = 48 << 20;

/// The time between two attempts to open it.
const MEND_EVERY: Duration = Duration::from_millis(200);

/// Memtables of one table that wait for their way to the disk, and runs that wait to be merged.
/// fjall itself halts at 4 and 30.
const SEALED_MAX: usize = 3;
const RUNS_MAX: usize = 24;

/// The longest that a commit waits for them. It is much longer than the largest merge takes.
const FLUSHED_WITHIN: Duration = Duration::from_secs(120);

/// A table's name and its options.
pub type TableSpec = (&'static str, KeyspaceCreateOptions);

/// See the module.
pub struct Engine {
    path: PathBuf,
    specs: fn() -> Vec<TableSpec>,
    names: Vec<&'static str>,
    opened: RwLock<Option<Opened>>,
    mending: Mutex<()>,
    condition: Arc<Condition>,
    gave_up: AtomicBool,
}

/// fjall, from one opening to the next.
pub struct Opened {
    pub database: fjall::Database,
    /// The tables, in the order of the specifications.
    pub tables: Vec<Keyspace>,
    /// The number of this opening.
    pub number: u64,
}

impl Engine {
    /// Opens the engine in a directory, with these tables.
    pub fn open(path: &Path, specs: fn() -> Vec<TableSpec>) -> fjall::Result<Arc<Engine>> {
        let opened = Opened::open(path, &specs(), 0)?;
        Ok(Arc::new(Engine {
            path: path.to_owned(),
            specs,
            names: specs().iter().map(|(name, _)| *name).collect(),
            opened: RwLock::new(Some(opened)),
            mending: Mutex::default(),
            condition: Arc::default(),
            gave_up: AtomicBool::new(false),
        }))
    }

    /// What the store can take.
    pub fn condition(&self) -> &Arc<Condition> {
        &self.condition
    }

    /// The names of the tables, in the order of the specifications.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has every commit fail that waits now or would wait later.
    pub fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// Reads from the engine, once it is open.
    pub fn read<T>(&self, reads: impl FnOnce(&Opened) -> T) -> T {
        loop {
            if let Some(opened) = &*self.lock() {
                return reads(opened);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Writes to the engine: where that fails, once more after the engine was opened again. The
    /// write must leave the same when it is made twice.
    pub fn write<T>(&self, writes: impl Fn(&Opened) -> fjall::Result<T>) -> fjall::Result<T> {
        loop {
            let (number, outcome) = self.read(|opened| (opened.number, writes(opened)));
            match outcome {
                Ok(done) => return Ok(done),
                Err(cause) => self.mend(number, cause)?,
            }
        }
    }

    /// Mends the engine where it has failed by itself, in a merge, with nobody writing.
    pub fn mend_if_broken(&self) {
        // An error means that the server stops.
        let _ = self.write(Opened::fail_if_broken);
    }

    /// Waits until the growth of the store is permitted again.
    pub fn wait_for_room(&self) -> fjall::Result<()> {
        while self.condition.is_stopped() {
            self.fail_if_given_up()?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What is open now; while this is held, it stays so.
    pub fn lock(&self) -> RwLockReadGuard<'_, Option<Opened>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail_if_given_up(&self) -> fjall::Result<()> {
        match self.gave_up.load(Ordering::Relaxed) {
            true => Err(fjall::Error::Io(std::io::Error::other("the server stops"))),
            false => Ok(()),
        }
    }

    /// Opens the engine again after opening `number` of it failed. Others wait meanwhile.
    fn mend(&self, number: u64, cause: fjall::Error) -> fjall::Result<()> {
        let _one = self.mending.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().as_ref().is_some_and(|opened| opened.number != number) {
            return Ok(());
        }
        let mut number = number;
        let mut why = format!("the database cannot be written: {cause}");
        let since = Instant::now();
        error!("{why}. No events are taken until it is opened again and there is room");
        loop {
            self.condition.set(Cause::Broken, Some(why.clone()));
            while free_space(&self.path).is_some_and(|free| free < ROOM_TO_OPEN) {
                self.fail_if_given_up()?;
                thread::sleep(MEND_EVERY);
            }
            self.fail_if_given_up()?;
            match self.open_again(number + 1) {
                Ok(()) => {
                    info!("the database is open again after {:?}", since.elapsed());
                    self.condition.set(Cause::Broken, None);
                    return Ok(());
                }
                Err(cause) => why = format!("the database cannot be opened again: {cause}"),
            }
            number += 1;
            thread::sleep(MEND_EVERY);
        }
    }

    fn open_again(&self, number: u64) -> fjall::Result<()> {
        {
            let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
            // Its lock is free when nobody has anything of it any more.
            drop(opened.take());
            *opened = Some(Opened::open(&self.path, &(self.specs)(), number)?);
        }
        // What it has read from its journal goes to files that are synchronised, for a failed
        // synchronisation tells nothing about what was written before.
        self.read(Opened::flush)
    }
}

impl Opened {
    fn open(path: &Path, specs: &[TableSpec], number: u64) -> fjall::Result<Opened> {
        // A small disk has small journals.
        let journals = disk_size(path).map_or(256 << 20, |size| (size / 8).clamp(64 << 20, 256 << 20));
        let database = fjall::Database::builder(path)
            .cache_size(16 << 20)
            .max_cached_files(Some(128))
            .max_journaling_size(journals)
            // It is gone in seconds; what is compressed once is compressed for the tables.
            .journal_compression(CompressionType::None)
            .worker_threads(1)
            .open()?;
        let tables = specs.iter().map(|(name, options)| database.keyspace(name, || options.clone()));
        let tables = tables.collect::<fjall::Result<_>>()?;
        Ok(Opened { database, tables, number })
    }

    /// Waits while so much of a table waits for fjall's thread that a commit might wait for it.
    pub fn wait_for_flushes(&self, table: &Keyspace) -> fjall::Result<()> {
        let since = Instant::now();
        while table.sealed_memtable_count() >= SEALED_MAX || table.l0_table_count() >= RUNS_MAX {
            self.fail_if_broken()?;
            if since.elapsed() > FLUSHED_WITHIN {
                return Err(fjall::Error::Poisoned);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Moves what is in memory to synchronised files, and waits for it. Journals that nothing needs
    /// any more are removed with that.
    pub fn flush(&self) -> fjall::Result<()> {
        for table in &self.tables {
            self.wait_for_flushes(table)?;
            table.rotate_memtable()?;
        }
        let since = Instant::now();
        while self.tables.iter().any(|table| table.sealed_memtable_count() > 0) {
            self.fail_if_broken()?;
            if since.elapsed() > FLUSHED_WITHIN {
                return Err(fjall::Error::Poisoned);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn fail_if_broken(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::Buffer)
    }
}

/// Free space of the disk that a path is on, for who is not root.
pub fn free_space(path: &Path) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(path).ok()?;
    Some(disk.blocks_available() * disk.fragment_size())
}

fn disk_size(path: &Path) -> Option<u64> {
    let disk = path.ancestors().find_map(|path| nix::sys::statvfs::statvfs(path).ok())?;
    Some(disk.blocks() * disk.fragment_size())
}
