//! A package as its manager's lists tell it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Largest list of a package manager, in bytes.
const LIST_BYTES_MAX: u64 = 256 << 20;

/// A package and the files that it installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// What people call the software.
    pub software: String,
    pub version: String,
    /// The name of the package itself.
    pub name: String,
    /// The kind of package: dpkg, rpm, conda and so on.
    pub packager: &'static str,
    /// The paths of its files, as a process would name them.
    pub files: Vec<PathBuf>,
}

/// The reason why packages cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadProblem {
    /// A list could not be read.
    #[error("{path}: {cause}", path = .path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// A list was read, and is something else.
    #[error("{path}: {why}", path = .path.display())]
    Wrong { path: PathBuf, why: String },
}

impl ReadProblem {
    /// A list is not what it should be.
    pub fn wrong(path: &Path, why: impl ToString) -> Self {
        ReadProblem::Wrong { path: path.to_owned(), why: why.to_string() }
    }
}

/// Reads a list. Names need not be UTF-8, and text that is not is no name of ours.
pub fn read_list(path: &Path) -> Result<String, ReadProblem> {
    let unreadable = |cause| ReadProblem::Unreadable { path: path.to_owned(), cause };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ReadProblem::wrong(path, "not a regular file"));
    }
    let mut bytes = Vec::new();
    // What became a pipe meanwhile does not hold us up.
    let file = File::options().read(true).custom_flags(NONBLOCK).open(path).map_err(unreadable)?;
    let read = file.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if read as u64 > LIST_BYTES_MAX {
        return Err(ReadProblem::wrong(path, format!("larger than {LIST_BYTES_MAX} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `O_NONBLOCK`.
pub const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;
