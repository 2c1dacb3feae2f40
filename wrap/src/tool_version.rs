//! The first line of a tool's `--version`, asked once for each binary of the tool.
//!
//! Asking means running the tool, so the answer is kept under the tool's device, inode, size and mtime in the
//! cache directory. Without such a directory nobody is asked: a record without a version is better than a build
//! that runs every tool twice.

use crate::digest_cache::cache_dir;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longer lines are cut.
const LINE_BYTES_MAX: usize = 512;

/// The version of the tool at `path`, from the cache or from the tool.
pub fn tool_version(path: &Path) -> Option<String> {
    let remembered = remembered_at(&std::fs::metadata(path).ok()?)?;
    if let Ok(line) = std::fs::read_to_string(&remembered) {
        return (!line.is_empty()).then_some(line);
    }
    let line = ask(path).unwrap_or_default();
    let temporary = remembered.with_extension(uuid::Uuid::new_v4().simple().to_string());
    if std::fs::write(&temporary, &line).and_then(|()| std::fs::rename(&temporary, &remembered)).is_err() {
        // The next link asks again.
        let _ = std::fs::remove_file(&temporary);
    }
    (!line.is_empty()).then_some(line)
}

fn remembered_at(metadata: &Metadata) -> Option<PathBuf> {
    let dir = cache_dir()?.join("versions-1");
    std::fs::create_dir_all(&dir).ok()?;
    let (device, inode) = (metadata.dev(), metadata.ino());
    Some(dir.join(format!("{device:x}-{inode:x}-{:x}-{:x}", metadata.size(), metadata.mtime())))
}

fn ask(path: &Path) -> Option<String> {
    let output = Command::new(path)
        .arg("--version")
        .env("LC_ALL", "C")
        .env("OGRT_DISABLE", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    Some(line[..line.floor_char_boundary(LINE_BYTES_MAX)].to_owned())
}
