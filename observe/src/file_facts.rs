//! What is known of files that are run or loaded: read once, as long as they do not change.

use crate::program_file::{FileKind, ProgramFile};
use rustix::{
    fs::{fgetxattr, fstat},
    io::Errno,
};
use std::{collections::HashMap, fs::File, os::fd::AsRawFd, rc::Rc};

/// Files whose content is remembered: about 2 MB.
const FILES_MAX: usize = 4096;

/// The bits of a mode by which a program gets the rights of its file's owner, or group.
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2010;

/// A file as the kernel names it: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u64, pub u64);

/// A file that has not changed since.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FileVersion {
    id: FileId,
    size: i64,
    changed: (i64, i64),
}

/// What is known of a file that is run.
pub struct FileFacts {
    /// What its content says.
    pub content: ProgramFile,
    /// The mode's bits, the owner and the group.
    mode: u32,
    owner: (u32, u32),
    /// The file gives rights of its own (file capabilities).
    has_capabilities: bool,
}

impl FileFacts {
    /// The program may get more rights than its caller has. Then libogrt.so may be left out.
    pub fn may_be_secure(&self) -> bool {
        self.has_capabilities || self.mode & SET_USER != 0 || self.mode & SET_GROUP == SET_GROUP
    }

    /// True if libogrt.so may not tell of its start.
    pub fn is_told_from_outside(&self) -> bool {
        match self.content.kind {
            FileKind::Static => true,
            FileKind::Dynamic => self.may_be_secure(),
            FileKind::Library | FileKind::Other => false,
        }
    }

    /// True if it gives this user more rights, where the kernel no longer tells.
    pub fn gives_more(&self, uid: u32, gid: u32) -> bool {
        let (owner, group) = self.owner;
        self.mode & SET_USER != 0 && owner != uid
            || self.mode & SET_GROUP == SET_GROUP && group != gid
            || self.has_capabilities && uid != 0
    }
}

/// See the module.
#[derive(Default)]
pub struct FileCache(HashMap<FileVersion, Rc<FileFacts>>);

impl FileCache {
    /// What is known of a file.
    pub fn facts(&mut self, file: &File) -> Option<(FileId, Rc<FileFacts>)> {
        let status = fstat(file).ok()?;
        let id = FileId(status.st_dev, status.st_ino);
        let changed = (status.st_ctime, status.st_ctime_nsec.cast_signed());
        let version = FileVersion { id, size: status.st_size, changed };
        if let Some(known) = self.0.get(&version) {
            return Some((id, known.clone()));
        }
        let content = ProgramFile::read(file);
        let facts = Rc::new(FileFacts {
            has_capabilities: content.kind == FileKind::Dynamic && has_capabilities(file),
            content,
            mode: status.st_mode,
            owner: (status.st_uid, status.st_gid),
        });
        if self.0.len() >= FILES_MAX {
            self.0.clear();
        }
        self.0.insert(version, facts.clone());
        Some((id, facts))
    }
}

/// The path of an open file, as the kernel knows it.
pub fn path_of(file: &File) -> Vec<u8> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new());
    link.map(|path| path.into_bytes()).unwrap_or_default()
}

fn has_capabilities(file: &File) -> bool {
    let mut value = [0_u8; 64];
    match fgetxattr(file, "security.capability", &mut value[..]) {
        Ok(length) => length > 0,
        Err(Errno::RANGE) => true,
        Err(_) => false,
    }
}
