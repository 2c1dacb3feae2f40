//! The command line as a whole, and nothing but commands beside it, a file each. These definitions
//! give the help, the manual pages and the completions.

mod builds;
mod completions;
mod dependents;
mod diff;
mod doctor;
mod end_job;
mod env;
mod export;
mod flush;
mod identify;
mod job;
mod jobs;
mod learn;
mod man;
mod query;
mod register;
mod report;
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

const AFTERWARDS: &str = "Examples:\n\
\x20 ogrt show ./a.out       # the signature and metadata in a program\n\
\x20 ogrt query ./a.out      # who built it, when, with what, from what\n\
\x20 ogrt job 4711           # what a job really ran\n\n\
Exit status: 0 yes, 1 no (none found, not registered), 2 error or wrong usage.\n\
OGRT_HTTP is the address of the server's HTTP API, http://host:port, https://host:port or\n\
host:port; default http://127.0.0.1:7972. SSL_CERT_FILE names CA certificates for https, if\n\
not the system's.\n\
NO_COLOR=1 switches colours off.";

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
    Jobs(jobs::JobsCommand),
    Report(report::ReportCommand),
    Unregistered(unregistered::UnregisteredCommand),
    Identify(identify::IdentifyCommand),
    Export(export::ExportCommand),
    VerifyAttestation(verify_attestation::VerifyAttestationCommand),
    Run(run::RunCommand),
    Env(env::EnvCommand),
    Flush(flush::FlushCommand),
    Register(register::RegisterCommand),
    Learn(learn::LearnCommand),
    Doctor(doctor::DoctorCommand),
    #[command(hide = true)]
    EndJob(end_job::EndJobCommand),
    Completions(completions::CompletionsCommand),
    Man(man::ManCommand),
}

impl CommandLine {
    /// Runs the command. An error is for standard error.
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
            Command::Jobs(jobs) => jobs.run(),
            Command::Report(report) => report.run(),
            Command::Unregistered(unregistered) => unregistered.run(),
            Command::Identify(identify) => identify.run(),
            Command::Export(export) => export.run(),
            Command::VerifyAttestation(verify) => verify.run(),
            Command::Run(run) => return Ok(run.run()),
            Command::Env(env) => env.run(),
            Command::Flush(flush) => flush.run(),
            Command::Register(register) => register.run(),
            Command::Learn(learn) => learn.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::EndJob(end_job) => end_job.run(),
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

    /// The lines under `Examples:` in a help's end.
    fn examples(command: &clap::Command) -> Vec<String> {
        let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = end.lines().skip_while(|line| *line != "Examples:").skip(1);
        lines.take_while(|line| line.starts_with("  ")).map(str::to_owned).collect()
    }

    /// The words of an example from `ogrt` up to what the shell takes for itself.
    fn words(example: &str) -> Vec<&str> {
        let own = &example[example.find("ogrt ").unwrap()..];
        own.split(['#', '>', '|', ')']).next().unwrap().split_whitespace().collect()
    }

    #[test]
    fn every_help_has_examples_and_each_parses() {
        let definitions = CommandLine::command();
        for command in definitions.get_subcommands() {
            let (name, examples) = (command.get_name(), examples(command));
            assert!((1..=3).contains(&examples.len()), "{name}: {examples:?}");
            assert!(examples.iter().all(|example| words(example)[1] == name), "{name}: {examples:?}");
        }
        let all = definitions.get_subcommands().chain([&definitions]);
        for example in all.flat_map(examples) {
            // A line that is longer is wrapped, and can no longer be copied.
            assert!(example.len() <= 100, "{example}");
            if let Err(error) = CommandLine::try_parse_from(words(&example)) {
                panic!("{example}: {error}");
            }
        }
    }
}
