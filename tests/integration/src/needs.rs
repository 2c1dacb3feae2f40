//! What a test needs of the machine: skipped visibly on a desk, a failure in CI.

use std::{env, path::Path};

/// Whether each program is there, by its name on PATH or by its path, and whether this is root where that is needed.
pub fn has(programs: &[&str], root: bool) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing = programs.iter().find(|program| {
        // An absolute program stays itself.
        !env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    let what = match missing {
        Some(program) => program,
        None if root && !rustix::process::geteuid().is_root() => "root",
        None => return true,
    };
    skip(&format!("needs {what}"))
}

/// Says so; in CI it is a failure.
pub fn skip(why: &str) -> bool {
    assert!(env::var_os("CI").is_none(), "{why}, and in CI that is a failure");
    println!("skipped: {why}");
    false
}

/// A file of this package.
pub fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
