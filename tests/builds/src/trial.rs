//! One package, built without us and with us: what must be the same, and what must be registered.

use crate::{
    archive::Archive,
    build_log::{LINKERS_ON_PATH, comparable, difference, holding, without_us},
    installed,
    machine::{has_tools, lacks},
    registered::{Expected, LinkedBy, NOT_REGISTERED, Registered, files_in, is_elf, is_linked_elf, notes_of},
    table::{self, Row},
};
use anyhow::{Context, Result, ensure};
use ogrt_end_to_end::Stage;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The longest wait for the record of a large link.
const PATIENCE: Duration = Duration::from_secs(180);

/// The compilers that come first on PATH.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// The real compilers.
    WithoutUs,
    /// Our wrappers.
    WithUs,
}

/// A package and how it is built, tested and installed.
#[derive(Clone, Debug)]
pub struct Software {
    /// Its name, which OGRT_META_NAME is set to.
    pub name: &'static str,
    /// Its sources.
    pub archive: Archive,
    /// Programs that the build needs.
    pub tools: &'static [&'static str],
    /// The lines that are typed with us, in the sources' folder. They install below /opt, which
    /// stands for a folder of the test.
    pub lines: String,
    /// Words of the lines that give a test's result.
    pub results: &'static [&'static str],
    /// The least number of such lines.
    pub results_min: usize,
    /// The paths of the programs and libraries that it installs.
    pub installs: &'static [&'static str],
    /// Ends of the names of files that contain digests of others.
    pub varying: &'static [&'static str],
    /// Words of lines of output that differ between any two builds.
    pub noise: &'static [&'static str],
    /// The tool that links.
    pub linked_by: LinkedBy,
    /// Parts of the reasons for which an output may have no note. With none, each has one.
    pub unmarked: &'static [&'static str],
    /// The build moves or edits what it has linked.
    pub moves_outputs: bool,
    /// Beginnings of the names of what a configure script of its own kind links for its questions.
    /// Nobody can tell these from programs.
    pub probes: &'static [&'static str],
}

impl Software {
    /// What most packages have in common.
    pub const PLAIN: Software = Software {
        name: "",
        archive: Archive::Files(&[]),
        tools: &[],
        lines: String::new(),
        results: &[],
        results_min: 1,
        installs: &[],
        varying: &[],
        noise: &[],
        linked_by: LinkedBy::Driver,
        unmarked: &[],
        moves_outputs: false,
        probes: &[],
    };

    /// Builds it twice and compares the two.
    pub fn try_out(&self) {
        if !has_tools(self.tools) {
            return;
        }
        let stage = Stage::new();
        let sources = stage.folder().join("sources");
        if let Err(why) = self.archive.unpack(&sources) {
            lacks(&format!("the sources of {}", self.name), Some(&why));
            return;
        }
        self.compare(&stage, &sources).unwrap_or_else(|error| panic!("{}: {error:#}", self.name));
    }

