//! What this machine has.

use anyhow::Error;
use std::env;
use xtask::suite::FULL_VARIABLE;

/// All these programs are on PATH. When one is not: a word about it, and in CI a failure.
pub fn has_tools(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing: Vec<&str> = programs
        .iter()
        .filter(|program| !env::split_paths(&path).any(|folder| folder.join(program).is_file()))
        .copied()
        .collect();
    missing.is_empty() || lacks(&missing.join(", "), None)
}

/// Says that the test is skipped for want of something; in CI that is a failure. Always false.
pub fn lacks(what: &str, why: Option<&Error>) -> bool {
    let why = why.map(|error| format!(": {error:#}")).unwrap_or_default();
    assert!(env::var_os("CI").is_none(), "needs {what}, and in CI a missing tool is a failure{why}");
    println!("skipped: needs {what}{why}");
    false
}

/// Long tests are wanted as well.
pub fn is_full_run() -> bool {
    env::var_os(FULL_VARIABLE).is_some_and(|value| value == "1")
}
