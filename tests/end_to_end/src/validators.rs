//! The formats' own validators: pinned Python packages, installed once into cargo's folder.

use crate::{see, text};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};
use xtask::workspace::Workspace;

const REQUIREMENTS: &str = include_str!("../validators/requirements.txt");

/// The folder of the packages; `None` when they cannot be installed, which fails in CI.
static PACKAGES: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let packages = Workspace::find().expect("a workspace").target.join("validators");
    let complete = packages.join("requirements.txt");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Some(packages);
    }
    let _ = fs::remove_dir_all(&packages);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    pip.arg(&packages).arg("-r").arg(folder().join("requirements.txt"));
    let installed = pip.output();
    if installed.as_ref().is_ok_and(|output| output.status.success()) {
        fs::write(complete, REQUIREMENTS).unwrap();
        return Some(packages);
    }
    let why = installed.map_or_else(|error| error.to_string(), |output| text(&output.stderr));
    assert!(std::env::var_os("CI").is_none(), "in CI missing validators are a failure: {why}");
    println!("skipped: needs the packages of tests/end_to_end/validators/requirements.txt: {why}");
    None
});

/// The validator's answer about a document; `None` when the validators are not installed.
pub fn check(arguments: &[&str]) -> Option<Output> {
    let packages = PACKAGES.as_ref()?;
    let mut python = Command::new("python3");
    python.arg(folder().join("check.py")).args(arguments).env("PYTHONPATH", packages);
    Some(see(python.env("PYTHONDONTWRITEBYTECODE", "1")))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("validators")
}
