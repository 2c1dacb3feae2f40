//! `ogrt completions`: what the shell knows of these commands, out of the definitions that `--help` shows.

use crate::{
    answer::{Answer, print},
    command_line::CommandLine,
};
use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print the completions of these commands for a shell.
///
/// `cargo xtask install` has put them where shells look for them, under PREFIX/share.
#[derive(Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(self) -> Result<Answer> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "ogrt", &mut script);
        print(script)?;
        Ok(Answer::Yes)
    }
}
