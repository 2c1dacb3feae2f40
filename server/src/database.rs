//! The one embedded database, and what is in it. Why fjall: docs/decisions/0001-storage-engine.md.
//!
//! All keyspaces share one journal, so a write that survives a crash implies every write before it. That order
//! is what the stages lean on: an output's place never says more than what the queue and the held events say.

use anyhow::{Context, Result};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, config::CompressionPolicy,
};
use std::path::Path;

/// Each keyspace with its role; keys that are numbers are big-endian, so that they sort.
pub struct Store {
    database: Database,
    /// Sequence number (u64) -> batch of entries: the durable queue.
    pub queue: Keyspace,
    /// Sequence number -> indexes (u32 each) of the batch's entries that were held back.
    pub held_marks: Keyspace,
    /// Sequence number, index -> an entry that waits for its record or its other parts.
    pub held: Keyspace,
    /// Output's name -> next sequence number; `name NUL file` -> what the output remembers of a file.
    pub places: Keyspace,
    /// Event, kind and part -> nothing: what acknowledging streams delivered, in two generations.
    pub seen: [Keyspace; 2],
    /// Signature -> the little of a build record that is joined.
    pub builds: Keyspace,
    /// Signature -> the whole build record.
    pub records: Keyspace,
    /// Time of the link in nanoseconds, signature -> nothing.
    pub builds_by_time: Keyspace,
    /// What package managers installed, and where it is found by: see `registry::installations`.
    pub installations: Keyspace,
    /// Job, sequence number -> compressed entries of that job.
    pub jobs: Keyspace,
    /// Sequence number -> which jobs it touched, when, and how many bytes they took.
    pub job_log: Keyspace,
    /// Single numbers: see the rooms that own them.
    pub totals: Keyspace,
}

impl Store {
    /// Opens the database in `directory`, or makes it.
    pub fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the data directory {}", directory.display()))?;
        let path = directory.join("store");
        let open = || -> fjall::Result<Store> {
            let database = Database::builder(&path)
                .cache_size(16 << 20)
                .max_cached_files(Some(128))
                .max_journaling_size(256 << 20)
                .worker_threads(1)
                .open()?;
            let plain = |memtable: u64| KeyspaceCreateOptions::default().max_memtable_size(memtable);
            // Batches and jobs come compressed already.
            let packed = |memtable: u64| {
                plain(memtable).data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            };
            let small = || plain(4 << 20);
            Ok(Store {
                queue: database.keyspace("queue", || packed(16 << 20))?,
                held_marks: database.keyspace("held_marks", small)?,
                held: database.keyspace("held", small)?,
                places: database.keyspace("places", small)?,
                seen: [database.keyspace("seen_0", small)?, database.keyspace("seen_1", small)?],
                builds: database.keyspace("builds", || plain(8 << 20).expect_point_read_hits(false))?,
                records: database.keyspace("records", || plain(8 << 20))?,
                builds_by_time: database.keyspace("builds_by_time", small)?,
                installations: database.keyspace("installations", small)?,
                jobs: database.keyspace("jobs", || packed(8 << 20))?,
                job_log: database.keyspace("job_log", small)?,
                totals: database.keyspace("totals", small)?,
                database,
            })
        };
        open().with_context(|| {
            format!("cannot open the database {} (is another ogrt-server using it?)", path.display())
        })
    }

    /// Writes that take effect together.
    pub fn batch(&self) -> fjall::OwnedWriteBatch {
        self.database.batch()
    }

    /// Everything written so far survives power loss when this returns.
    pub fn sync(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncData)
    }

    /// A number of `totals`; zero when it was never written.
    pub fn total(&self, name: &str) -> fjall::Result<u64> {
        Ok(self.totals.get(name)?.map_or(0, |value| number(&value)))
    }
}

/// The number in the first eight bytes, big-endian; short values read as if padded with zeros.
pub fn number(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let len = bytes.len().min(8);
    eight[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(eight)
}
