//! The one embedded database, and what is in it. Why fjall: docs/decisions/0001-storage-engine.md.
//!
//! All keyspaces share one journal, so a write that survives a crash implies every write before it. That order
//! is what the stages lean on: a consumer's offset never says more than what the queue and the held events say.

use anyhow::{Context, Result};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode,
    config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, PartitioningPolicy},
};
use std::path::Path;

/// Each keyspace with its role; keys that are numbers are big-endian, so that they sort.
///
/// Some have older names on disk, which stay, so that databases that exist can be opened: `offsets`
/// is "places", `delivered` "seen_0" and "seen_1", `skipped` "held_marks", and `programs`
/// "images".
pub struct Store {
    database: Database,
    /// Sequence number (u64) -> batch of entries: the durable queue.
    pub queue: Keyspace,
    /// Sequence number -> indexes (u32 each) of the batch's entries that were left out or held back.
    pub skipped: Keyspace,
    /// Sequence number, index -> an entry that waits for its record or its other parts.
    pub held: Keyspace,
    /// Output's name -> next sequence number; `name NUL file` -> what the output remembers of a file.
    pub offsets: Keyspace,
    /// Event, kind and part -> nothing: what acknowledging streams delivered, in two generations.
    pub delivered: [Keyspace; 2],
    /// Signature -> the build's number, and the little of its record that is joined.
    pub builds: Keyspace,
    /// Number of a build -> when it was registered, and the whole record.
    pub records: Keyspace,
    /// Time of the link in nanoseconds, number -> nothing.
    pub builds_by_time: Keyspace,
    /// What package managers installed, and where it is found by: see `registry::installations`.
    pub installations: Keyspace,
    /// Number, time, digest -> a further build of a reproducible signature.
    pub made_again: Keyspace,
    /// Runs of terms, each with the numbers of the builds that are found by it: server/src/registry/embedded/index.rs.
    pub terms: Keyspace,
    /// Number -> numbers of the builds that it was linked into.
    pub linked: Keyspace,
    /// Term of an input behind which there was no build when it was registered -> nothing.
    pub unresolved: Keyspace,
    /// Blocks of 64 numbers -> their signatures.
    pub catalog: Keyspace,
    /// Blocks of 4096 numbers -> a bit for each that was linked into another.
    pub libraries: Keyspace,
    /// Ticket -> when it was received, and a record that waits for the registry's own database.
    pub waiting: Keyspace,
    /// Signature -> the ticket of its record, while that waits.
    pub waiting_of: Keyspace,
    /// Digest of a program -> its number.
    pub program_numbers: Keyspace,
    /// Number of a program -> what it is.
    pub programs: Keyspace,
    /// Signature, number of a program that has it -> one byte: is it its executable's?
    pub programs_with: Keyspace,
    /// Counts that are not yet in `uses`: server/src/uses/pending_tallies.rs.
    pub tallies: Keyspace,
    /// Who ran a program, where, in which job: server/src/uses/rows.rs.
    pub uses: Keyspace,
    /// Job, sequence number -> compressed entries of that job.
    pub jobs: Keyspace,
    /// Sequence number -> which jobs it touched, when, and how many bytes they took.
    pub job_log: Keyspace,
    /// Single numbers: see the rooms that own them.
    pub totals: Keyspace,
}

/// The registry's first format; server/src/registry/embedded/migrate.rs takes it over.
pub struct FirstFormat {
    /// Signature -> record.
    pub records: Keyspace,
    others: [Keyspace; 2],
}

/// Its number.
pub const FIRST_FORMAT: u64 = 1;

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
                // It is gone in seconds; what is compressed once is compressed for the tables.
                .journal_compression(CompressionType::None)
                .worker_threads(1)
                .open()?;
            // What finds a block is in pieces that are read when they are needed; whole, it would be kept in memory
            // for as long as the table lies where it was written, and a registry's tables do.
            let plain = |memtable: u64| {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(memtable)
                    .index_block_partitioning_policy(PartitioningPolicy::all(true))
                    .filter_block_partitioning_policy(PartitioningPolicy::all(true))
            };
            // Batches and jobs come compressed already.
            let packed = |memtable: u64| {
                plain(memtable).data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            };
            // Walked, never asked for one key: a filter would only take room.
            let lists = |memtable: u64| plain(memtable).filter_policy(FilterPolicy::disabled());
            let small = || plain(4 << 20);
            Ok(Store {
                queue: database.keyspace("queue", || packed(8 << 20))?,
                skipped: database.keyspace("held_marks", small)?,
                held: database.keyspace("held", small)?,
                offsets: database.keyspace("places", small)?,
                delivered: [database.keyspace("seen_0", small)?, database.keyspace("seen_1", small)?],
                installations: database.keyspace("installations", small)?,
                builds: database.keyspace("build_of", || plain(4 << 20).expect_point_read_hits(false))?,
                // Records of one package lie together and share much text.
                records: database.keyspace("record_of", || {
                    lists(16 << 20)
                        .data_block_size_policy(BlockSizePolicy::all(32 << 10))
                        // They are never written anew at a deeper level, so the first one has to compress them.
                        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                })?,
                builds_by_time: database.keyspace("build_times", || lists(4 << 20))?,
                made_again: database.keyspace("made_again", small)?,
                terms: database
                    .keyspace("terms", || packed(8 << 20).filter_policy(FilterPolicy::disabled()))?,
                linked: database.keyspace("linked", || lists(4 << 20))?,
                unresolved: database.keyspace("unresolved", small)?,
                catalog: database.keyspace("catalog", small)?,
                libraries: database.keyspace("libraries", small)?,
                waiting: database.keyspace("registrations_waiting", small)?,
                waiting_of: database.keyspace("registrations_waiting_of", small)?,
                program_numbers: database.keyspace("image_numbers", small)?,
                programs: database.keyspace("images", small)?,
                programs_with: database.keyspace("images_with", || lists(4 << 20))?,
                tallies: database.keyspace("tallies", || packed(4 << 20))?,
                uses: database.keyspace("uses", || plain(8 << 20))?,
                jobs: database.keyspace("jobs", || packed(4 << 20))?,
                job_log: database.keyspace("job_log", small)?,
                totals: database.keyspace("totals", small)?,
                database,
            })
        };
        open().with_context(|| {
            format!("cannot open the database {} (is another ogrt-server using it?)", path.display())
        })
    }

    /// What a server of the first format left of its registry.
    pub fn first_format(&self) -> fjall::Result<Option<FirstFormat>> {
        if !self.database.keyspace_exists("records") {
            return Ok(None);
        }
        let open = |name| self.database.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Some(FirstFormat {
            records: open("records")?,
            others: [open("builds")?, open("builds_by_time")?],
        }))
    }

    /// Removes it.
    pub fn remove_first_format(&self, first: FirstFormat) -> fjall::Result<()> {
        let [builds, times] = first.others;
        // The records last: they are what tells that it is there.
        [builds, times, first.records].into_iter().try_for_each(|gone| self.database.delete_keyspace(gone))
    }

    /// Removes the lists of terms that servers of the second format kept.
    pub fn remove_second_format(&self) -> fjall::Result<()> {
        if self.database.keyspace_exists("found_by") {
            let lists = self.database.keyspace("found_by", KeyspaceCreateOptions::default)?;
            self.database.delete_keyspace(lists)?;
        }
        Ok(())
    }

    /// All of one moment.
    pub fn snapshot(&self) -> fjall::Snapshot {
        self.database.snapshot()
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
