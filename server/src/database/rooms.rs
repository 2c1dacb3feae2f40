//! What each room has in the database: its own tables, and none of another's.
//!
//! Keys that are numbers are big-endian, so that they sort. Some tables have older names on disk,
//! which stay, so that databases that exist can be opened: [`super::Store::open`] has them.

use super::{Database, Table, Total};
use fjall::{Iter, Keyspace, KeyspaceCreateOptions};

/// The durable queue.
#[derive(Clone)]
pub struct QueueStore {
    /// Writes over all tables.
    pub database: Database,
    /// Sequence number (u64) -> batch of entries.
    pub batches: Table,
    /// Consumer's name -> next sequence number; `name NUL file` -> what an output remembers of a
    /// file.
    pub offsets: Table,
    /// Event, kind and part -> nothing: what acknowledging streams delivered, in two generations.
    pub delivered: [Table; 2],
    /// The same of imported records, all that ever were: only administrators import any.
    pub imported: Table,
    /// The index of the younger generation.
    pub delivered_young: Total,
    /// Events in the younger one.
    pub delivered_count: Total,
}

/// Entries that the join has set aside.
#[derive(Clone)]
pub struct HeldStore {
    /// Writes over all tables.
    pub database: Database,
    /// Sequence number -> indexes (u32 each) of the batch's entries that were left out or held
    /// back.
    pub skipped: Table,
    /// Sequence number, index -> an entry that waits for its record or its other parts.
    pub held: Table,
}

/// Processes that are followed.
#[derive(Clone)]
pub struct FollowStore {
    /// Writes over all tables.
    pub database: Database,
    /// Event id -> a start without an end: server/src/follow/open_starts.rs.
    pub open: Table,
    /// The time until which these were seen alive, Unix time in nanoseconds.
    pub alive_until: Total,
    /// The boot of the machine, and the namespace of process numbers, that they belong to.
    pub boot: Total,
    pub namespace: Total,
}

/// The figures of the join.
#[derive(Clone)]
pub struct JoinStore {
    /// What goes on of batches before this one is decided.
    pub decided_until: Total,
}

/// The registry in this database.
#[derive(Clone)]
pub struct RegistryStore {
    /// Writes over all tables.
    pub database: Database,
    /// Signature -> the build's number, and the little of its record that is joined.
    pub builds: Table,
    /// Number of a build -> when it was registered, and the whole record.
    pub records: Table,
    /// Time of the link in nanoseconds, number -> nothing.
    pub builds_by_time: Table,
    /// Number, time, digest -> a further build of a reproducible signature.
    pub made_again: Table,
    /// Runs of terms, each with the numbers of the builds that are found by it:
    /// server/src/registry/embedded/index.rs.
    pub terms: Table,
    /// Number -> numbers of the builds that it was linked into.
    pub linked: Table,
    /// Term of an input behind which there was no build when it was registered -> nothing.
    pub unresolved: Table,
    /// Time, signature -> a build that was withdrawn: server/src/registry/embedded/withdraw.rs.
    pub withdrawn: Table,
    /// Blocks of 64 numbers -> their signatures.
    pub catalog: Table,
    /// Blocks of 4096 numbers -> a bit for each that was linked into another.
    pub libraries: Table,
    /// Number of the format.
    pub format: Total,
    /// The number of builds.
    pub count: Total,
    /// Installations.
    pub installations: InstallationStore,
}

/// Registrations on their way to a database of the registry's own.
#[derive(Clone)]
pub struct WaitingStore {
    /// Writes over all tables.
    pub database: Database,
    /// Ticket -> when it was received, and the record.
    pub waiting: Table,
    /// Signature -> the ticket of its first record that waits.
    pub waiting_of: Table,
    /// This server's number among those that share the registry: random, and never zero.
    pub server_number: Total,
    /// Installations that wait as well.
    pub installations: InstallationStore,
}

