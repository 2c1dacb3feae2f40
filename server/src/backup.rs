//! `ogrt-server backup`: all that a server keeps, in a directory that another can start from.

use crate::{config::Config, database::Store, outputs::DEAD_LETTERS};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Name of the tokens' file in a data directory.
const TOKENS: &str = "tokens";

/// Writes a data directory like the server's own to `to`, which must be empty or not exist. It
/// appears there when it is whole. Returns how many bytes the database has.
pub fn backup(config: &Config, to: &Path) -> Result<u64> {
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: a backup goes to a directory of its own", to.display());
    }
    let part = beside(to)?;
    let made = fill(config, &part).and_then(|bytes| {
        fs::rename(&part, to).with_context(|| format!("cannot rename it to {}", to.display()))?;
        sync(to.parent().unwrap_or(to))?;
        Ok(bytes)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    made.with_context(|| format!("cannot back up {}", config.data_dir.display()))
}

fn beside(to: &Path) -> Result<PathBuf> {
    let mut name = to.file_name().with_context(|| format!("{} is not a name", to.display()))?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    Ok(to.with_file_name(name))
}

fn fill(config: &Config, part: &Path) -> Result<u64> {
    DirBuilder::new().mode(0o700).create(part).with_context(|| format!("cannot make {}", part.display()))?;
    // Where both are on one disk, the server must be able to go on.
    let same_disk = fs::metadata(part)?.dev() == fs::metadata(&config.data_dir)?.dev();
    let spare = if same_disk { config.queue.disk_free_min.0 } else { 0 };
    let bytes = Store::copy(&config.data_dir, part, spare)?;
    copy_files(&config.data_dir, part)?;
    copy_if_there(&config.tokens_file(), &part.join(TOKENS))?;
    let letters = config.data_dir.join(DEAD_LETTERS);
    if letters.is_dir() {
        DirBuilder::new().mode(0o700).create(part.join(DEAD_LETTERS))?;
        copy_files(&letters, &part.join(DEAD_LETTERS))?;
    }
    sync(part)?;
    Ok(bytes)
}

/// Copies the files that lie in a directory itself.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            copy_if_there(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    sync(to)
}

/// Copies a file with its permissions, if it exists.
fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    match fs::copy(from, to) {
        Ok(_) => sync(to),
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(()),
        Err(problem) => Err(problem).with_context(|| format!("cannot copy {}", from.display())),
    }
}

fn sync(path: &Path) -> Result<()> {
    // "" is the directory that we are in.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot synchronise {}", path.display()))
}
