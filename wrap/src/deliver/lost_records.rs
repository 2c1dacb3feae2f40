//! The place where a user is told that records are lost: a file in the temporary directory.
//!
//! A link's output stays the tool's own, so nothing can be said there. The file is written once: a
//! build of thousands of links in a sandbox says it one time. When it has been read, delete it, and
//! the next loss is told. `ogrt doctor` shows it.

use crate::environment;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most that is read of the file.
const TEXT_MAX: u64 = 16 << 10;

/// The file: `ogrt-lost-UID` in `$TMPDIR`, or in `/tmp`.
pub fn path() -> PathBuf {
    let dir = environment::temporary_directory().unwrap_or_else(|| "/tmp".into());
    dir.join(format!("ogrt-lost-{}", rustix::process::geteuid().as_raw()))
}

/// Tells that the record of `output` is lost, unless a loss was told before. That it cannot be told
/// changes nothing for the link.
pub fn tell(output: &Path, why: &str, server: &str) {
    let text = format!(
        "OGRT lost the record of a build, and perhaps those of later ones. This file is written once: delete it \
         when you have read it.\n\
         output: {}\n\
         server: {server} did not take the record\n\
         spool: {why}\n",
        // One line, whatever the name holds.
        output.display().to_string().escape_default()
    );
    // A link that somebody else has put there is not followed.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path());
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
}

/// What was told, if this user's file is there.
pub fn told() -> Option<String> {
    let path = path();
    let metadata = fs::symlink_metadata(&path).ok()?;
    let is_ours = metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
    (is_ours && metadata.len() <= TEXT_MAX).then(|| fs::read_to_string(&path).ok()).flatten()
}
