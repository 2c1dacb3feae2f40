//! Compilers and linkers with our wrappers, found out by trying each.
//!
//! A small program is linked by each compiler with each linker that it takes, and a small library
//! by each linker alone; then the output's notes and the record in a spool of the trial's own tell
//! what happened. The server is not told, and nothing is left behind.

use crate::elf_notes;
use anyhow::{Context, Result};
use ogrt_proto::{BuildRecord, FRAME_MAX, MessageType, decode_frame};
use ogrt_wrap::deliver::spool::SpoolDir;
use ogrt_wrap::tool::known_tools::{self, Language};
use prost::Message;
use serde::Serialize;
use std::{
    collections::HashSet,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The result of all trials.
#[derive(Serialize)]
pub struct ToolchainReport {
    /// The prefix whose wrappers were tried.
    pub wrappers: PathBuf,
    /// The server that records would go to.
    pub server: String,
    /// True where the server answers.
    pub server_answers: bool,
    /// The directory where records wait while no server answers.
    pub spool: PathBuf,
    /// The number of files that wait there.
    pub spooled: usize,
    /// Why records cannot wait there; `None` where they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_problem: Option<String>,
    /// What a link has told of a record that was lost, and the file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// Why programs cannot send events there; `None` where they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_problem: Option<String>,
    /// What the server's kernel tells of processes that end, as `/healthz` says it; `None` where no
    /// server answers at OGRT_HTTP.
    pub follow: Option<String>,
    /// True where ogrt-observe is connected to the server; `None` where no server answers.
    pub observe: Option<bool>,
    /// True where the CPU time and the memory of processes are exact; `None` as above.
    pub accounting: Option<bool>,
    /// Each compiler with each linker.
    pub compilers: Vec<LinkTrial>,
    /// Each linker called without a compiler.
    pub linkers: Vec<LinkTrial>,
}

/// One compiler with one linker, or a linker alone.
#[derive(Serialize)]
pub struct LinkTrial {
    /// The tool that was called.
    pub tool: PathBuf,
    /// `default`, the value of `-fuse-ld=`, or `alone` for a linker without a compiler.
    pub linker: String,
    pub route: Route,
    /// The path of the real linker, as the record has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_linker: Option<String>,
    /// Why the link was not marked, as the record has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of a link with our wrappers.
struct Outcome {
    route: Route,
    real_linker: Option<String>,
    reason: Option<String>,
}

/// How a link comes to its note and its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The driver ran `ogrt-ld`.
    Linker,
    /// `ogrt-cc` put the note on the driver's command line itself.
    ByHand,
    /// The link works, but has no note or no record.
    NotMarked,
    /// The link works without our wrappers, and fails with them.
    Broken,
}

/// The temporary directory of the trials. It is deleted at the end.
pub struct TrialDirectory {
    dir: PathBuf,
    prefix: PathBuf,
}

impl Drop for TrialDirectory {
    fn drop(&mut self) {
        // What cannot be deleted stays in the temporary directory, where it does no harm.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl TrialDirectory {
    /// Makes the directory, with a small source for each language.
    pub fn open(prefix: PathBuf) -> Result<TrialDirectory> {
        let dir = env::temp_dir().join(format!("ogrt-doctor-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let ward = TrialDirectory { dir, prefix };
        for (name, text) in [
            ("try.c", "int answer(void) { return 42; }\nint main(void) { return 0; }\n"),
            ("try.cc", "int main() { return 0; }\n"),
            ("try.f90", "end\n"),
        ] {
            fs::write(ward.dir.join(name), text).with_context(|| ward.dir.display().to_string())?;
        }
        Ok(ward)
    }

    /// Tries each compiler on PATH with each linker.
    pub fn try_compilers(&self) -> Vec<LinkTrial> {
        let mut trials = Vec::new();
        for (compiler, language) in self.compilers(&path_dirs()) {
            let source = match language {
                Language::C => "try.c",
                Language::Cxx => "try.cc",
                Language::Fortran => "try.f90",
            };
            if !self.runs(Command::new(&compiler).args(["-fPIC", "-c", source, "-o", "try.o"])) {
                continue;
            }
            for linker in std::iter::once("default").chain(choices()) {
                let choice = (linker != "default").then(|| format!("-fuse-ld={linker}"));
                let arguments: Vec<&str> =
                    choice.as_deref().into_iter().chain(["try.o", "-o", "out"]).collect();
                let ours = self.prefix.join("bin/ogrt-cc");
                let mut with_us = Command::new(ours);
                with_us.arg(&compiler).args(&arguments);
                let trial = self.compare(Command::new(&compiler).args(&arguments), &mut with_us);
                trials.extend(trial.map(|Outcome { route, real_linker, reason }| LinkTrial {
                    tool: compiler.clone(),
                    linker: linker.to_owned(),
                    route,
                    real_linker,
                    reason,
                }));
            }
        }
        trials
    }

    /// Tries each linker on PATH, as a build calls it that links without a compiler.
    pub fn try_linkers(&self) -> Vec<LinkTrial> {
        let path = path_dirs();
        let mut names = known_tools::drivers().filter(|(_, language, _)| *language == Language::C);
        let Some(compiler) = names.find_map(|(name, ..)| self.find(name, &path)) else { return Vec::new() };
        if !self.runs(Command::new(compiler).args(["-fPIC", "-c", "try.c", "-o", "try.o"])) {
            return Vec::new();
        }
        let linkers = self.linkers(&path).into_iter();
        linkers
            .filter_map(|(name, tool)| {
                let arguments = ["-shared", "try.o", "-o", "out"];
                let ours = self.prefix.join("libexec/ogrt").join(name);
                let Outcome { route, real_linker, reason } =
                    self.compare(Command::new(&tool).args(arguments), Command::new(ours).args(arguments))?;
                Some(LinkTrial { tool, linker: "alone".to_owned(), route, real_linker, reason })
            })
            .collect()
    }

    /// The compilers in these directories that we know by name, also with a version behind it or a
    /// target in front. One file is tried once for each language.
    fn compilers(&self, path: &[PathBuf]) -> Vec<(PathBuf, Language)> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut names: Vec<(String, Language)> = Vec::new();
        for dir in path {
            let Ok(entries) = fs::read_dir(dir) else { continue };
            let here = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            let known = here.filter_map(|name| {
                let language = known_tools::driver_language(&name)?;
                Some((name, language))
            });
            names.extend(known);
        }
        names.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        names.dedup_by(|(a, _), (b, _)| a == b);
        for (name, language) in names {
            let Some(tool) = self.find(&name, path) else { continue };
            let Ok(file) = fs::canonicalize(&tool) else { continue };
            if seen.insert((file, language)) {
                found.push((tool, language));
            }
        }
        found
    }

    /// The linkers in these directories.
    fn linkers(&self, path: &[PathBuf]) -> Vec<(&'static str, PathBuf)> {
        known_tools::linkers().filter_map(|(name, _)| Some((name, self.find(name, path)?))).collect()
    }

    /// The first program of that name that is not ours.
    fn find(&self, name: &str, path: &[PathBuf]) -> Option<PathBuf> {
        let ours = fs::canonicalize(&self.prefix).unwrap_or_else(|_| self.prefix.clone());
        path.iter().map(|dir| dir.join(name)).find(|tool| {
            let is_program = fs::metadata(tool)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
            is_program && !fs::canonicalize(tool).is_ok_and(|file| file.starts_with(&ours))
        })
    }

    /// Links without us and with us; `None` where it does not link without us either.
    fn compare(&self, without_us: &mut Command, with_us: &mut Command) -> Option<Outcome> {
        let (out, spool) = (self.dir.join("out"), SpoolDir::at(self.dir.join("spool")));
        if !self.runs(without_us.env("OGRT_DISABLE", "1")) {
            return None;
        }
        // The output of the link before must not be taken for that of this one.
        let _ = fs::remove_file(&out);
        let _ = fs::remove_dir_all(spool.path());
        for variable in ["OGRT_DISABLE", "OGRT_REAL_LD", "OGRT_SAVE_LINK", "OGRT_STRICT"] {
            with_us.env_remove(variable);
        }
        // Nobody listens at this address, so the record is spooled.
        with_us.env("OGRT_SERVER", "127.0.0.1:1").env("OGRT_SPOOL_DIR", spool.path());
        if !self.runs(with_us) {
            return Some(Outcome { route: Route::Broken, real_linker: None, reason: None });
        }
        let is_marked = elf_notes::read(&out).is_ok_and(|notes| notes.build_notes.len() == 1);
        let record = spool.waiting().first().and_then(|path| record_in(path));
        Some(match record {
            Some(record) if is_marked => {
                let by_linker = record.client().starts_with("ogrt-ld");
                let path = record.linker.and_then(|tool| tool.path).unwrap_or_default();
                Outcome {
                    route: if by_linker { Route::Linker } else { Route::ByHand },
                    real_linker: Some(String::from_utf8_lossy(&path).into_owned()),
                    reason: None,
                }
            }
            record => Outcome {
                route: Route::NotMarked,
                real_linker: None,
                reason: record.and_then(|record| record.unmarked_reason),
            },
        })
    }

    fn runs(&self, command: &mut Command) -> bool {
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

fn record_in(path: &Path) -> Option<BuildRecord> {
    let mut bytes = bytes::BytesMut::from(fs::read(path).ok()?.as_slice());
    let frame = decode_frame(&mut bytes, FRAME_MAX).ok()??;
    (frame.message_type() == Some(MessageType::BuildRecord)).then_some(())?;
    BuildRecord::decode(frame.message).ok()
}

/// The values of `-fuse-ld=`.
fn choices() -> impl Iterator<Item = &'static str> {
    known_tools::linkers().filter_map(|(_, choice)| choice)
}

fn path_dirs() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_driver_and_linker_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let trials = TrialDirectory { dir: dir.path().join("work"), prefix: "/opt/ogrt".into() };
        fs::create_dir(&trials.dir).unwrap();
        for tool in known_tools::TOOLS {
            let path = dir.path().join(tool.name);
            fs::write(&path, tool.name).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = vec![dir.path().to_owned()];
        let tried: HashSet<PathBuf> = trials.compilers(&path).into_iter().map(|(path, _)| path).collect();
        for (driver, ..) in known_tools::drivers() {
            assert!(tried.contains(&dir.path().join(driver)), "{driver}");
        }
        let found = trials.linkers(&path);
        let expected: Vec<_> =
            known_tools::linkers().map(|(name, _)| (name, dir.path().join(name))).collect();
        assert_eq!(found, expected);
    }
}
