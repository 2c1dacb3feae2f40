//! `ogrt man`: manual pages, out of the definitions that `--help` shows.

use crate::exit_status::ExitStatus;
use anyhow::{Context, Result};
use clap::{Args, Command};
use std::{fs, path::PathBuf};

/// Write the manual pages, one a command, into a directory.
#[derive(Args)]
pub struct ManCommand {
    /// Where to: ogrt.1, ogrt-query.1, ...
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl ManCommand {
    /// Writes the pages; makes the directory.
    pub fn run(self, definitions: Command) -> Result<ExitStatus> {
        let name = self.directory.display().to_string();
        fs::create_dir_all(&self.directory).with_context(|| name.clone())?;
        clap_mangen::generate_to(definitions, &self.directory).with_context(|| name)?;
        Ok(ExitStatus::Yes)
    }
}
