//! The spool: a directory where frames wait that no server has acknowledged yet.
//!
//! A file holds whole frames as on the wire; whose file it is, is told with them when they are
//! sent. It appears under its final name by one rename, so a reader never sees half of it, and
//! hundreds of links may write at once. A sender first claims a file by renaming it; a claim whose
//! owner died is taken back after [`CLAIM_MAX`]. A file is deleted when its frames are durable at
//! the server. After a crash in between it is sent twice, which the server recognises by the
//! signature. The directory is bounded in files and bytes; when it is full, new files are refused,
//! and old ones are kept.
//!
//! A record whose digests are still being made lies here as `.unfinished`. If they are never
//! finished, it is sent as it is after [`UNFINISHED_MAX`].

use crate::deliver::connection::{Connection, DeliverError};
use crate::environment;
use ogrt_proto::{FRAME_HEADER_LEN, FRAME_MAX, MessageType, ProcessEnd, ProcessInfo, Provenance, peek_frame};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use rustix::fs::Access;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most files that wait.
pub const FILES_MAX: usize = 20_000;

/// The most bytes that wait.
pub const BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A claimed file is taken back after this long.
pub const CLAIM_MAX: Duration = Duration::from_secs(120);

/// An unfinished record is sent as it is after this long.
pub const UNFINISHED_MAX: Duration = Duration::from_secs(600);

/// The most files whose sizes are asked for. Their mean is taken for the rest.
const WEIGHED_MAX: usize = 16;

/// The number of files above which their count is written down for the next links.
const MANY: usize = 1000;

/// The time for which the count is used. Within it, a quarter of [`FILES_MAX`] would have to come
/// to exceed the bound.
const COUNTED_MAX: Duration = Duration::from_secs(1);

/// The file with the count.
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

/// Why frames could not be put into the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The directory cannot be used.
    #[error("cannot use the spool {path}: {source}; set OGRT_SPOOL_DIR to a directory that you can write to", path = path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The default directory belongs to somebody else.
    #[error("the spool {path} belongs to another user, or others may write into it: set OGRT_SPOOL_DIR to a directory of your own", path = path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is full.
    #[error("the spool {path} is full with {files} files of {bytes} bytes: send them with `ogrt flush`", path = path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// The number of files that wait.
        files: usize,
        /// The number of bytes that wait.
        bytes: u64,
    },
}

/// The result of a flush.
#[derive(Debug, Default)]
pub struct FlushReport {
    /// The number of files that are durable at the server.
    pub sent: usize,
    /// The number of files that still wait.
    pub left: usize,
    /// The number of files that do not hold whole frames that a server takes, and were renamed to
    /// `.damaged`.
    pub damaged: usize,
    /// The error that stopped the flush.
    pub error: Option<DeliverError>,
}

impl SpoolDir {
    /// The spool of this user: `OGRT_SPOOL_DIR`, else `$XDG_STATE_HOME/ogrt/spool`, else
    /// `$HOME/.local/state/ogrt/spool`, else `/var/tmp/ogrt-spool-UID`.
    pub fn from_environment() -> SpoolDir {
        let set = |name: &str| environment::var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let uid = rustix::process::geteuid().as_raw();
        let path = set("OGRT_SPOOL_DIR")
            .or_else(|| set("XDG_STATE_HOME").map(|state| state.join("ogrt/spool")))
            .or_else(|| set("HOME").map(|home| home.join(".local/state/ogrt/spool")))
            .unwrap_or_else(|| PathBuf::from(format!("/var/tmp/ogrt-spool-{uid}")));
        SpoolDir { path }
    }

