//! Questions to a tool, asked once: its version, and whether it can be led to us.
//!
//! Asking means running the tool, so the answer is kept in the cache directory under the tool's
//! device, inode, size and mtime. An empty answer says that the tool failed. It may have failed for
//! a passing cause (a full disk, no memory left), so it holds for an hour only.

use crate::cache_dir::cache_dir;
use crate::small_file;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest time that a tool may take to print its version. A tool of a hundred megabytes needs
/// most of a second on a busy node, and none is asked twice in an hour.
const VERSION_TIME: Duration = Duration::from_secs(3);

/// The time for which a failure holds.
const FAILURE_HOLDS: Duration = Duration::from_secs(60 * 60);

/// The bytes of a line after which it is cut.
const LINE_BYTES_MAX: usize = 512;

/// The first line of the tool's `--version`. The tool is not asked where the answer cannot be kept:
/// a record without a version is better than a build that runs every tool twice.
pub fn version(tool: &Path) -> Option<String> {
    let kept = KeptAnswer::about("versions-1", tool, &[])?;
    let line = match kept.answer() {
        Some(line) => line,
        None if !kept.has_directory() => return None,
        None => {
            let question = Question {
                arguments: vec!["--version".into()],
                set: vec![("OGRT_DISABLE", "1".into())],
                patience: VERSION_TIME,
            };
            let answer = question.ask(tool).map(|answer| first_line(&answer)).unwrap_or_default();
            kept.keep(&answer);
            answer
        }
    };
    (!line.is_empty()).then_some(line)
}

/// A question to a tool: a call of which only the output counts.
#[derive(Debug)]
pub struct Question {
    /// The arguments after `argv[0]`.
    pub arguments: Vec<OsString>,
    /// Variables that are set for the tool.
    pub set: Vec<(&'static str, OsString)>,
    /// The longest time that the tool may take.
    pub patience: Duration,
}

/// What the tool printed, whatever its exit status.
#[derive(Debug)]
pub struct Answer {
    /// The start of standard output.
    pub stdout: String,
    /// The start of standard error.
    pub stderr: String,
}

impl Question {
    /// Runs the tool. `None` if it cannot be run, or takes too long.
    pub fn ask(&self, tool: &Path) -> Option<Answer> {
        const BYTES_MAX: u64 = 4 * 1024 * 1024;
        // Memory files, since pipes would have to be read while waiting.
        let memory =
            || rustix::fs::memfd_create("answer", rustix::fs::MemfdFlags::CLOEXEC).ok().map(File::from);
        let (stdout, stderr) = (memory()?, memory()?);
        let child = Command::new(tool)
            .args(&self.arguments)
            .env("LC_ALL", "C")
            .envs(self.set.iter().cloned())
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().ok()?)
            .stderr(stderr.try_clone().ok()?)
            .spawn()
            .ok()?;
        if !ended_in_time(child, self.patience) {
            return None;
        }
        let text = |mut file: File| {
            let mut bytes = Vec::new();
            file.rewind().ok()?;
            file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        Some(Answer { stdout: text(stdout)?, stderr: text(stderr)? })
    }
}

/// The file that keeps the answer to one question to one tool.
#[derive(Debug)]
pub struct KeptAnswer {
    path: PathBuf,
}

impl KeptAnswer {
    /// The file for a question of this kind, with these details, to this tool. `None` where nothing
    /// can be kept.
    pub fn about(kind: &str, tool: &Path, details: &[&OsStr]) -> Option<KeptAnswer> {
        let metadata = std::fs::metadata(tool).ok()?;
        let dir = cache_dir()?.join(kind);
        let (device, inode) = (metadata.dev(), metadata.ino());
        let mut name = format!("{device:x}-{inode:x}-{:x}-{:x}", metadata.size(), metadata.mtime());
        if !details.is_empty() {
            // Not SHA-256: its crate first asks the processor for its features, and every
            // compilation would wait for that.
            let mut hasher = DefaultHasher::new();
            details.hash(&mut hasher);
            name += &format!("{:016x}", hasher.finish());
        }
        Some(KeptAnswer { path: dir.join(name) })
    }

    /// The answer, if one was kept and still holds.
    pub fn answer(&self) -> Option<String> {
        let file = small_file::open(&self.path).ok()?;
        let kept = small_file::rest(&file, LINE_BYTES_MAX).ok()?;
        let holds = || file.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age < FAILURE_HOLDS);
        if kept.is_empty() && holds() != Some(true) {
            return None;
        }
        String::from_utf8(kept).ok()
    }

    /// There is a directory for the file.
    fn has_directory(&self) -> bool {
        self.path.parent().is_some_and(|dir| dir.is_dir() || std::fs::create_dir_all(dir).is_ok())
    }

    /// Keeps the answer, an empty one for a failure. If that fails, the next wrapper asks again.
    pub fn keep(&self, answer: &str) {
        if !self.has_directory() {
            return;
        }
        let temporary = self.path.with_extension(uuid::Uuid::new_v4().simple().to_string());
        if std::fs::write(&temporary, answer).and_then(|()| std::fs::rename(&temporary, &self.path)).is_err()
        {
            let _ = std::fs::remove_file(&temporary);
        }
    }
}

fn first_line(answer: &Answer) -> String {
    let line = answer.stdout.lines().next().unwrap_or_default().trim();
    line[..line.floor_char_boundary(LINE_BYTES_MAX)].to_owned()
}

/// Waits for the tool, and kills it when its time is over.
fn ended_in_time(mut tool: Child, patience: Duration) -> bool {
    const STEP: Duration = Duration::from_millis(1);
    let deadline = Instant::now() + patience;
    loop {
        match tool.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(STEP),
            Ok(None) | Err(_) => {
                // It may end at this moment; it is waited for either way.
                let _ = tool.kill();
                let _ = tool.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_failure_holds_for_a_time_and_an_answer_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptAnswer { path: dir.path().join("kind/tool") };
        let age = |hours: u64| {
            let file = File::options().write(true).open(&kept.path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600 + 1)).unwrap();
        };
        for (answer, after_an_hour) in [("memory", Some("memory")), ("", None)] {
            kept.keep(answer);
            assert_eq!(kept.answer().as_deref(), Some(answer));
            age(1);
            assert_eq!(kept.answer().as_deref(), after_an_hour);
        }
        let file = File::options().write(true).open(&kept.path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert_eq!(kept.answer(), None, "a clock that was put back");
    }
}
