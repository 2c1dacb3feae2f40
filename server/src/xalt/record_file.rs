//! A file of an import, opened with care.
//!
//! Users write these files, and root reads them. So no symbolic link is followed, nothing but a
//! regular file is opened for longer than it takes to see that, and each record is bounded.

use super::findings::Unusable;
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    Link,
    Package,
    Run,
}

impl RecordKind {
    /// The word in names of files, and in a syslog.
    pub fn text(self) -> &'static str {
        match self {
            RecordKind::Link => "link",
            RecordKind::Package => "pkg",
            RecordKind::Run => "run",
        }
    }

    /// True for `run.SYSTEM.DATE.USER.zzz.UUID.json` and its like.
    pub fn is_of(self, name: &str) -> bool {
        let rest = name.strip_prefix(self.text()).and_then(|rest| rest.strip_suffix(".json"));
        rest.is_some_and(|rest| rest.starts_with('.'))
    }
}

/// Largest record: its environment and its libraries are in it.
pub const RECORD_MAX: u64 = 8 << 20;

/// Opens a regular file, and nothing else.
pub fn open(path: &Path) -> Result<File, Unusable> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(Unusable::Irregular),
        Err(_) => return Err(Unusable::Unreadable),
    };
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        _ => Err(Unusable::Irregular),
    }
}

/// The text of a record.
pub fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    let mut text = Vec::new();
    match open(path)?.take(RECORD_MAX + 1).read_to_end(&mut text) {
        Ok(_) if text.len() as u64 > RECORD_MAX => Err(Unusable::TooLarge),
        Ok(_) => Ok(text),
        Err(problem) if problem.kind() == io::ErrorKind::OutOfMemory => Err(Unusable::TooLarge),
        Err(_) => Err(Unusable::Unreadable),
    }
}