/// Installations of package managers.
#[derive(Clone)]
pub struct InstallationStore {
    /// Writes over all tables.
    pub database: Database,
    /// Installations, and what they are found by: see `registry::installations`.
    pub installations: Table,
}

/// What unregistered files are.
#[derive(Clone)]
pub struct LearnedStore {
    /// Writes over all tables.
    pub database: Database,
    /// Files, and what they are found by: server/src/learned/table.rs.
    pub files: Table,
    /// The number of files.
    pub count: Total,
    /// Sketches of files: server/src/learned/sketches.rs.
    pub sketches: Table,
    /// Kind of evidence, hash, number of a sketch -> nothing.
    pub sketch_index: Table,
    /// The number of sketches of learned files, and of those of programs that ran.
    pub sketch_count: Total,
    pub observed_count: Total,
    /// The number up to which files of other servers were taken over.
    pub followed_until: Total,
}

/// Counts of who ran what.
#[derive(Clone)]
pub struct UsesStore {
    /// Writes over all tables.
    pub database: Database,
    /// Digest of a program -> its number.
    pub program_numbers: Table,
    /// Digest of a start -> the number of its program; number, digest -> nothing:
    /// server/src/uses/program_numbers.rs.
    pub program_starts: Table,
    /// Number of a program -> what it is.
    pub programs: Table,
    /// Signature, number of a program that has it -> one byte: is it its executable's?
    pub programs_with: Table,
    /// What was ever loaded: server/src/uses/objects.rs.
    pub objects: Table,
    /// What objects are found by.
    pub object_index: Table,
    /// Object, number of a program that loads it -> nothing.
    pub programs_with_object: Table,
    /// Counts that are not yet in the rows: server/src/uses/pending_tallies.rs.
    pub tallies: Table,
    /// Who ran a program, where, in which job: server/src/uses/rows.rs.
    pub rows: Table,
    /// Sender -> the number of its programs and rows: server/src/uses/shares.rs.
    pub senders: Table,
    /// What servers left that kept rows of users, of hosts and of jobs apart.
    pub old_tallies: Table,
    /// Their rows: server/src/uses/old_rows.rs.
    pub old_rows: Table,
    /// The number of programs.
    pub program_count: Total,
    /// Number of the next new program.
    pub next_program: Total,
    /// The number of rows, but for those of whole programs.
    pub row_count: Total,
    /// The number of objects.
    pub object_count: Total,
    /// Number of the next new object.
    pub next_object: Total,
    /// Marks of programs that were deleted or not counted: server/src/uses/forgotten.rs.
    pub forgotten: Total,
    /// The number of the last change that other servers make as well.
    pub last_change: Total,
    /// What was used on each day.
    pub sums: SumsStore,
}

/// What was used on each day.
#[derive(Clone)]
pub struct SumsStore {
    /// Writes over all tables.
    pub database: Database,
    /// Sums that are not yet in the rows: server/src/uses/pending_tallies.rs.
    pub tallies: Table,
    /// Day, program, user, account -> sums: server/src/sums/row.rs.
    pub rows: Table,
    /// The same for months: server/src/sums/months.rs.
    pub months: Table,
    /// Day, cluster, host -> sums; and the same for months: server/src/sums/hosts.rs.
    pub hosts: Table,
    pub host_months: Table,
    /// The time from which on processes are counted by host.
    pub hosts_since: Total,
    /// The day from which on rows of days are kept.
    pub days_since: Total,
    /// The day until which months have all that their days have.
    pub months_until: Total,
    /// Program -> rows that name it, and its name: server/src/sums/programs.rs.
    pub programs: Table,
    /// Numbers of jobs, and what is known of their use: server/src/sums/add.rs.
    pub jobs: Table,
    /// Jobs by the start of their first process, the newest first: server/src/sums/job_list.rs.
    pub job_list: Table,
    /// Sets of environment modules, and programs: server/src/sums/digest_numbers.rs.
    pub digests: Table,
    /// Day -> processes that a limit left out: server/src/sums/limited.rs.
    pub limited: Table,
    /// The number of rows, of hosts too, of entries of jobs, and of digests.
    pub row_count: Total,
    /// Number of the next new digest.
    pub next_digest: Total,
    /// Number of the next new job.
    pub next_job: Total,
}

