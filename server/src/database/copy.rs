//! A copy of the database while a server writes to it.
//!
//! Tables never change, journals only grow, and a file that is open can be read after its deletion.
//! So it suffices to open everything in the right order. First the journals, then the tables, each
//! with its list, and then the journals that came meanwhile. What the tables have of a write beyond
//! others' is then in the journals for those others. The copy ends with the last whole write in
//! its last journal, and holds every write before it.
//!
//! The server need not know of it. The copy is opened at the end: a torn last write is so removed,
//! and a copy that cannot be used is made again.

use super::engine::{self, Engine};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The attempts before giving up, where files change in the wrong moment.
const ATTEMPTS: usize = 5;

/// The looks at one table until its list stays the same meanwhile.
const LOOKS: usize = 1000;

/// Bytes that are copied at once; so many zeros are left out of the copy.
const PIECE: usize = 64 << 10;

/// The file of a keyspace that names its newest list of tables.
const CURRENT: &str = "current";

/// The files of a database, open, each with its path below it.
struct OpenFiles(Vec<(PathBuf, File)>);

/// Copies the database `from` to `to`, which does not exist. Leaves `spare` bytes of the disk free.
/// Returns how many bytes it has.
pub fn copy(from: &Path, to: &Path, specs: fn() -> Vec<engine::TableSpec>, spare: u64) -> Result<u64> {
    let mut attempts = 1..;
    loop {
        let is_last = attempts.next() == Some(ATTEMPTS);
        let problem = match copy_once(from, to, spare) {
            // Its background thread ends with it.
            Ok(bytes) => match Engine::open(to, specs) {
                Ok(_) => return Ok(bytes),
                Err(problem) => anyhow::Error::new(problem).context("the copy cannot be opened"),
            },
            Err(problem) => problem,
        };
        if is_last || is_for_good(&problem) {
            return Err(problem);
        }
        let _ = fs::remove_dir_all(to);
    }
}

fn is_for_good(problem: &anyhow::Error) -> bool {
    let kind = problem.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::PermissionDenied | ErrorKind::QuotaExceeded))
}

fn copy_once(from: &Path, to: &Path, spare: u64) -> Result<u64> {
    let files = OpenFiles::of(from).with_context(|| format!("cannot read {}", from.display()))?;
    let bytes = files.0.iter().map(|(_, file)| Ok(file.metadata()?.blocks() * 512)).sum::<Result<u64>>()?;
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    let free = engine::free_space(to).unwrap_or(u64::MAX);
    if free < bytes + spare {
        let needed = (bytes + spare) >> 20;
        let problem = format!("{} has {} MiB free, and {needed} MiB are needed", to.display(), free >> 20);
        return Err(std::io::Error::new(ErrorKind::StorageFull, problem).into());
    }
    for (path, mut file) in files.0 {
        let target = to.join(&path);
        if let Some(folder) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        write(&mut file, &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(bytes)
}

fn write(from: &mut File, to: &Path) -> std::io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        length += read as u64;
        match piece[..read].iter().all(|byte| *byte == 0) {
            // The unused end of a journal.
            true => drop(target.seek(SeekFrom::Start(length))?),
            false => target.write_all(&piece[..read])?,
        }
    }
    target.set_len(length)?;
    target.sync_all()
}

impl OpenFiles {
    fn of(database: &Path) -> Result<OpenFiles> {
        let mut journals = BTreeMap::new();
        open_journals(database, &mut journals)?;
        let before = journals.last_key_value().map(|(number, _)| *number);
        let mut files = Vec::new();
        for keyspace in fs::read_dir(database.join("keyspaces"))? {
            let keyspace = keyspace?.path();
            if keyspace.is_dir() {
                open_keyspace(database, &keyspace, &mut files)?;
            }
        }
        open_journals(database, &mut journals)?;
        let after = journals.last_key_value().map(|(number, _)| *number);
        let (Some(before), Some(after)) = (before, after) else {
            bail!("there is no journal");
        };
        if (before..=after).any(|number| !journals.contains_key(&number)) {
            bail!("a journal came and went meanwhile");
        }
        files.extend(journals.into_iter().map(|(number, file)| (journal(number).into(), file)));
        for name in ["version", "lock"] {
            files.push((name.into(), File::open(database.join(name))?));
        }
        Ok(OpenFiles(files))
    }
}

