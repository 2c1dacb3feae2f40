//! `ogrt completions`: completions for a shell, made of the definitions that `--help` shows.

use crate::exit_status::{ExitStatus, print};
use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt completions bash > ~/.local/share/bash-completion/completions/ogrt\n\
\x20 ogrt completions fish > ~/.config/fish/completions/ogrt.fish";

/// Print a script that completes these commands in a shell.
///
/// An installed OGRT has the scripts for bash, zsh and fish below PREFIX/share already.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsCommand {
    /// The shell that the script is for.
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
