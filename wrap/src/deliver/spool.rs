//! The spool: a directory where frames wait that no server has acknowledged yet.
//!
//! A file holds whole frames exactly as on the wire. It appears under its final name by one rename, so a reader
//! never sees half of it, and hundreds of links may write at once. Who sends a file first claims it by renaming
//! it; a claim whose owner died is taken back after [`CLAIM_MAX`]. A file is removed when its frames are durable
//! at the server, so a crash in between sends it twice, which the server tells by the signature. The directory is
//! bounded in files and bytes; when it is full, what is new is refused, and what waits is kept.
//!
//! A record whose digests are still being made lies here as `.unfinished`. Should its maker never come to an end, it is
//! sent as it is after [`UNFINISHED_MAX`].

use crate::deliver::connection::{Connection, DeliverError};
use crate::environment;
use ogrt_proto::FRAME_HEADER_LEN;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most files that wait.
pub const FILES_MAX: usize = 20_000;

/// Most bytes that wait.
pub const BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A claimed file is taken back after this long.
pub const CLAIM_MAX: Duration = Duration::from_secs(120);

/// An unfinished record is sent as it is after this long.
pub const UNFINISHED_MAX: Duration = Duration::from_secs(600);

/// Of more files than this the size of some is taken for the size of all.
const WEIGHED_MAX: usize = 16;

/// With more files than this, what was counted is noted down for those that come in the next moment.
const MANY: usize = 1000;

/// How long that holds. More than [`FILES_MAX`] could only come to wait if a quarter of them came within it.
const COUNTED_MAX: Duration = Duration::from_secs(1);

/// Where it is noted.
const COUNTED: &str = "counted";

const UNFINISHED: &str = ".unfinished";
const WAITING: &str = ".frames";
const CLAIMED: &str = ".frames.sending";
const TEMPORARY: &str = ".writing";

/// A spool directory.
#[derive(Clone, Debug)]
pub struct SpoolDir {
    path: PathBuf,
}

/// Why something could not be spooled or sent.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The directory cannot be used.
    #[error("the spool {path}: {source}", path = path.display())]
    Io {
        /// Directory or file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The default directory belongs to somebody else.
    #[error("the spool {path} is not ours alone", path = path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// No room.
    #[error("the spool {path} is full: {files} files, {bytes} bytes", path = path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// That wait.
        files: usize,
        /// That wait.
        bytes: u64,
    },
}

/// What a flush has done.
#[derive(Debug, Default)]
pub struct FlushReport {
    /// Files sent, and durable at the server.
    pub sent: usize,
    /// Files that still wait.
    pub left: usize,
    /// Files that hold no whole frames, set aside under `.damaged`.
    pub damaged: usize,
    /// What stopped it, if it did not come to its end.
    pub error: Option<DeliverError>,
}

impl SpoolDir {
    /// `OGRT_SPOOL_DIR`, or `$XDG_STATE_HOME/ogrt/spool`, `$HOME/.local/state/ogrt/spool`,
    /// `/var/tmp/ogrt-spool-UID`: the first that is set.
    pub fn from_environment() -> SpoolDir {
        let set = |name: &str| environment::var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let uid = rustix::process::geteuid().as_raw();
        let path = set("OGRT_SPOOL_DIR")
            .or_else(|| set("XDG_STATE_HOME").map(|state| state.join("ogrt/spool")))
            .or_else(|| set("HOME").map(|home| home.join(".local/state/ogrt/spool")))
            .unwrap_or_else(|| PathBuf::from(format!("/var/tmp/ogrt-spool-{uid}")));
        SpoolDir { path }
    }