fn journal(number: u64) -> String {
    format!("{number}.jnl")
}

/// Opens the journals that are not open.
fn open_journals(database: &Path, journals: &mut BTreeMap<u64, File>) -> Result<()> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(database)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jnl")?.parse().ok());
        numbers.extend(number.filter(|number| !journals.contains_key(number)));
    }
    // A journal goes once the tables have all of it, the oldest first.
    numbers.sort_unstable();
    for number in numbers {
        if let Some(file) = open(&database.join(journal(number)))? {
            journals.insert(number, file);
        }
    }
    Ok(())
}

/// Opens a keyspace's files, with all tables of one list.
fn open_keyspace(database: &Path, keyspace: &Path, files: &mut Vec<(PathBuf, File)>) -> Result<()> {
    for _ in 0..LOOKS {
        let list = read(&keyspace.join(CURRENT))?;
        let mut opened = Vec::new();
        for folder in [keyspace.to_owned(), keyspace.join("tables")] {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() || path.ends_with(CURRENT) {
                    continue;
                }
                let below = path.strip_prefix(database)?.to_owned();
                opened.extend(open(&path)?.map(|file| (below, file)));
            }
        }
        let Some(current) = open(&keyspace.join(CURRENT))? else { continue };
        // While a list is the newest, all of its tables are there.
        if read(&keyspace.join(CURRENT))? == list && list.is_some() {
            files.append(&mut opened);
            files.push((keyspace.strip_prefix(database)?.join(CURRENT), current));
            return Ok(());
        }
    }
    bail!("the tables in {} change all the time", keyspace.display())
}

/// `None` where the file was deleted meanwhile.
fn open(path: &Path) -> std::io::Result<Option<File>> {
    match File::open(path) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use crate::database::{Store, number};
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
        time::Duration,
    };

    /// Writes that fill more than one journal, and the length of later ones.
    const LARGE: u64 = 1200;

    fn value(number: u64) -> Vec<u8> {
        vec![number as u8; if number < LARGE { 64 << 10 } else { 64 }]
    }

    #[test]
    fn a_copy_under_load_has_each_write_whole_and_all_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (queue, jobs) = (store.queue(), store.jobs());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    last += 1;
                    let mut writes = queue.database.writes();
                    writes.insert(&queue.batches, last.to_be_bytes(), value(last));
                    writes.insert(&queue.offsets, "last", last.to_be_bytes());
                    writes.insert(&jobs.log, last.to_be_bytes(), []);
                    // As the queue does, so that tables go.
                    writes.remove(&queue.batches, last.saturating_sub(500).to_be_bytes());
                    writes.commit().unwrap();
                    if last >= LARGE {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            for copy in 0..2 {
                let to = directory.path().join(format!("copy{copy}"));
                Store::copy(directory.path(), &to, 0).unwrap();
                let copy = Store::open(&to).unwrap();
                let last = copy.queue().offsets.get("last").unwrap().map_or(0, |last| number(&last));
                let batches = copy.queue().batches.iter().map(|batch| batch.into_inner().unwrap());
                let batches: Vec<_> = batches.collect();
                let first = last.saturating_sub(499).max(1);
                assert!(batches.iter().map(|(key, _)| number(key)).eq(first..=last), "{first} to {last}");
                assert!(batches.iter().all(|(key, batch)| **batch == *value(number(key))));
                assert_eq!(copy.jobs().log.iter().count() as u64, last);
                drop(copy);
                std::fs::remove_dir_all(to).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
