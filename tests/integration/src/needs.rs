//! What a test needs of the machine. Without it the test is skipped with a line on a desk, and
//! fails in CI.

use std::{env, path::Path};
use xtask::suite::FULL_VARIABLE;

/// True when each program exists, by its name on PATH or by its path, and this is root where that
/// is needed.
pub fn has(programs: &[&str], root: bool) -> bool {
    let what = match missing(programs) {
        Some(program) => program,
        None if root && !rustix::process::geteuid().is_root() => "root",
        None => return true,
    };
    skip(&format!("needs {what}"))
}

/// The first program that does not exist.
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_missing = |program: &&&str| {
        // An absolute path stays as it is.
        !env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    programs.iter().find(is_missing).copied()
}

/// True where tests run at full size.
pub fn is_full() -> bool {
    env::var(FULL_VARIABLE).is_ok_and(|value| value == "1")
}

/// Says that the test is skipped; in CI it fails.
pub fn skip(why: &str) -> bool {
    assert!(env::var_os("CI").is_none(), "{why}, and in CI that is a failure");
    println!("skipped: {why}");
    false
}

/// The path of a file of this package.
pub fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
