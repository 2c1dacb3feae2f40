//! The one embedded database, and who has what in it. Why fjall:
//! docs/decisions/0001-storage-engine.md.
//!
//! All tables share one journal, so a write that survives a crash implies every write before it.
//! That order is what the stages lean on: a consumer's offset never says more than what the queue
//! and the held events say. Each room is given its own tables ([`rooms`]), and can write only to
//! those.

mod condition;
mod copy;
mod disk;
mod engine;
mod reading;
mod rooms;
mod shared_tables;
mod tables;

pub use condition::{Cause, Condition};
pub use engine::free_space;
pub use reading::TableIter;
pub use rooms::{
    FollowStore, HeldStore, InstallationStore, JobsStore, JoinStore, LearnedStore, LedgerStore, QueueStore,
    RegistryStore, SumsStore, UsesStore, WaitingStore,
};
#[cfg(test)]
pub use tables::faults;
pub use tables::{Database, Snapshot, Table, Total, Writes, number};

use anyhow::{Context, Result};
use engine::{Engine, TableSpec};
use fjall::{
    CompressionType, KeyspaceCreateOptions,
    config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, PartitioningPolicy},
};
use std::{collections::HashMap, path::Path, sync::Arc};

/// The number of the registry's first format.
pub const FIRST_FORMAT: u64 = 1;

/// Name of the database in the data directory.
const FOLDER: &str = "store";

/// The database; each room takes its own part of it.
pub struct Store {
    queue: QueueStore,
    held: HeldStore,
    follow: FollowStore,
    join: JoinStore,
    registry: RegistryStore,
    waiting: WaitingStore,
    learned: LearnedStore,
    uses: UsesStore,
    jobs: JobsStore,
    ledger: LedgerStore,
}

/// The tables, with names that are on disk and stay as they are.
fn tables() -> Vec<TableSpec> {
    // What finds a block is in pieces that are read when they are needed; whole, it would be kept
    // in memory for as long as the table lies where it was written, and a registry's tables do.
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
    // A short key without a value takes many times its bytes in memory.
    let short = |options: KeyspaceCreateOptions| options.max_memtable_size(2 << 20);
    vec![
        ("totals", small()),
        ("queue", packed(4 << 20)),
        ("places", small()),
        ("imported", small()),
        ("seen_0", short(small())),
        ("seen_1", short(small())),
        ("held_marks", small()),
        ("held", small()),
        ("followed", small()),
        ("build_of", plain(4 << 20).expect_point_read_hits(false)),
        // Records of one package lie together and share much text.
        (
            "record_of",
            lists(8 << 20)
                .data_block_size_policy(BlockSizePolicy::all(32 << 10))
                // They are never written anew at a deeper level, so the first one has to compress
                // them.
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
        ),
        ("build_times", short(lists(4 << 20))),
        ("made_again", small()),
        ("terms", packed(4 << 20).filter_policy(FilterPolicy::disabled())),
        ("linked", short(lists(4 << 20))),
        ("unresolved", small()),
        ("withdrawn", small()),
        ("catalog", small()),
        ("libraries", small()),
        ("registrations_waiting", small()),
        ("registrations_waiting_of", small()),
        ("installations", small()),
        ("learned", small()),
        ("sketches", packed(4 << 20)),
        ("sketch_index", short(lists(4 << 20))),
        ("image_numbers", small()),
        ("program_starts", small()),
        ("images", small()),
        ("images_with", short(lists(4 << 20))),
        ("objects", small()),
        ("object_index", small()),
        ("programs_with_object", short(lists(4 << 20))),
        ("use_tallies", packed(4 << 20)),
        ("use_rows", plain(4 << 20)),
        ("use_senders", small()),
        ("sum_tallies", packed(4 << 20)),
        ("sums", plain(4 << 20)),
        ("sum_months", plain(4 << 20)),
        ("sum_hosts", plain(4 << 20)),
        ("sum_host_months", plain(4 << 20)),
        ("sum_digests", small()),
        ("sum_limited", small()),
        ("sum_programs", small()),
        ("sum_jobs", plain(4 << 20)),
        ("job_list", plain(4 << 20)),
        ("tallies", packed(4 << 20)),
        ("uses", small()),
        ("jobs", packed(4 << 20)),
        ("job_log", small()),
        ("job_senders", small()),
    ]
}

