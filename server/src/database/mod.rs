//! The one embedded database, and who has what in it. Why fjall:
//! docs/decisions/0001-storage-engine.md.
//!
//! All tables share one journal, so a write that survives a crash implies every write before it.
//! That order is what the stages lean on: a consumer's offset never says more than what the queue
//! and the held events say. Each room is given its own tables ([`rooms`]), and can write only to
//! those.

mod rooms;
mod tables;

pub use rooms::{
    HeldStore, InstallationStore, JobsStore, JoinStore, QueueStore, RegistryStore, UsesStore, WaitingStore,
};
#[cfg(test)]
pub use tables::faults;
pub use tables::{Database, Snapshot, Table, Total, Writes, number};

use anyhow::{Context, Result};
use fjall::{
    CompressionType, KeyspaceCreateOptions,
    config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, PartitioningPolicy},
};
use std::path::Path;

/// The number of the registry's first format.
pub const FIRST_FORMAT: u64 = 1;

/// The database; each room takes its own part of it.
pub struct Store {
    queue: QueueStore,
    held: HeldStore,
    join: JoinStore,
    registry: RegistryStore,
    waiting: WaitingStore,
    installations: InstallationStore,
    uses: UsesStore,
    jobs: JobsStore,
}

impl Store {
    /// Opens the database in `directory`, or makes it.
    pub fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the data directory {}", directory.display()))?;
        let path = directory.join("store");
        Store::open_tables(&path).with_context(|| {
            format!("cannot open the database {} (is another ogrt-server using it?)", path.display())
        })
    }

    /// Names that stand here are on disk, and stay as they are.
    fn open_tables(path: &Path) -> fjall::Result<Store> {
        let database = Database {
            inner: fjall::Database::builder(path)
                .cache_size(16 << 20)
                .max_cached_files(Some(128))
                .max_journaling_size(256 << 20)
                // It is gone in seconds; what is compressed once is compressed for the tables.
                .journal_compression(CompressionType::None)
                .worker_threads(1)
                .open()?,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        // What finds a block is in pieces that are read when they are needed; whole, it would be
        // kept in memory for as long as the table lies where it was written, and a registry's
        // tables do.
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
        let table =
            |name: &str, options: KeyspaceCreateOptions| database.inner.keyspace(name, || options).map(Table);
        let totals = table("totals", small())?;
        let total = |name| Total { table: totals.clone(), name };
        Ok(Store {
            queue: QueueStore {
                database: database.clone(),
                batches: table("queue", packed(8 << 20))?,
                offsets: table("places", small())?,
                delivered: [table("seen_0", small())?, table("seen_1", small())?],
                delivered_young: total("seen young"),
                delivered_count: total("seen count"),
            },
            held: HeldStore {
                database: database.clone(),
                skipped: table("held_marks", small())?,
                held: table("held", small())?,
            },
            join: JoinStore { decided_until: total("sifted") },
            registry: RegistryStore {
                database: database.clone(),
                builds: table("build_of", plain(4 << 20).expect_point_read_hits(false))?,
                // Records of one package lie together and share much text.
                records: table(
                    "record_of",
                    lists(16 << 20)
                        .data_block_size_policy(BlockSizePolicy::all(32 << 10))
                        // They are never written anew at a deeper level, so the first one has to
                        // compress them.
                        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
                )?,
                builds_by_time: table("build_times", lists(4 << 20))?,
                made_again: table("made_again", small())?,
                terms: table("terms", packed(8 << 20).filter_policy(FilterPolicy::disabled()))?,
                linked: table("linked", lists(4 << 20))?,
                unresolved: table("unresolved", small())?,
                catalog: table("catalog", small())?,
                libraries: table("libraries", small())?,
                format: total("format"),
                count: total("builds"),
            },
            waiting: WaitingStore {
                database: database.clone(),
                waiting: table("registrations_waiting", small())?,
                waiting_of: table("registrations_waiting_of", small())?,
                server_number: total("server"),
            },
            installations: InstallationStore {
                database: database.clone(),
                installations: table("installations", small())?,
            },
            uses: UsesStore {
                database: database.clone(),
                program_numbers: table("image_numbers", small())?,
                programs: table("images", small())?,
                programs_with: table("images_with", lists(4 << 20))?,
                objects: table("objects", small())?,
                object_index: table("object_index", small())?,
                programs_with_object: table("programs_with_object", lists(4 << 20))?,
                tallies: table("use_tallies", packed(4 << 20))?,
                rows: table("use_rows", plain(8 << 20))?,
                old_tallies: table("tallies", packed(4 << 20))?,
                old_rows: table("uses", small())?,
                program_count: total("images"),
                next_program: total("next image"),
                row_count: total("rows of uses"),
                object_count: total("objects"),
                next_object: total("next object"),
                objects_dropped: total("objects dropped"),
            },
            jobs: JobsStore {
                values: table("jobs", packed(4 << 20))?,
                log: table("job_log", small())?,
                senders: table("job_senders", small())?,
                bytes: total("jobs bytes"),
                database,
            },
        })
    }

    /// The tables of the queue.
    pub fn queue(&self) -> QueueStore {
        self.queue.clone()
    }

    /// The tables of what the join has set aside.
    pub fn held(&self) -> HeldStore {
        self.held.clone()
    }

    /// The figures of the join.
    pub fn join(&self) -> JoinStore {
        self.join.clone()
    }

    /// The tables of the embedded registry.
    pub fn registry(&self) -> RegistryStore {
        self.registry.clone()
    }

    /// The tables of registrations that wait for the registry's own database.
    pub fn waiting(&self) -> WaitingStore {
        self.waiting.clone()
    }

    /// The tables of installations.
    pub fn installations(&self) -> InstallationStore {
        self.installations.clone()
    }

    /// The tables of uses.
    pub fn uses(&self) -> UsesStore {
        self.uses.clone()
    }

    /// The tables of jobs.
    pub fn jobs(&self) -> JobsStore {
        self.jobs.clone()
    }

    /// Lets a test have commits fail.
    #[cfg(test)]
    pub fn faults(&self) -> &faults::Faults {
        &self.queue.database.faults
    }
}
