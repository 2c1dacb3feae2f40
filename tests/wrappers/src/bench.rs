//! A place to build in, where a command can be run with us and without us under the same
//! conditions.

use crate::prefix::prefix;
use ogrt_proto::{BuildRecord, MessageType, decode_frame};
use ogrt_wrap::deliver::spool::SpoolDir;
use prost::Message;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest wait for a companion, which runs at a low priority on a loaded machine.
const COMPANION_TIME: Duration = Duration::from_secs(60);

/// The end of a command, and its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// A directory with sources, and a spool beside it.
#[derive(Debug)]
pub struct Bench {
    root: TempDir,
    runs: AtomicUsize,
    variables: BTreeMap<&'static str, OsString>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// An empty bench. Its server is a port where nobody listens, so every record is spooled.
    pub fn new() -> Bench {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(root.path().join("work")).expect("a directory");
        let mut bench = Bench { root, runs: AtomicUsize::new(0), variables: BTreeMap::new() };
        bench.set("OGRT_SERVER", "127.0.0.1:1");
        bench.set("OGRT_SPOOL_DIR", bench.spool().path().to_owned());
        bench.set("XDG_CACHE_HOME", bench.path("../cache"));
        bench.set("LC_ALL", "C");
        bench
    }

    /// Sets a variable for every command.
    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) -> &mut Bench {
        self.variables.insert(name, value.into());
        self
    }

    /// The directory in which commands run.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file in the directory.
    pub fn write(&self, name: &str, text: &str) -> &Bench {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a source file");
        self
    }

    /// Two sources of a program that prints `answer 42` and leaves with 3.
    pub fn with_program(self) -> Bench {
        self.write(
            "main.c",
            "#include <stdio.h>\nint answer(void);\n\
             int main(void) { printf(\"answer %d\\n\", answer()); return 3; }\n",
        );
        self.write("answer.c", "int answer(void) { return 42; }\n");
        self
    }

    /// The spool of the records.
    pub fn spool(&self) -> SpoolDir {
        SpoolDir::at(self.root.path().join("spool"))
    }

    /// Companions are still at work on records of large links.
    pub fn has_unfinished(&self) -> bool {
        let files = fs::read_dir(self.spool().path()).into_iter().flatten().flatten();
        files.into_iter().any(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.ends_with(".unfinished") || name.ends_with(".sending")
        })
    }

    /// The records in the spool, in order; waits for those of large links.
    pub fn spooled(&self) -> Vec<BuildRecord> {
        let deadline = Instant::now() + COMPANION_TIME;
        while self.has_unfinished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.spool().waiting().iter().flat_map(|path| records_in(path)).collect()
    }

    /// Runs a shell line with our `bin` in front on PATH.
    pub fn ours(&self, line: &str) -> Outcome {
        self.run(line, &format!("{}:{}", prefix().join("bin").display(), system_path()))
    }

    /// Runs a shell line with our linkers in front on PATH, and nothing else of ours.
    pub fn ours_as_linkers(&self, line: &str) -> Outcome {
        self.run(line, &format!("{}:{}", prefix().join("libexec/ogrt").display(), system_path()))
    }

    /// Runs a shell line with this PATH.
    pub fn run(&self, line: &str, path: &str) -> Outcome {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        // Output goes to files, so that a process left behind cannot keep the test waiting.
        let stream = |name: &str| self.root.path().join(format!("{name}-{run}"));
        let (out, err) = (stream("stdout"), stream("stderr"));
        let status = Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(self.dir())
            .env_remove("OGRT_DISABLE")
            .env_remove("SOURCE_DATE_EPOCH")
            .env("PATH", path)
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out).expect("a file"))
            .stderr(fs::File::create(&err).expect("a file"))
            .status()
            .expect("a shell");
        let text = |path| String::from_utf8_lossy(&fs::read(path).expect("its output")).into_owned();
        Outcome { code: status.code(), signal: status.signal(), stdout: text(&out), stderr: text(&err) }
    }

    /// Runs a line that has to succeed without a word.
    pub fn ours_succeeds(&self, line: &str) {
        let outcome = self.ours(line);
        assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{line}\n{outcome:#?}");
    }

    /// Runs a line without us.
    pub fn bare(&self, line: &str) -> Outcome {
        self.run(line, &system_path())
    }
}

/// A script in the bench's directory.
pub fn executable(bench: &Bench, name: &str, text: &str) {
    bench.write(name, text);
    fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// The tool is on PATH. If not, this prints a line, and is a failure in CI.
pub fn has_tool(name: &str) -> bool {
    let found = std::env::split_paths(&system_path()).any(|dir| dir.join(name).is_file());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "needs {name}, and in CI a missing tool is a failure");
        println!("skipped: needs {name}");
    }
    found
}

/// The records in a file of frames.
fn records_in(path: &Path) -> Vec<BuildRecord> {
    let mut bytes = bytes::BytesMut::from(&fs::read(path).expect("a spooled file")[..]);
    let mut records = Vec::new();
    while let Some(frame) = decode_frame(&mut bytes, ogrt_proto::FRAME_MAX).expect("whole frames") {
        assert_eq!(frame.message_type(), Some(MessageType::BuildRecord));
        records.push(BuildRecord::decode(frame.message).expect("a record"));
    }
    records
}

fn system_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into())
}
