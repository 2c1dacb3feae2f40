//! A site in a box: a data directory with 14 months of a site that never was.
//!
//! `tests/load` makes the site and fills the directory. For that it starts an ogrt-server of its
//! own under another clock, which needs a program with the dynamic loader. The programs that are
//! installed are static, so this one is built for itself. Afterwards any ogrt-server may start with
//! the directory.

use crate::{child, workspace::Workspace};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Jobs of the site that a person looks at: some 20,000 processes.
pub const JOBS: u64 = 3000;

/// The programs that fill a directory.
#[derive(Clone, Debug)]
pub struct Filler {
    server: PathBuf,
    generator: PathBuf,
}

impl Filler {
    /// Builds them with this profile of cargo. `run` runs each command.
    pub fn build(
        workspace: &Workspace,
        profile: &str,
        mut run: impl FnMut(&mut Command) -> Result<()>,
    ) -> Result<Filler> {
        let mut cargo = workspace.cargo(&["build", "--locked", "--profile", profile]);
        cargo.args(["--package", "ogrt-server", "--bin", "ogrt-server"]);
        run(cargo.args(["--package", "ogrt-load", "--bin", "site"]))?;
        let folder = workspace.target.join(if profile == "dev" { "debug" } else { profile });
        Ok(Filler { server: folder.join("ogrt-server"), generator: folder.join("site") })
    }

    /// Fills a data directory with a site of so many jobs, and says what there is to look for.
    pub fn fill(&self, data_dir: &Path, jobs: u64) -> Result<Value> {
        let mut command = Command::new(&self.generator);
        command.arg("--server").arg(&self.server).arg("--data-dir").arg(data_dir);
        let told = child::capture(command.args(["--jobs", &jobs.to_string()]))?;
        serde_json::from_str(&told).context("the generator of the site does not say what is in it")
    }
}