    /// This directory; made when something is put in.
    pub fn at(path: impl Into<PathBuf>) -> SpoolDir {
        SpoolDir { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts frames in.
    pub fn put(&self, frames: &[u8]) -> Result<(), SpoolError> {
        self.put_as(frames, WAITING).map(drop)
    }

    /// Puts a record in that is not to be sent yet, and names its file.
    pub fn put_unfinished(&self, frames: &[u8]) -> Result<PathBuf, SpoolError> {
        self.put_as(frames, UNFINISHED)
    }

    /// Takes an unfinished record out again, because its finished form is on its way. None when somebody has sent it
    /// as it was. Should who takes it die, it is sent as it was.
    pub fn take_unfinished(&self, path: &Path) -> Option<TakenUnfinished> {
        let claim = path.with_extension(&CLAIMED[1..]);
        std::fs::rename(path, &claim).ok()?;
        Some(TakenUnfinished(Claim { path: claim }))
    }

    fn put_as(&self, frames: &[u8], suffix: &str) -> Result<PathBuf, SpoolError> {
        self.make()?;
        let (files, bytes) = self.load();
        if files >= FILES_MAX || bytes + frames.len() as u64 > BYTES_MAX {
            return Err(SpoolError::Full { path: self.path.clone(), files, bytes });
        }
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let random = uuid::Uuid::new_v4().simple();
        let name = format!("{now_ns}-{}-{random}", std::process::id());
        let temporary = self.path.join(format!("{name}{TEMPORARY}"));
        let path = self.path.join(format!("{name}{suffix}"));
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(frames))
            .and_then(|()| std::fs::rename(&temporary, &path));
        match written {
            Ok(()) => Ok(path),
            Err(source) => {
                let _ = std::fs::remove_file(&temporary);
                Err(self.error(source))
            }
        }
    }

    /// Does anything wait, or may it come to wait again? Mostly nothing does, and then one look is enough.
    pub fn has_any(&self) -> bool {
        let Ok(mut entries) = std::fs::read_dir(&self.path) else { return false };
        let ours = [WAITING, CLAIMED, UNFINISHED, TEMPORARY];
        let is_ours = |name: &OsStr| ours.iter().any(|end| name.as_bytes().ends_with(end.as_bytes()));
        entries.any(|entry| entry.is_ok_and(|entry| is_ours(&entry.file_name())))
    }

    /// Files that wait, the oldest first.
    pub fn waiting(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            paths.filter(|path| path.as_os_str().as_bytes().ends_with(WAITING.as_bytes())).collect();
        files.sort();
        files
    }

    /// Sends some of what waits over a connection, until `deadline`. Stops at the first failure.
    pub fn send_some(&self, connection: &mut Connection, files_max: usize, deadline: Instant) -> FlushReport {
        let mut report = FlushReport::default();
        let mut claimed = Vec::new();
        for path in self.waiting().into_iter().take(files_max) {
            let Some(claim) = Claim::take(&path) else { continue };
            match claim.frames() {
                Some((frames, count)) => match connection.send(&frames, count, deadline) {
                    Ok(()) => claimed.push(claim),
                    Err(error) => {
                        claim.give_back();
                        report.error = Some(error);
                        break;
                    }
                },
                None => {
                    claim.set_aside();
                    report.damaged += 1;
                }
            }
        }
        let durable = match report.error {
            None => connection.wait_durable(deadline),
            Some(_) => Err(DeliverError::Exchange {
                server: String::new(),
                source: io::ErrorKind::Interrupted.into(),
            }),
        };
        match durable {
            Ok(()) => {
                report.sent = claimed.len();
                claimed.into_iter().for_each(Claim::done);
            }
            Err(error) => {
                claimed.into_iter().for_each(Claim::give_back);
                report.error.get_or_insert(error);
            }
        }
        report
    }

    /// Makes the directory, if it is missing.
    pub(super) fn make(&self) -> Result<(), SpoolError> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(_) => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.path)
                .and_then(|()| std::fs::metadata(&self.path))
                .map_err(|source| self.error(source))?,
        };
        // /var/tmp is everybody's: a directory that another user put there is not taken.
        let uid = rustix::process::geteuid().as_raw();
        if self.path.starts_with("/var/tmp") && (metadata.uid() != uid || metadata.mode() & 0o022 != 0) {
            return Err(SpoolError::NotOurs { path: self.path.clone() });
        }
        Ok(())
    }

    /// Files, and bytes: of many files estimated from some, and counted once a second, since a link is not to look at
    /// thousands.
    fn load(&self) -> (usize, u64) {
        if let Some(load) = self.counted_lately() {
            return load;
        }
        let Ok(entries) = std::fs::read_dir(&self.path) else { return (0, 0) };
        let (mut files, mut weighed, mut bytes) = (0, 0, 0);
        for entry in entries.flatten() {
            files += 1;
            if weighed < WEIGHED_MAX {
                weighed += 1;
                bytes += entry.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        let bytes = bytes * files as u64 / weighed.max(1) as u64;
        if files > MANY {
            // Who reads a half of it counts.
            let _ = std::fs::write(self.path.join(COUNTED), format!("{files} {bytes} "));
        }
        (files, bytes)
    }

    /// Near the bound every file counts.
    fn counted_lately(&self) -> Option<(usize, u64)> {
        let path = self.path.join(COUNTED);
        let age = std::fs::metadata(&path).ok()?.modified().ok()?.elapsed().ok()?;
        let text = (age < COUNTED_MAX).then(|| std::fs::read_to_string(path).ok())??;
        let mut words = text.strip_suffix(' ')?.split(' ');
        let (files, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        (files < FILES_MAX / 4 * 3).then_some((files, bytes))
    }

    /// What others began and did not end goes back to what waits.
    pub(super) fn take_back_dead_claims(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is = |suffix: &str| path.as_os_str().as_bytes().ends_with(suffix.as_bytes());
            // A claim is a rename, which changes no mtime.
            let older = |max: Duration, time: fn(&std::fs::Metadata) -> i64| {
                std::fs::metadata(&path).is_ok_and(|metadata| seconds_since(time(&metadata)) > max.as_secs())
            };
            if is(CLAIMED) && older(CLAIM_MAX, MetadataExt::ctime) {
                Claim { path }.give_back();
            } else if is(UNFINISHED) && older(UNFINISHED_MAX, MetadataExt::mtime) {
                // Its maker may take it out at this moment.
                let _ = std::fs::rename(&path, path.with_extension(&WAITING[1..]));
            } else if is(TEMPORARY) && older(CLAIM_MAX, MetadataExt::mtime) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn error(&self, source: io::Error) -> SpoolError {
        SpoolError::Io { path: self.path.clone(), source }
    }
}

/// An unfinished record that is being replaced by its finished form.
#[derive(Debug)]
pub struct TakenUnfinished(Claim);

impl TakenUnfinished {
    /// The finished form is with the server, or in the spool.
    pub fn done(self) {
        self.0.done();
    }
}

/// A file that this process, and no other, is sending.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
}

impl Claim {
    fn take(waiting: &Path) -> Option<Claim> {
        let path = PathBuf::from(format!("{}.sending", waiting.to_str()?));
        // Who loses the race finds the file gone.
        std::fs::rename(waiting, &path).ok()?;
        Some(Claim { path })
    }

    /// The bytes, and how many whole frames they are.
    fn frames(&self) -> Option<(Vec<u8>, u64)> {
        let bytes = std::fs::read(&self.path).ok()?;
        let (mut at, mut count) = (0usize, 0);
        while at < bytes.len() {
            let header = bytes.get(at..at + FRAME_HEADER_LEN)?;
            let len = u32::from_be_bytes(header[4..].try_into().ok()?) as usize;
            at = at.checked_add(FRAME_HEADER_LEN)?.checked_add(len)?;
            count += 1;
        }
        (at == bytes.len() && count > 0).then_some((bytes, count))
    }

    fn done(self) {
        let _ = std::fs::remove_file(self.path);
    }

    fn give_back(self) {
        let _ = std::fs::rename(&self.path, self.path.with_extension(""));
    }

    fn set_aside(self) {
        let _ = std::fs::rename(&self.path, self.path.with_extension("damaged"));
    }
}

fn seconds_since(unix_time_s: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    now.saturating_sub(unix_time_s.max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_holds_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let spool = SpoolDir::at(dir.path());
        let counted = dir.path().join(COUNTED);
        spool.put(b"frames").unwrap();
        assert!(!counted.exists(), "a few are counted in no time");
        (0..=MANY).for_each(|n| std::fs::write(dir.path().join(format!("{n}{WAITING}")), "12345").unwrap());
        spool.put(b"frames").unwrap();
        assert_eq!(std::fs::read_to_string(&counted).unwrap(), format!("{} {} ", MANY + 2, 5 * (MANY + 2)));

        let note = |text: &str, age: Duration| {
            std::fs::write(&counted, text).unwrap();
            File::options()
                .write(true)
                .open(&counted)
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        };
        let full = format!("{} {BYTES_MAX} ", MANY + 2);
        note(&full, Duration::ZERO);
        assert!(matches!(spool.put(b"frames"), Err(SpoolError::Full { .. })));
        // Old, half written, or near the bound: counted again.
        for (text, age) in [
            (full.as_str(), COUNTED_MAX),
            (full.trim_end(), Duration::ZERO),
            (&format!("{} {BYTES_MAX} ", FILES_MAX / 4 * 3), Duration::ZERO),
        ] {
            note(text, age);
            spool.put(b"frames").unwrap();
        }
    }
}
