//! The project's folder, cargo's target folder, and the machine's target triple.

use crate::child;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{env, ffi::OsString, path::PathBuf, process::Command};

/// The project as cargo sees it from here.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The project's folder.
    pub root: PathBuf,
    /// Cargo's target folder, which CARGO_TARGET_DIR sets.
    pub target: PathBuf,
    /// The triple that rustc runs on, such as `x86_64-unknown-linux-gnu`.
    pub host: String,
}

impl Workspace {
    /// Asks cargo and rustc for them.
    pub fn find() -> Result<Workspace> {
        let metadata = child::capture(cargo_command().args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ]))?;
        let metadata: Value =
            serde_json::from_str(&metadata).context("the output of cargo metadata is not JSON")?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("the output of cargo metadata has no {key}"))
        };
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = child::capture(Command::new(rustc).arg("-vV"))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("the output of rustc -vV has no host")?;
        Ok(Workspace {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            host: host.to_owned(),
        })
    }

    /// A cargo command in the project's folder.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo_command();
        command.current_dir(&self.root).args(arguments);
        command
    }
}

fn cargo_command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // The variables of the package that runs the chore must not reach what the chore builds.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}
