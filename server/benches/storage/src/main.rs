//! Which embedded engine keeps the server's queue and registry? Three of them under the server's
//! own load; the answer is docs/decisions/0001-storage-engine.md.
//!
//! `cargo run --release --manifest-path server/benches/storage/Cargo.toml [-- fjall|redb|rusqlite]`
//!
//! Queue: batches of 32 KiB under a growing number, every tenth synchronised (an acknowledgement
//! waits for it), and what lies 200 batches back removed, as when outputs keep up. Registry: a
//! million summaries of 200 bytes under random keys, a thousand in a write, then random lookups,
//! half of them of keys that are not there. Each engine runs in a process of its own, so that
//! memory and bytes written are its own.

use std::{
    env, fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const BATCH: usize = 32 * 1024;
const BATCHES: u64 = 20_000;
const SYNC_EVERY: u64 = 10;
const KEPT: u64 = 200;
const BUILDS: u64 = 1_000_000;
const LOOKUPS: u64 = 200_000;

/// What the server asks of an engine.
trait Engine {
    /// Puts a batch and removes an old one; durable on return when `sync`.
    fn put(&mut self, sequence: u64, batch: &[u8], remove: Option<u64>, sync: bool);
    /// Puts summaries, not durable yet.
    fn register(&mut self, builds: &[([u8; 16], Vec<u8>)]);
    /// Is the signature there?
    fn lookup(&self, signature: [u8; 16]) -> bool;
}

struct Fjall {
    database: fjall::Database,
    queue: fjall::Keyspace,
    builds: fjall::Keyspace,
}

impl Fjall {
    fn open(directory: &Path) -> Self {
        let database =
            fjall::Database::builder(directory).cache_size(16 << 20).worker_threads(1).open().unwrap();
        let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(16 << 20);
        let queue = database.keyspace("queue", options).unwrap();
        let builds = database.keyspace("builds", options).unwrap();
        Fjall { database, queue, builds }
    }
}

impl Engine for Fjall {
    fn put(&mut self, sequence: u64, batch: &[u8], remove: Option<u64>, sync: bool) {
        let mut writes = self.database.batch();
        writes.insert(&self.queue, sequence.to_be_bytes(), batch);
        if let Some(old) = remove {
            writes.remove(&self.queue, old.to_be_bytes());
        }
        writes.commit().unwrap();
        if sync {
            self.database.persist(fjall::PersistMode::SyncData).unwrap();
        }
    }

    fn register(&mut self, builds: &[([u8; 16], Vec<u8>)]) {
        let mut writes = self.database.batch();
        for (key, value) in builds {
            writes.insert(&self.builds, *key, value.as_slice());
        }
        writes.commit().unwrap();
    }

    fn lookup(&self, signature: [u8; 16]) -> bool {
        self.builds.get(signature).unwrap().is_some()
    }
}

const QUEUE: redb::TableDefinition<u64, &[u8]> = redb::TableDefinition::new("queue");
const BUILDS_TABLE: redb::TableDefinition<&[u8; 16], &[u8]> = redb::TableDefinition::new("builds");

struct Redb(redb::Database);

impl Redb {
    fn open(directory: &Path) -> Self {
        let file = directory.join("redb");
        let database = redb::Builder::new().set_cache_size(48 << 20).create(file).unwrap();
        let begin = database.begin_write().unwrap();
        begin.open_table(QUEUE).unwrap();
        begin.open_table(BUILDS_TABLE).unwrap();
        begin.commit().unwrap();
        Redb(database)
    }

    fn begin(&self, sync: bool) -> redb::WriteTransaction {
        let mut transaction = self.0.begin_write().unwrap();
        let durability = if sync { redb::Durability::Immediate } else { redb::Durability::None };
        transaction.set_durability(durability).unwrap();
        transaction
    }
}

impl Engine for Redb {
    fn put(&mut self, sequence: u64, batch: &[u8], remove: Option<u64>, sync: bool) {
        let transaction = self.begin(sync);
        {
            let mut queue = transaction.open_table(QUEUE).unwrap();
            queue.insert(sequence, batch).unwrap();
            if let Some(old) = remove {
                queue.remove(old).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn register(&mut self, builds: &[([u8; 16], Vec<u8>)]) {
        let transaction = self.begin(false);
        {
            let mut table = transaction.open_table(BUILDS_TABLE).unwrap();
            for (key, value) in builds {
                table.insert(key, value.as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn lookup(&self, signature: [u8; 16]) -> bool {
        use redb::ReadableDatabase;
        let transaction = self.0.begin_read().unwrap();
        transaction.open_table(BUILDS_TABLE).unwrap().get(&signature).unwrap().is_some()
    }
}

struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(directory: &Path) -> Self {
        let connection = rusqlite::Connection::open(directory.join("sqlite")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA cache_size = -49152;
                 CREATE TABLE queue (sequence INTEGER PRIMARY KEY, batch BLOB) STRICT;
                 CREATE TABLE builds (signature BLOB PRIMARY KEY, build BLOB) STRICT, WITHOUT ROWID;",
            )
            .unwrap();
        Sqlite(connection)
    }
}

impl Engine for Sqlite {
    fn put(&mut self, sequence: u64, batch: &[u8], remove: Option<u64>, sync: bool) {
        // In WAL mode NORMAL does not synchronise on commit, and FULL does.
        self.0
            .execute_batch(if sync { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })
            .unwrap();
        let transaction = self.0.transaction().unwrap();
        transaction
            .prepare_cached("INSERT INTO queue VALUES (?, ?)")
            .unwrap()
            .execute((sequence as i64, batch))
            .unwrap();
        if let Some(old) = remove {
            transaction
                .prepare_cached("DELETE FROM queue WHERE sequence = ?")
                .unwrap()
                .execute([old as i64])
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    fn register(&mut self, builds: &[([u8; 16], Vec<u8>)]) {
        let transaction = self.0.transaction().unwrap();
        {
            let mut insert = transaction.prepare_cached("INSERT INTO builds VALUES (?, ?)").unwrap();
            for (key, value) in builds {
                insert.execute((key.as_slice(), value)).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn lookup(&self, signature: [u8; 16]) -> bool {
        let mut query = self.0.prepare_cached("SELECT build FROM builds WHERE signature = ?").unwrap();
        query.exists([signature.as_slice()]).unwrap()
    }
}

fn main() {
    let Some(engine) = env::args().nth(1) else {
        println!(
            "| engine | queue, MB/s | a synchronised write, median / p99 | registrations/s | lookup, median / p99 | written / given | memory at its highest | on disk |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for engine in ["fjall", "redb", "rusqlite"] {
            let status = Command::new(env::current_exe().unwrap()).arg(engine).status().unwrap();
            assert!(status.success(), "{engine} failed");
        }
        return;
    };
    let directory = tempfile::tempdir_in(env::var_os("TMPDIR").unwrap_or("/var/tmp".into())).unwrap();
    let mut opened: Box<dyn Engine> = match engine.as_str() {
        "fjall" => Box::new(Fjall::open(directory.path())),
        "redb" => Box::new(Redb::open(directory.path())),
        "rusqlite" => Box::new(Sqlite::open(directory.path())),
        other => panic!("no engine {other}"),
    };
    println!("{}", measure(&engine, &mut *opened, directory.path()));
}

fn measure(name: &str, engine: &mut dyn Engine, directory: &Path) -> String {
    let mut random = Random(1);
    let noise: Vec<u8> = (0..BATCH * 2).map(|_| random.next() as u8).collect();
    let mut synced = Vec::new();
    let begin = Instant::now();
    for sequence in 0..BATCHES {
        let batch = &noise[sequence as usize % BATCH..][..BATCH];
        let sync = sequence % SYNC_EVERY == 0;
        let since = Instant::now();
        engine.put(sequence, batch, sequence.checked_sub(KEPT), sync);
        if sync {
            synced.push(since.elapsed());
        }
    }
    let queue_seconds = begin.elapsed().as_secs_f64();
    let queue_rate = (BATCHES * BATCH as u64) as f64 / 1e6 / queue_seconds;

    let begin = Instant::now();
    for thousand in 0..BUILDS / 1000 {
        let builds: Vec<_> =
            (0..1000).map(|n| (key(thousand * 1000 + n), noise[n as usize..][..200].to_vec())).collect();
        engine.register(&builds);
    }
    let registrations = BUILDS as f64 / begin.elapsed().as_secs_f64();

    let mut looked = Vec::new();
    for _ in 0..LOOKUPS {
        let number = random.next() % (BUILDS * 2);
        let since = Instant::now();
        let found = engine.lookup(key(number));
        looked.push(since.elapsed());
        assert_eq!(found, number < BUILDS);
    }
    let given = (BATCHES * BATCH as u64 + BUILDS * 216) as f64;
    format!(
        "| {name} | {queue_rate:.0} | {} | {registrations:.0} | {} | {:.1} | {} | {} |",
        quantiles(synced),
        quantiles(looked),
        proc_number("/proc/self/io", "wchar:") as f64 / given,
        mebibytes(proc_number("/proc/self/status", "VmHWM:") * 1024),
        mebibytes(size(directory)),
    )
}

fn key(number: u64) -> [u8; 16] {
    let mut random = Random(number + 1);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&random.next().to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// SplitMix64: numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    format!("{:.0} / {:.0} us", at(50), at(99))
}

fn proc_number(file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn size(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let about = entry.metadata().unwrap();
            if about.is_dir() { size(&entry.path()) } else { about.blocks() * 512 }
        })
        .sum()
}