    /// The spool in this directory, which is created when a file is put in.
    pub fn at(path: impl Into<PathBuf>) -> SpoolDir {
        SpoolDir { path: path.into() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The reason why nothing can be put in, if there is one. The directory is created if it is
    /// missing.
    pub fn problem(&self) -> Option<SpoolError> {
        let writable = || rustix::fs::access(&self.path, Access::WRITE_OK | Access::EXEC_OK);
        self.make().and_then(|()| writable().map_err(|source| self.error(source.into()))).err()
    }

    /// Puts frames into the spool.
    pub fn put(&self, frames: &[u8]) -> Result<(), SpoolError> {
        self.put_as(frames, WAITING).map(drop)
    }

    /// Puts a record into the spool that must not be sent yet, and returns its file.
    pub fn put_unfinished(&self, frames: &[u8]) -> Result<PathBuf, SpoolError> {
        self.put_as(frames, UNFINISHED)
    }

    /// Claims an unfinished record whose finished form will be sent. `None` if it was sent already,
    /// as it was. If the process that claims it dies, the record is sent as it was.
    pub fn take_unfinished(&self, path: &Path) -> Option<UnfinishedClaim> {
        let claim = path.with_extension(&CLAIMED[1..]);
        std::fs::rename(path, &claim).ok()?;
        Some(UnfinishedClaim(Claim { path: claim }))
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

    /// Files wait, or may wait again later. Usually there are none, and then one read of the
    /// directory is enough.
    pub fn has_any(&self) -> bool {
        let Ok(mut entries) = std::fs::read_dir(&self.path) else { return false };
        let ours = [WAITING, CLAIMED, UNFINISHED, TEMPORARY];
        let is_ours = |name: &OsStr| ours.iter().any(|end| name.as_bytes().ends_with(end.as_bytes()));
        entries.any(|entry| entry.is_ok_and(|entry| is_ours(&entry.file_name())))
    }

    /// The files that wait, the oldest first.
    pub fn waiting(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            paths.filter(|path| path.as_os_str().as_bytes().ends_with(WAITING.as_bytes())).collect();
        files.sort();
        files
    }

    /// Sends at most `files_max` files over a connection, until `deadline`. Stops at the first
    /// failure.
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

    /// Creates the directory if it is missing.
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
        // Everybody may write in /var/tmp: a directory that another user put there is refused.
        let uid = rustix::process::geteuid().as_raw();
        if self.path.starts_with("/var/tmp") && (metadata.uid() != uid || metadata.mode() & 0o022 != 0) {
            return Err(SpoolError::NotOurs { path: self.path.clone() });
        }
        Ok(())
    }

    /// The number of files and of bytes. The bytes of many files are estimated from some, and the
    /// files are counted once a second: a link must not look at thousands.
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
            // A half-written count is ignored, and the files are counted again.
            let mut options = File::options();
            let count = options.write(true).create(true).truncate(true).mode(0o600);
            let _ = count
                .open(self.path.join(COUNTED))
                .and_then(|mut file| file.write_all(format!("{files} {bytes} ").as_bytes()));
        }
        (files, bytes)
    }

