//! One case: a file in `cases/`, read into its parts.
//!
//! ```text
//! # What it shows, in a line.
//! # needs: gcc python3          programs that must be there
//! # events: none                where no event is expected (static, setuid, env -i)
//! # mode: audit                 by LD_AUDIT only; `preload` by LD_PRELOAD only. Else by both
//! # full: yes                   only where OGRT_TEST_FULL is 1: a heavy program
//! # prepare:
//! shell lines, run once, without us
//! # run:
//! shell lines, run with the empty library and with ours
//! ```

use anyhow::{Context, Result};
use std::{env, fs, path::Path};

/// A case as its file describes it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the file without its ending.
    pub name: String,
    /// Programs that it needs.
    pub needs: Vec<String>,
    /// It runs at full size only, because its program is too heavy to be installed for each run.
    pub is_heavy: bool,
    /// At least one event must reach a server that listens.
    pub expects_events: bool,
    /// The variables that name the library, one run each.
    pub modes: &'static [&'static str],
    /// Shell text that is run once.
    pub prepare: String,
    /// Shell text whose runs are compared.
    pub run: String,
}

impl Case {
    /// All cases of a folder in the order of their names.
    pub fn all(folder: &Path) -> Result<Vec<Case>> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .with_context(|| folder.display().to_string())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "sh"))
            .collect();
        files.sort();
        files.iter().map(|file| Case::read(file)).collect()
    }

    fn read(file: &Path) -> Result<Case> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let (head, run) =
            text.split_once("# run:\n").with_context(|| format!("{}: no `# run:`", file.display()))?;
        let (head, prepare) = head.split_once("# prepare:\n").unwrap_or((head, ""));
        let directive = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
        };
        Ok(Case {
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            needs: directive("needs")
                .map(|needs| needs.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
            is_heavy: directive("full") == Some("yes"),
            expects_events: directive("events") != Some("none"),
            modes: match directive("mode") {
                Some("audit") => &["LD_AUDIT"],
                Some("preload") => &["LD_PRELOAD"],
                _ => &["LD_PRELOAD", "LD_AUDIT"],
            },
            prepare: prepare.to_owned(),
            run: run.to_owned(),
        })
    }

    /// The programs it needs that are not on PATH.
    pub fn missing(&self) -> Vec<&str> {
        let path = env::var_os("PATH").unwrap_or_default();
        let there = |program: &str| {
            Path::new(program).is_absolute() && Path::new(program).exists()
                || env::split_paths(&path).any(|folder| folder.join(program).is_file())
        };
        self.needs.iter().map(String::as_str).filter(|program| !there(program)).collect()
    }
}
