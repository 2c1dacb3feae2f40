//! One run of a case, and everything of it that a user could notice.

use crate::Case;
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Everything that a run shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status or signal of the shell that ran the case.
    pub status: String,
    /// Files that the run left behind: path to mode and content.
    pub files: BTreeMap<PathBuf, String>,
}

/// The folders of one case, with the same paths in every run.
#[derive(Debug)]
pub struct Stage {
    root: PathBuf,
}

impl Stage {
    /// Makes the folders and runs the case's preparation.
    pub fn prepare(root: PathBuf, case: &Case) -> Result<Stage> {
        let stage = Stage { root };
        fs::create_dir_all(stage.root.join("prepared"))?;
        let output = stage.shell(&case.prepare, &stage.root.join("prepared")).output()?;
        ensure!(
            output.status.success(),
            "{}: preparation failed: {}{}",
            case.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(stage)
    }

    /// The socket that OGRT_SERVER names.
    pub fn socket(&self) -> PathBuf {
        self.root.join("ogrt.sock")
    }

    /// Runs the case once, with `library` under the name `libogrt.so` in the variable `mode`.
    pub fn run(&self, case: &Case, mode: &str, library: &Path) -> Result<Observation> {
        let work = self.root.join("work");
        let status = Command::new("cp").arg("-a").arg(self.root.join("prepared")).arg(&work).status()?;
        ensure!(status.success(), "cannot copy to {}", work.display());
        let named = self.root.join("libogrt.so");
        // Another inode each time: the file may still be mapped by a process of the run before.
        let _ = fs::remove_file(&named);
        fs::copy(library, &named)?;
        let output = self
            .shell(&case.run, &work)
            .env(mode, &named)
            .env("OGRT_ACTIVE", "1")
            .env("OGRT_SERVER", format!("unix:{}", self.socket().display()))
            .env("JOBID", "behaviour")
            .output()
            .with_context(|| format!("{}: sh", case.name))?;
        let observation = Observation {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: match (output.status.code(), output.status.signal()) {
                (Some(code), _) => format!("exit {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            },
            files: files_below(&work)?,
        };
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
        Ok(observation)
    }

    fn shell(&self, text: &str, folder: &Path) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", text])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        shell
    }
}

/// Short content is kept as text, so that a difference can be shown; longer content as its length
/// and a sum.
fn files_below(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = if meta.is_file() { fs::read(entry.path())? } else { Vec::new() };
            let content = if bytes.len() < 400 {
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                    (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
                });
                format!("{} bytes, sum {sum:016x}", bytes.len())
            };
            files.insert(entry.path(), format!("{:o} {content}", meta.permissions().mode()));
        }
    }
    Ok(files)
}