    fn compare(&self, stage: &Stage, sources: &Path) -> Result<()> {
        let (build, opt) = (stage.folder().join("build"), stage.folder().join("opt"));
        let (bare_build, bare_opt) = (stage.folder().join("bare-build"), stage.folder().join("bare-opt"));

        copy(sources, &build)?;
        let began = Instant::now();
        let bare_log = self.build(stage, &build, Place::WithoutUs)?;
        let bare_time = began.elapsed();
        fs::rename(&build, &bare_build)?;
        fs::rename(&opt, &bare_opt)?;
        copy(sources, &build)?;
        let began = Instant::now();
        let log = self.build(stage, &build, Place::WithUs)?;
        let time = began.elapsed();

        let prefix = stage.prefix();
        let is_noise = |line: &String| self.noise.iter().any(|word| line.contains(word));
        let [bare_lines, lines] = [bare_log, log].map(|log| {
            let mut lines = comparable(&log, prefix);
            lines.retain(|line| !is_noise(line));
            lines
        });
        let results = holding(&lines, self.results);
        ensure!(results.len() >= self.results_min, "results of tests: {results:#?}\n{lines:#?}");
        let difference_of_output = difference(&bare_lines, &lines);
        ensure!(
            difference_of_output.is_empty(),
            "the build's output became another:\n{difference_of_output}"
        );

        let traces = installed::holding(&[&build, &opt], &prefix.join("libexec").display().to_string())?;
        ensure!(traces.is_empty(), "the place of our linkers is written down in {traces:?}");
        let differing = installed::differences(&bare_opt, &opt, self.varying)?;
        ensure!(differing.is_empty(), "installed files differ:\n{differing}");
        let linked = |folder: &Path| -> Result<Vec<PathBuf>> {
            Ok(files_in(folder)?.into_iter().filter(|file| is_linked_elf(file)).collect())
        };
        let bare_files = linked(&bare_opt)?;
        for (file, notes) in bare_files.iter().zip(notes_of(stage, &bare_files)?) {
            ensure!(notes.is_empty(), "{} is marked, and was built without us", file.display());
        }
        let elf = |folder: &Path| -> Result<Vec<PathBuf>> {
            Ok(files_in(folder)?.into_iter().filter(|file| is_elf(file)).collect())
        };
        let installed = elf(&opt)?;
        ensure!(!installed.is_empty(), "no program and no library is installed");
        for name in self.installs {
            ensure!(installed.iter().any(|file| file.ends_with(name)), "{name} is not among {installed:?}");
        }

        let files = [elf(&build)?, installed].concat();
        let mut registered = Registered::at(stage, 1)?;
        let expected = Expected {
            name: self.name,
            linked_by: self.linked_by,
            unmarked: self.unmarked,
            moves_outputs: self.moves_outputs,
            probes: self.probes,
        };
        let mut account = registered.account_for(stage, &files, &expected)?;
        // The record of a large link comes after the link, from a process that others go before.
        let deadline = Instant::now() + PATIENCE;
        while account.complaints.contains(NOT_REGISTERED) && Instant::now() < deadline {
            thread::sleep(Duration::from_secs(1));
            registered = Registered::at(stage, registered.count() + 1)?;
            account = registered.account_for(stage, &files, &expected)?;
        }
        let row = Row {
            outputs: account.outputs,
            marked: account.marked,
            reasons: account.reasons,
            bare: bare_time,
            ours: time,
        };
        table::add(self.name, &row);
        ensure!(account.complaints.is_empty(), "the registry:\n{}", account.complaints);
        let (compared, faults) = registered.compare_inputs(stage.folder())?;
        ensure!(faults.is_empty(), "the inputs that the linker names are not those of the record:\n{faults}");
        println!(
            "{}: {} results of tests, {} outputs of links, {} records, {compared} compared with the linker's trace",
            self.name,
            results.len(),
            row.outputs,
            registered.count()
        );
        Ok(())
    }

    /// Runs the lines and returns their output.
    fn build(&self, stage: &Stage, folder: &Path, place: Place) -> Result<String> {
        let linkers = format!("{}:", stage.prefix().join("libexec/ogrt").display());
        let lines = match place {
            Place::WithUs => self.lines.replace(LINKERS_ON_PATH, &linkers),
            Place::WithoutUs => without_us(&self.lines),
        };
        let opt = stage.folder().join("opt");
        let lines = lines.replace("/opt/", &format!("{}/", opt.display()));
        let log = stage.folder().join(format!("{place:?}.log"));
        let file = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut shell = stage.command("/bin/sh");
        shell.args(["-e", "-c", &lines]).current_dir(folder);
        clean(&mut shell);
        if place == Place::WithoutUs {
            shell.env("PATH", env::var_os("PATH").unwrap_or_default());
        }
        // A process left behind cannot keep the test waiting, as it could with a pipe.
        let status = shell.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).status()?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        ensure!(status.success(), "{place:?}: {status}\n{}", last_lines(&text, 60));
        Ok(text)
    }
}

/// Removes what cargo, or the caller of the tests, has put into the environment for builds of their
/// own.
pub fn clean(command: &mut Command) {
    let kept = ["PATH", "HOME", "USER", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    let is_kept = |name: &str| {
        kept.contains(&name)
            || ["OGRT_", "PIP_", "SSL_", "PYENV_"].iter().any(|start| name.starts_with(start))
    };
    for (name, _) in env::vars_os() {
        if !is_kept(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    command
        .env("LC_ALL", "C")
        // Whole lines, so that two runs can be compared.
        .env("MAKEFLAGS", format!("-j{jobs} -Oline"))
        .env("CMAKE_BUILD_PARALLEL_LEVEL", &jobs)
        .env("CTEST_PARALLEL_LEVEL", &jobs)
        .env("CARGO_TERM_COLOR", "never")
        // A cache must not give us what was built without us.
        .env("PIP_NO_CACHE_DIR", "1")
        .env("PIP_USE_PEP517", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .env("PYTHONDONTWRITEBYTECODE", "1");
}

/// Copies a folder with its times: otherwise make would make configure anew.
fn copy(from: &Path, to: &Path) -> Result<()> {
    xtask::child::capture(Command::new("cp").arg("-aT").arg(from).arg(to)).map(drop)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
