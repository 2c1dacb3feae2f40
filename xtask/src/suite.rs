//! `cargo xtask test`: everything that must hold before a change is shared, in one list.
//!
//! The lines of each test runner are passed through. At the end stand the runners' closing lines
//! and one sum, `N passed, N failed`. A step that fails does not keep the later ones from running,
//! so one run shows all that fails.

use crate::{
    cleanup::Scratch,
    install,
    machine::{
        BUILD_TOOLS, FULL_TEST_TOOLS, TEST_TOOLS, install_lints, install_targets, install_tools,
        static_linkage,
    },
    programs,
    steps::{Step, Steps},
    workspace::Workspace,
};
use anyhow::{Result, bail};
use clap::Args;
use std::{path::Path, process::Command};

const EXAMPLES: &str = "\
Examples:
  cargo xtask test --fast        Check a change while you work on it (minutes)
  cargo xtask test               Check all that CI checks
  cargo xtask test --full        Run long tests at the size that the documents claim (hours)";

/// Check everything that CI checks: format, lints, all tests, the demo.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Test {
    /// Skip what needs a release build: the end-to-end tests and the demo.
    #[arg(long)]
    fast: bool,
    /// Run long tests at their full size: hours rather than minutes.
    #[arg(long, conflicts_with = "fast")]
    full: bool,
}

/// The variable that sets the size of long tests (storms, crashes, real builds). With 1 they run at
/// the size that the documents claim, otherwise at one that a change can wait for.
pub const FULL_VARIABLE: &str = "OGRT_TEST_FULL";

/// The variable that names the prefix of the installed programs. The end-to-end tests install them
/// themselves when it is not set.
pub const PREFIX_VARIABLE: &str = "OGRT_TEST_PREFIX";

/// The packages that need the installed programs.
const WITH_INSTALLED: [&str; 3] = ["ogrt-end-to-end", "ogrt-integration", "ogrt-builds-tests"];

/// Tests of a part that run at once for each core: they wait for servers and clocks for half of
/// their time.
const TESTS_PER_CORE: usize = 2;

/// The options for preload, a cargo workspace of its own.
const PRELOAD: [&str; 2] = ["--manifest-path", "preload/Cargo.toml"];

/// The sums of all test runners.
#[derive(Debug, Default)]
struct Tally {
    closing_lines: Vec<String>,
    passed: u64,
    failed: u64,
    /// Calls of a test runner that failed because tests failed.
    runs_with_failures: u64,
}

impl Test {
    /// Runs the list, top to bottom.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let scratch = Scratch::new()?;
        let mut steps = Steps::new(if self.fast { 6 } else { 10 });
        let mut failures = Vec::new();
        let mut tally = Tally::default();
        let mut note = |result: Result<()>| failures.extend(result.err().map(|error| format!("{error:#}")));

        steps.step("tools of this machine", |step| {
            install_tools(step, BUILD_TOOLS)?;
            install_tools(step, TEST_TOOLS)?;
            if self.full {
                install_tools(step, FULL_TEST_TOOLS)?;
            }
            install_targets(step);
            install_lints(step)
        })?;
        note(steps.step("rustfmt", |step| {
            step.run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
            step.run(workspace.cargo(&["fmt", "--check"]).args(PRELOAD))
        }));
        note(steps.step("clippy, workspace", |step| {
            step.run(&mut workspace.cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]))
        }));
        note(steps.step("clippy, preload", |step| {
            let mut clippy = workspace.cargo(&["clippy", "--release"]);
            clippy.args(PRELOAD).arg("--target-dir").arg(workspace.target.join("preload"));
            step.run(clippy.args(["--", "-D", "warnings"]))
        }));
        note(steps.step("build libogrt.so", |step| programs::build_library(step, &workspace).map(drop)));
        note(steps.step("tests of each part", |step| {
            let mut cargo = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
            cargo.args(WITH_INSTALLED.iter().flat_map(|package| ["--exclude", package]));
            if let Ok(cores) = std::thread::available_parallelism() {
                cargo.env("RUST_TEST_THREADS", (cores.get() * TESTS_PER_CORE).to_string());
            }
            tally.watch(step, self.sized(&mut cargo))
        }));
        if !self.fast {
            let prefix = scratch.path().join("prefix");
            let linkage =
                steps.step("Rust target for static programs", |step| Ok(static_linkage(step, &workspace)))?;
            note(steps.step("build and install the programs as they are shipped", |step| {
                install::into(&prefix, &programs::build(step, &workspace, &linkage)?)
            }));
            note(steps.step("tests end to end", |step| {
                let mut cargo = workspace.cargo(&["test", "--no-fail-fast"]);
                cargo.args(WITH_INSTALLED.iter().flat_map(|package| ["--package", package]));
                tally.watch(step, self.sized(&mut cargo).env(PREFIX_VARIABLE, &prefix))
            }));
            note(steps.step("demo", |step| demo(step, &workspace)));
        }
        conclude(&tally, &failures)
    }

    /// Sets the size of the tests.
    fn sized<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if self.full { command.env(FULL_VARIABLE, "1") } else { command }
    }
}

