//! The first line of a tool's `--version`, asked once for each binary of the tool.
//!
//! Asking means running the tool, so the answer is kept under the tool's device, inode, size and mtime in the
//! cache directory. Without such a directory nobody is asked: a record without a version is better than a build
//! that runs every tool twice.

use crate::digest_cache::cache_dir;
use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a tool may take. It is asked while the linker runs, once.
const ANSWER_TIME: Duration = Duration::from_millis(300);

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
    // A memory file, since a pipe would have to be read while waiting.
    let answer = rustix::fs::memfd_create("version", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
    let mut answer = File::from(answer);
    let tool = Command::new(path)
        .arg("--version")
        .env("LC_ALL", "C")
        .env("OGRT_DISABLE", "1")
        .stdin(Stdio::null())
        .stdout(answer.try_clone().ok()?)
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    ended_in_time(tool).then_some(())?;
    let mut start = Vec::new();
    answer.rewind().ok()?;
    answer.take(LINE_BYTES_MAX as u64).read_to_end(&mut start).ok()?;
    Some(String::from_utf8_lossy(&start).lines().next()?.trim().to_owned())
}

/// Waits for the tool; ends it when its time is over.
fn ended_in_time(mut tool: Child) -> bool {
    const STEP: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + ANSWER_TIME;
    loop {
        match tool.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(STEP),
            Ok(None) | Err(_) => {
                // It may end at this moment; either way it is collected.
                let _ = tool.kill();
                let _ = tool.wait();
                return false;
            }
        }
    }
}
