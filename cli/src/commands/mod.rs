//! The command line as a whole, and nothing but commands beside it, a file each. These definitions give the help, the
//! manual pages and the completions.

mod builds;
mod completions;
mod dependents;
mod diff;
mod doctor;
mod env;
mod export;
mod flush;
mod job;
mod man;
mod query;
mod register;
mod run;
mod show;
mod unregistered;
mod uses;
mod verify;
mod verify_attestation;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Ask what a program is, who built it, and what a job really ran.
#[derive(Parser)]
#[command(name = "ogrt", version, after_help = AFTERWARDS)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const AFTERWARDS: &str = "Exit status: 0 yes, 1 no (none there, not registered), 2 error or wrong usage.\n\
    OGRT_HTTP says where to ask; default http://127.0.0.1:7972. NO_COLOR is honoured.";

#[derive(Subcommand)]
enum Command {
    Show(show::ShowCommand),
    Query(query::QueryCommand),
    Verify(verify::VerifyCommand),
    Diff(diff::DiffCommand),
    Builds(builds::BuildsCommand),
    Dependents(dependents::DependentsCommand),
    Uses(uses::UsesCommand),
    Job(job::JobCommand),
    Unregistered(unregistered::UnregisteredCommand),
    Export(export::ExportCommand),
    VerifyAttestation(verify_attestation::VerifyAttestationCommand),
    Run(run::RunCommand),
    Env(env::EnvCommand),
    Flush(flush::FlushCommand),
    Register(register::RegisterCommand),
    Doctor(doctor::DoctorCommand),
    Completions(completions::CompletionsCommand),
    Man(man::ManCommand),
}

impl CommandLine {
    /// Does what was asked for.
    pub fn run(self) -> Result<ExitCode> {
        let status = match self.command {
            Command::Show(show) => show.run(),
            Command::Query(query) => query.run(),
            Command::Verify(verify) => verify.run(),
            Command::Diff(diff) => diff.run(),
            Command::Builds(builds) => builds.run(),
            Command::Dependents(dependents) => dependents.run(),
            Command::Uses(uses) => uses.run(),
            Command::Job(job) => job.run(),
            Command::Unregistered(unregistered) => unregistered.run(),
            Command::Export(export) => export.run(),
            Command::VerifyAttestation(verify) => verify.run(),
            Command::Run(run) => return Ok(run.run()),
            Command::Env(env) => env.run(),
            Command::Flush(flush) => flush.run(),
            Command::Register(register) => register.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Completions(completions) => completions.run(CommandLine::command()),
            Command::Man(man) => man.run(CommandLine::command()),
        };
        Ok(status?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        CommandLine::command().debug_assert();
    }
}
