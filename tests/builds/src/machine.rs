//! What this machine has.

use anyhow::Error;
use std::env;
use xtask::suite::FULL_VARIABLE;

/// True when all these programs are on PATH. Otherwise the test is skipped with a line; in CI it
/// fails.
pub fn has_tools(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing: Vec<&str> = programs
        .iter()
        .filter(|program| !env::split_paths(&path).any(|folder| folder.join(program).is_file()))
        .copied()
        .collect();
    missing.is_empty() || lacks(&missing.join(", "), None)
}

/// Says that the test is skipped because something is missing; in CI it fails. Always false.
pub fn lacks(what: &str, why: Option<&Error>) -> bool {
    let why = why.map(|error| format!(": {error:#}")).unwrap_or_default();
    assert!(env::var_os("CI").is_none(), "needs {what}, and in CI a missing tool is a failure{why}");
    println!("skipped: needs {what}{why}");
    false
}

/// True when long tests are to run, too.
pub fn is_full_run() -> bool {
    env::var_os(FULL_VARIABLE).is_some_and(|value| value == "1")
}

/// True when long tests are to run, too. Otherwise the test is skipped with a line.
pub fn full_run_only() -> bool {
    let full = is_full_run();
    if !full {
        println!("skipped: at full size only");
    }
    full
}