/// Runs the demo as everybody does, by cargo: the tests have built this program anew.
fn demo(step: &Step, workspace: &Workspace) -> Result<()> {
    println!();
    step.watch(&mut workspace.cargo(&["xtask", "demo"]), &mut |line| println!("{line}"))
}

fn conclude(tally: &Tally, failures: &[String]) -> Result<()> {
    println!();
    for line in &tally.closing_lines {
        println!("{line}");
    }
    for failure in failures {
        println!("\n{failure}");
    }
    // A step can fail without a failed test (formatting, a test that does not compile, the demo):
    // it counts as one.
    let failed = tally.failed + (failures.len() as u64).saturating_sub(tally.runs_with_failures);
    println!("\n{} passed, {failed} failed", tally.passed);
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}

impl Tally {
    /// Runs a test runner, passes on what it prints, and keeps its closing lines.
    fn watch(&mut self, step: &Step, command: &mut Command) -> Result<()> {
        println!();
        let mut runner = String::new();
        let failed_before = self.failed;
        let result = step.watch(command, &mut |line| {
            println!("{line}");
            self.read(line, &mut runner);
        });
        self.runs_with_failures += u64::from(self.failed > failed_before);
        result
    }

    /// `     Running tests/wire.rs (target/...)`, then `test result: ok. 6 passed; 0 failed; ...`.
    fn read(&mut self, line: &str, runner: &mut String) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            *runner = match name.split_once(" (") {
                Some((source, program)) => {
                    let program = Path::new(program.trim_end_matches(')'));
                    let program = program.file_stem().unwrap_or_default().to_string_lossy();
                    // Without the hash that cargo appends.
                    format!("{} {source}", program.rsplit_once('-').map_or(&*program, |(name, _)| name))
                }
                None => format!("{name} documentation"),
            };
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |word: &str| {
                let (before, _) = result.split_once(word)?;
                before.split_whitespace().next_back()?.parse::<u64>().ok()
            };
            let (passed, failed) = (count(" passed").unwrap_or(0), count(" failed").unwrap_or(0));
            self.passed += passed;
            self.failed += failed;
            // Most programs hold no tests of their own; their runners would hide the others.
            if passed + failed > 0 {
                self.closing_lines.push(format!("{runner}: {result}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_kept_and_counted() {
        let mut tally = Tally::default();
        let mut runner = String::new();
        for line in [
            "     Running tests/wire.rs (target/debug/deps/wire-0123456789abcdef)",
            "test a ... ok",
            "test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "     Running unittests src/main.rs (target/debug/deps/ogrt_cc-0123456789abcdef)",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "   Doc-tests ogrt_note",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            tally.read(line, &mut runner);
        }
        assert_eq!((tally.passed, tally.failed), (7, 2));
        assert!(tally.closing_lines[0].starts_with("wire tests/wire.rs: ok. 6 passed"), "{tally:?}");
        assert!(tally.closing_lines[1].starts_with("ogrt_note documentation: FAILED"), "{tally:?}");
        assert_eq!(tally.closing_lines.len(), 2);
    }

    #[test]
    fn a_failed_step_fails_the_whole() {
        assert!(conclude(&Tally::default(), &[]).is_ok());
        assert!(conclude(&Tally::default(), &["[2/10] rustfmt".into()]).is_err());
        let tally = Tally { failed: 2, runs_with_failures: 1, ..Tally::default() };
        let failures = ["[2/10] rustfmt".into(), "[6/10] tests".into()];
        assert_eq!(conclude(&tally, &failures).unwrap_err().to_string(), "3 failed");
    }
}
