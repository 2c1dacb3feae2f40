//! A test that needs a tool says so: it is skipped visibly on a desk and fails in CI.

use std::{env, path::Path, process::Command};

/// Tells whether the tool is installed; else says that the test is skipped.
pub fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(env::var_os("CI").is_none(), "needs {tool}, and in CI a missing tool is a failure");
    println!("skipped: needs {tool}");
    false
}

/// Tells whether Rust can build for this target; else says that the test is skipped.
pub fn has_target(target: &str) -> bool {
    let found = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let folder = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if folder.is_ok_and(|folder| Path::new(&folder).is_dir()) {
        return true;
    }
    assert!(
        env::var_os("CI").is_none(),
        "needs the Rust target {target}, and in CI a missing tool is a failure"
    );
    println!("skipped: needs the Rust target {target}");
    false
}

/// Tells whether all of the tools are installed.
pub fn has_all(tools: &[&str]) -> bool {
    tools.iter().all(|tool| has(tool))
}
