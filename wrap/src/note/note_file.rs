//! The file of the note object, which exists while the linker reads it.
//!
//! A memory file, named through `/proc/self/fd`: nothing is written to a disk, nothing is left
//! behind however the link ends, and an unwritable or full temporary directory does not matter. The
//! linker inherits the descriptor under a fixed number, so that maps and traces name the same file
//! every time. Where that cannot work (no `/proc`; a tool that was seen to close descriptors) it is
//! a temporary file, removed afterwards.

use crate::environment;
use crate::line::our_note::{DESCRIPTOR, DISK_PREFIX};
use crate::tool::caller_signals;
use rustix::fs::{AtFlags, CWD, MemfdFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::FdFlags;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A linker that may open fewer files than this gets no file of ours. Above it, one file more does
/// no harm: GNU ld keeps at most an eighth of the limit open (at least ten files). gold closes
/// files when it runs out, and lld and mold close each file that they have mapped.
const DESCRIPTORS_MIN: u64 = 32;

/// The kind of file that a tool can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A memory file that the tool inherits. Where that cannot be, a temporary file.
    Memory,
    /// A temporary file, whose name ends in `.o`.
    Disk,
}

/// A file with the note object; it is deleted with this value.
#[derive(Debug)]
pub struct NoteFile {
    path: PathBuf,
    descriptor: Option<OwnedFd>,
    /// Its time of access was set to the epoch, so that reading shows.
    is_watched: bool,
}

impl NoteFile {
    /// Writes the object to a file.
    ///
    /// Fails for a tool that may open few files: it could fail because of one file more.
    pub fn create(object: &[u8], medium: Medium) -> io::Result<NoteFile> {
        check_limit()?;
        match medium {
            Medium::Memory => in_memory(object).or_else(|_| on_disk(object)),
            Medium::Disk => on_disk(object),
        }
    }

    /// Watches whether the file is read.
    pub fn watch(&mut self) {
        let epoch = Timespec { tv_sec: 0, tv_nsec: 0 };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // A file system may note an access only if it is the first after a modification.
        let times = Timestamps { last_access: epoch, last_modification: now };
        self.is_watched = rustix::fs::utimensat(CWD, &self.path, &times, AtFlags::empty()).is_ok();
    }

    /// It is known that nobody has read the file.
    pub fn was_left_unread(&self) -> bool {
        let unread = || std::fs::metadata(&self.path).is_ok_and(|file| file.atime() == 0);
        // Some file systems note no access at all: then ours does not show either.
        self.is_watched && unread() && std::fs::read(&self.path).is_ok() && !unread()
    }

    /// The name of the file for the linker.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for NoteFile {
    fn drop(&mut self) {
        if self.descriptor.is_none() {
            // It may have been deleted by somebody else.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn check_limit() -> io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if limit.is_some_and(|limit| limit < DESCRIPTORS_MIN) {
        return Err(rustix::io::Errno::MFILE.into());
    }
    Ok(())
}

fn in_memory(object: &[u8]) -> io::Result<NoteFile> {
    // A process may always open its own descriptors there, so only a missing /proc leaves the file
    // without a name.
    if !caller_signals::are_known() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let first = rustix::fs::memfd_create("ogrt-note.o", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(rustix::io::fcntl_dupfd_cloexec(&first, DESCRIPTOR)?);
    file.write_all(object)?;
    let descriptor = OwnedFd::from(file);
    rustix::io::fcntl_setfd(&descriptor, FdFlags::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    Ok(NoteFile { path, descriptor: Some(descriptor), is_watched: false })
}

fn on_disk(object: &[u8]) -> io::Result<NoteFile> {
    let dirs = environment::temporary_directory()
        .into_iter()
        .chain(["/tmp", "/dev/shm", "/var/tmp"].map(PathBuf::from));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for dir in dirs {
        let path = dir.join(format!("{DISK_PREFIX}{}.o", uuid::Uuid::new_v4().simple()));
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                let note = NoteFile { path, descriptor: None, is_watched: false };
                match file.write_all(object) {
                    Ok(()) => return Ok(note),
                    Err(error) => last = error,
                }
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