    /// The last count, if it is new enough. Near the bound it is not used.
    fn counted_lately(&self) -> Option<(usize, u64)> {
        let path = self.path.join(COUNTED);
        let age = std::fs::metadata(&path).ok()?.modified().ok()?.elapsed().ok()?;
        let text = (age < COUNTED_MAX).then(|| std::fs::read_to_string(path).ok())??;
        let mut words = text.strip_suffix(' ')?.split(' ');
        let (files, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        (files < FILES_MAX / 4 * 3).then_some((files, bytes))
    }

    /// Lets those files wait again that a process claimed or began, and did not finish.
    pub(super) fn take_back_dead_claims(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is = |suffix: &str| path.as_os_str().as_bytes().ends_with(suffix.as_bytes());
            // A claim is a rename, which changes the ctime only.
            let older = |max: Duration, time: fn(&std::fs::Metadata) -> i64| {
                std::fs::metadata(&path).is_ok_and(|metadata| seconds_since(time(&metadata)) > max.as_secs())
            };
            if is(CLAIMED) && older(CLAIM_MAX, MetadataExt::ctime) {
                Claim { path }.give_back();
            } else if is(UNFINISHED) && older(UNFINISHED_MAX, MetadataExt::mtime) {
                // The companion may claim it at this moment.
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

/// The claim on an unfinished record, which is being replaced by its finished form.
#[derive(Debug)]
pub struct UnfinishedClaim(Claim);

impl UnfinishedClaim {
    /// Deletes the unfinished form: the finished one is with the server, or in the spool.
    pub fn done(self) {
        self.0.done();
    }
}

/// A file that only this process is sending.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
}

impl Claim {
    fn take(waiting: &Path) -> Option<Claim> {
        let path = PathBuf::from(format!("{}.sending", waiting.to_str()?));
        // If another process was first, the file has another name now.
        std::fs::rename(waiting, &path).ok()?;
        Some(Claim { path })
    }

    /// The bytes, and the number of frames; `None` if the file is damaged. With each event stands
    /// whose file it was in: a server believes that of root, who sends the files of all users.
    fn frames(&self) -> Option<(Vec<u8>, u64)> {
        let mut file = File::open(&self.path).ok()?;
        let owner = file.metadata().ok()?.uid();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        spooled_frames(&bytes, owner)
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

/// The frames of a file of this user as they are sent, and their number; `None` if the file has no
/// frame, or one that is cut or that no server takes: it would end the stream for all others.
pub fn spooled_frames(mut rest: &[u8], owner: u32) -> Option<(Vec<u8>, u64)> {
    let (mut frames, mut count) = (Vec::with_capacity(rest.len() + 64), 0);
    while !rest.is_empty() {
        let (kind, message) = peek_frame(rest, FRAME_MAX).ok()??;
        if MessageType::try_from(kind as i32) == Ok(MessageType::Ack) || !is_protobuf(message) {
            return None;
        }
        let provenance = provenance(kind, owner);
        frames.extend_from_slice(&kind.to_be_bytes());
        frames.extend_from_slice(&u32::try_from(message.len() + provenance.len()).ok()?.to_be_bytes());
        frames.extend_from_slice(message);
        frames.extend_from_slice(&provenance);
        rest = &rest[FRAME_HEADER_LEN + message.len()..];
        count += 1;
    }
    (count > 0).then_some((frames, count))
}

/// Are these the fields of a protobuf message, as the server looks at them? No message has groups.
fn is_protobuf(mut message: &[u8]) -> bool {
    while !message.is_empty() {
        let Ok((number, kind)) = decode_key(&mut message) else { return false };
        let is_group = matches!(kind, WireType::StartGroup | WireType::EndGroup);
        if is_group || skip_field(kind, number, &mut message, DecodeContext::default()).is_err() {
            return false;
        }
    }
    true
}

/// What is appended to a message that was found in a file of this user: of two values of a field
/// the later counts.
fn provenance(kind: u32, owner: u32) -> Vec<u8> {
    let provenance = Some(Provenance { delivered_by: Some(owner), ..Provenance::default() });
    match MessageType::try_from(kind as i32) {
        Ok(MessageType::ProcessInfo) => ProcessInfo { provenance, ..ProcessInfo::default() }.encode_to_vec(),
        Ok(MessageType::ProcessEnd) => ProcessEnd { provenance, ..ProcessEnd::default() }.encode_to_vec(),
        _ => Vec::new(),
    }
}

fn seconds_since(unix_time_s: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    now.saturating_sub(unix_time_s.max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{Ack, BuildRecord, encode_frame};

    #[test]
    fn a_file_with_a_frame_that_ends_a_stream_is_damaged() {
        let good = encode_frame(MessageType::BuildRecord, &BuildRecord::default());
        assert!(spooled_frames(&good, 1).is_some());
        let frame = |kind: u32, message: &[u8]| {
            [&kind.to_be_bytes(), &(message.len() as u32).to_be_bytes(), message].concat()
        };
        let start = MessageType::ProcessInfo as u32;
        assert!(spooled_frames(&frame(start, &[0x0A, 1, b'x']), 1).is_some());
        for (bad, why) in [
            (frame(9999, &[]), "a type that is unknown"),
            (encode_frame(MessageType::Ack, &Ack::default()).to_vec(), "a type that a server sends"),
            (frame(start, &[0x0A, 9, b'x']), "a field that is cut"),
            (frame(start, &[0x00, 0x00]), "a field without a number"),
            (frame(start, &[0x0B, 0x0C]), "a group"),
            (frame(start, &[])[..7].to_vec(), "a header that is cut"),
            (frame(start, &vec![0; FRAME_MAX + 1]), "a message that is too long"),
        ] {
            assert_eq!(spooled_frames(&[&good[..], &bad].concat(), 1), None, "{why}");
        }
    }

    #[test]
    fn what_was_counted_holds_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let spool = SpoolDir::at(dir.path());
        let counted = dir.path().join(COUNTED);
        spool.put(b"frames").unwrap();
        assert!(!counted.exists(), "a few are counted in no time");
        // As large as frames, for some of them stand for all.
        (0..=MANY).for_each(|n| std::fs::write(dir.path().join(format!("{n}{WAITING}")), "123456").unwrap());
        spool.put(b"frames").unwrap();
        assert_eq!(std::fs::read_to_string(&counted).unwrap(), format!("{} {} ", MANY + 2, 6 * (MANY + 2)));

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
        // A count that is old, half written or near the bound is made again.
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
