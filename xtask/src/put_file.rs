//! One file into an installation: made under another name and then renamed.
//!
//! So a running program, or a build that reads the old file, never meets half of the new one.

use anyhow::{Context, Result};
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Copies a file, with its permissions, into a folder.
pub fn copy(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().with_context(|| format!("{}: the path has no file name", file.display()))?;
    replace(&folder.join(name), |new| copy_in_one_piece(file, new))
        .with_context(|| format!("cannot copy {} to {}", file.display(), folder.display()))
}

/// One write lets the kernel hold the file in large pieces: a program that starts then finds more
/// of itself at each page fault.
fn copy_in_one_piece(from: &Path, to: &Path) -> io::Result<()> {
    fs::write(to, fs::read(from)?)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Writes a text into a file.
pub fn write(path: &Path, text: &str) -> Result<()> {
    replace(path, |new| fs::write(new, text)).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes `name` a symbolic link to `target`.
pub fn link(target: &Path, name: &Path) -> Result<()> {
    replace(name, |new| symlink(target, new)).with_context(|| format!("cannot link {}", name.display()))
}

/// Has `make` create the file under another name, then gives it its own.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let result = make(&new).and_then(|()| fs::rename(&new, path));
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result
}