impl Store {
    /// Tells that there is a database in `directory`.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(FOLDER).is_dir()
    }

    /// Opens the database in `directory`, or makes it.
    pub fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the data directory {}", directory.display()))?;
        let path = directory.join(FOLDER);
        let engine = Engine::open(&path, tables).with_context(|| {
            format!("cannot open the database {} (is another ogrt-server using it?)", path.display())
        })?;
        Store::of(engine)
    }

    fn of(engine: Arc<Engine>) -> Result<Store> {
        let database = Database {
            engine: engine.clone(),
            waits_for_room: false,
            shared: None,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        let names: HashMap<&str, usize> =
            tables().into_iter().enumerate().map(|(index, (name, _))| (name, index)).collect();
        let table = |name: &str| -> Result<Table> {
            let index = names.get(name).copied();
            Ok(Table {
                engine: engine.clone(),
                index: index.with_context(|| format!("there is no table {name}"))?,
            })
        };
        let totals = table("totals")?;
        let total = |name| Total { table: totals.clone(), name };
        let installations = || -> Result<InstallationStore> {
            Ok(InstallationStore { database: database.clone(), installations: table("installations")? })
        };
        Ok(Store {
            queue: QueueStore {
                database: database.clone(),
                batches: table("queue")?,
                offsets: table("places")?,
                delivered: [table("seen_0")?, table("seen_1")?],
                imported: table("imported")?,
                delivered_young: total("seen young"),
                delivered_count: total("seen count"),
            },
            held: HeldStore {
                database: database.clone(),
                skipped: table("held_marks")?,
                held: table("held")?,
            },
            follow: FollowStore {
                open: table("followed")?,
                alive_until: total("followed until"),
                boot: total("followed boot"),
                namespace: total("followed namespace"),
                database: database.clone(),
            },
            join: JoinStore { decided_until: total("sifted") },
            registry: RegistryStore {
                database: database.clone(),
                builds: table("build_of")?,
                records: table("record_of")?,
                builds_by_time: table("build_times")?,
                made_again: table("made_again")?,
                terms: table("terms")?,
                linked: table("linked")?,
                unresolved: table("unresolved")?,
                withdrawn: table("withdrawn")?,
                catalog: table("catalog")?,
                libraries: table("libraries")?,
                format: total("format"),
                count: total("builds"),
                installations: installations()?,
            },
            waiting: WaitingStore {
                database: database.clone(),
                waiting: table("registrations_waiting")?,
                waiting_of: table("registrations_waiting_of")?,
                server_number: total("server"),
                installations: installations()?,
            },
            learned: LearnedStore {
                database: database.clone(),
                files: table("learned")?,
                count: total("learned files"),
                sketches: table("sketches")?,
                sketch_index: table("sketch_index")?,
                sketch_count: total("sketches"),
                observed_count: total("observed sketches"),
                followed_until: total("learned until"),
            },
            uses: UsesStore {
                database: database.waiting_for_room(),
                program_numbers: table("image_numbers")?,
                program_starts: table("program_starts")?,
                programs: table("images")?,
                programs_with: table("images_with")?,
                objects: table("objects")?,
                object_index: table("object_index")?,
                programs_with_object: table("programs_with_object")?,
                tallies: table("use_tallies")?,
                rows: table("use_rows")?,
                senders: table("use_senders")?,
                old_tallies: table("tallies")?,
                old_rows: table("uses")?,
                program_count: total("images"),
                next_program: total("next image"),
                row_count: total("rows of uses"),
                object_count: total("objects"),
                next_object: total("next object"),
                forgotten: total("uses forgotten"),
                last_change: total("last change of uses"),
                sums: SumsStore {
                    database: database.waiting_for_room(),
                    tallies: table("sum_tallies")?,
                    rows: table("sums")?,
                    months: table("sum_months")?,
                    hosts: table("sum_hosts")?,
                    host_months: table("sum_host_months")?,
                    hosts_since: total("hosts of sums since"),
                    days_since: total("days of sums since"),
                    months_until: total("months of sums until"),
                    programs: table("sum_programs")?,
                    digests: table("sum_digests")?,
                    limited: table("sum_limited")?,
                    row_count: total("rows of sums"),
                    next_digest: total("next digest of sums"),
                    jobs: table("sum_jobs")?,
                    job_list: table("job_list")?,
                    next_job: total("next job of sums"),
                },
            },
            jobs: JobsStore {
                values: table("jobs")?,
                log: table("job_log")?,
                senders: table("job_senders")?,
                bytes: total("jobs bytes"),
                losses: total("jobs losses"),
                whole_since: total("jobs whole since"),
                database: database.waiting_for_room(),
            },
            ledger: LedgerStore {
                database: database.clone(),
                log_number: total("number of the log"),
                openings: totals.clone(),
            },
        })
    }

    /// Copies the database in `directory`, which a server may be using, to the same place in `to`.
    /// Leaves `spare` bytes of that disk free. Returns how many bytes it has.
    pub fn copy(directory: &Path, to: &Path, spare: u64) -> Result<u64> {
        copy::copy(&directory.join(FOLDER), &to.join(FOLDER), tables, spare)
    }

    /// Has `free_min` bytes of the disk left free from now on.
    pub fn watch_disk(&self, free_min: u64) -> Result<()> {
        disk::watch(&self.queue.database.engine, free_min)
            .context("cannot start the thread that watches the disk")
    }

    /// What the store can take.
    pub fn condition(&self) -> Arc<Condition> {
        self.queue.database.engine.condition().clone()
    }

    /// Has each write fail that waits for the database to be mended, or for room.
    pub fn give_up(&self) {
        self.queue.database.engine.give_up();
    }

    /// The tables of the queue.
    pub fn queue(&self) -> QueueStore {
        self.queue.clone()
    }

    /// The tables of what the join has set aside.
    pub fn held(&self) -> HeldStore {
        self.held.clone()
    }

    /// The tables of processes that are followed.
    pub fn follow(&self) -> FollowStore {
        self.follow.clone()
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

    /// The tables of learned files.
    pub fn learned(&self) -> LearnedStore {
        self.learned.clone()
    }

    /// The tables of uses.
    pub fn uses(&self) -> UsesStore {
        self.uses.clone()
    }

    /// The tables of jobs.
    pub fn jobs(&self) -> JobsStore {
        self.jobs.clone()
    }

    /// What tells this server's log from others.
    pub fn ledger(&self) -> LedgerStore {
        self.ledger.clone()
    }

    /// Lets a test have commits fail.
    #[cfg(test)]
    pub fn faults(&self) -> &faults::Faults {
        &self.queue.database.faults
    }
}
