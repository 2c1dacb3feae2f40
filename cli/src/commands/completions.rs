//! `ogrt completions`: what the shell knows of these commands, out of the definitions that `--help` shows.

use crate::exit_status::{ExitStatus, print};
use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

/// Print the completions of these commands for a shell.
///
/// `cargo xtask install` has put them where shells look for them, under PREFIX/share.
#[derive(Args)]
pub struct CompletionsCommand {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsCommand {
    /// Prints the script.
    pub fn run(self, mut definitions: Command) -> Result<ExitStatus> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definitions, "ogrt", &mut script);
        print(script)?;
        Ok(ExitStatus::Yes)
    }
}