/// The events that are kept of jobs.
#[derive(Clone)]
pub struct JobsStore {
    /// Writes over all tables.
    pub database: Database,
    /// Job, cluster, sequence number -> compressed entries of that job: server/src/jobs/keys.rs.
    pub values: Table,
    /// Sender, sequence number -> which values it has, since when, and how many bytes they take.
    pub log: Table,
    /// Sender -> bytes of its values.
    pub senders: Table,
    /// Bytes of all values.
    pub bytes: Total,
    /// The number of jobs of which something is lost.
    pub losses: Total,
    /// The time since when nothing is lost: server/src/jobs/whole_since.rs.
    pub whole_since: Total,
}

/// What tells this server's log from others: server/src/ledger/log.rs.
#[derive(Clone)]
pub struct LedgerStore {
    /// Writes over all tables.
    pub database: Database,
    /// The random number of the log; zero before the first opening.
    pub log_number: Total,
    /// The table with the list of openings.
    pub openings: Table,
}

impl LedgerStore {
    /// The key of the list of openings.
    pub const OPENINGS: &str = "openings of the log";
}

/// The registry's first format; server/src/registry/embedded/migrate.rs takes it over.
pub struct FirstFormat {
    records: Keyspace,
    others: [Keyspace; 2],
}

impl FirstFormat {
    /// The records.
    pub fn records(&self) -> Iter {
        self.records.iter()
    }
}

impl JobsStore {
    /// Removes the list of failed jobs that servers of before kept: sums know them now.
    pub fn remove_failures(&self) -> fjall::Result<()> {
        self.database.engine.read(|opened| {
            let database = &opened.database;
            if database.keyspace_exists("job_failures") {
                let list = database.keyspace("job_failures", KeyspaceCreateOptions::default)?;
                database.delete_keyspace(list)?;
            }
            Ok(())
        })
    }
}

impl WaitingStore {
    /// This server's number, which the first call makes.
    pub fn server(&self) -> fjall::Result<u64> {
        let known = self.server_number.get()?;
        if known != 0 {
            return Ok(known);
        }
        let number = uuid::Uuid::new_v4().as_u64_pair().1;
        let mut writes = self.database.writes();
        writes.set(&self.server_number, number);
        writes.commit()?;
        self.database.sync()?;
        Ok(number)
    }
}

impl RegistryStore {
    /// The registry that a server of the first format left.
    pub fn first_format(&self) -> fjall::Result<Option<FirstFormat>> {
        self.database.engine.read(|opened| {
            let database = &opened.database;
            if !database.keyspace_exists("records") {
                return Ok(None);
            }
            let open = |name| database.keyspace(name, KeyspaceCreateOptions::default);
            Ok(Some(FirstFormat {
                records: open("records")?,
                others: [open("builds")?, open("builds_by_time")?],
            }))
        })
    }

    /// Removes it.
    pub fn remove_first_format(&self, first: FirstFormat) -> fjall::Result<()> {
        let [builds, times] = first.others;
        self.database.engine.read(|opened| {
            // The records last: they are what tells that it is there.
            let gone = [builds, times, first.records];
            gone.into_iter().try_for_each(|gone| opened.database.delete_keyspace(gone))
        })
    }

    /// Removes the lists of terms that servers of the second format kept.
    pub fn remove_second_format(&self) -> fjall::Result<()> {
        self.database.engine.read(|opened| {
            let database = &opened.database;
            if database.keyspace_exists("found_by") {
                let lists = database.keyspace("found_by", KeyspaceCreateOptions::default)?;
                database.delete_keyspace(lists)?;
            }
            Ok(())
        })
    }
}
