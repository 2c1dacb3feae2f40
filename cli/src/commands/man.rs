//! `ogrt man`: manual pages, made of the definitions that `--help` shows.

use crate::exit_status::ExitStatus;
use anyhow::{Context, Result};
use clap::{Args, Command};
use std::{fs, path::PathBuf};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt man ~/.local/share/man/man1";

/// Write the manual pages, one for each command, into a directory.
///
/// An installed OGRT has them below PREFIX/share already.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ManCommand {
    /// The directory for ogrt.1, ogrt-query.1 and so on. It is created if needed.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl ManCommand {
    /// Creates the directory and writes the pages.
    pub fn run(self, definitions: Command) -> Result<ExitStatus> {
        let name = self.directory.display().to_string();
        fs::create_dir_all(&self.directory).with_context(|| name.clone())?;
        clap_mangen::generate_to(definitions, &self.directory).with_context(|| name)?;
        Ok(ExitStatus::Yes)
    }
}
