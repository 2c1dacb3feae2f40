//! `ogrt`: what a person types. Each command is one file that holds its options and what it does; `format/`
//! holds what is printed, a formatter a file.
//!
//! Policy: answers go to standard output, everything else to standard error, and an error is one line,
//! `ogrt: WHAT: cause`, that names the file, key or peer. Nothing read from a file or a server is believed, and
//! nothing of it reaches a terminal as a control character.
//!
//! Exit status: 0 the answer is yes, 1 the answer is no (no watermark, not registered, records still wait), 2 an
//! error or wrong usage. `ogrt run` ends as its command does, or as `env` would where it cannot be started.

mod answer;
mod doctor;
mod dsse;
mod elf_notes;
mod env;
mod export;
mod flush;
mod format;
mod job;
mod library;
mod mapped_files;
mod query;
mod register;
mod run;
mod server;
mod show;
mod signing_key;
mod subject;
mod verify;
mod verify_attestation;

use answer::Answer;
use clap::{Parser, Subcommand};
use std::{io, process::ExitCode};

/// Ask what a program is, who built it, and what a job really ran.
#[derive(Parser)]
#[command(name = "ogrt", version, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 yes, 1 no (no watermark, not registered), 2 error or wrong usage.\n\
    OGRT_HTTP says where to ask; default http://127.0.0.1:7972.";

#[derive(Subcommand)]
enum Command {
    Show(show::Show),
    Query(query::Query),
    Verify(verify::Verify),
    Export(export::Export),
    VerifyAttestation(verify_attestation::VerifyAttestation),
    Job(job::Job),
    Run(run::Run),
    Env(env::Env),
    Flush(flush::Flush),
    Doctor(doctor::Doctor),
    Register(register::Register),
}

fn main() -> ExitCode {
    let answer = match Cli::parse().command {
        Command::Show(show) => show.run(),
        Command::Query(query) => query.run(),
        Command::Verify(verify) => verify.run(),
        Command::Export(export) => export.run(),
        Command::VerifyAttestation(verify) => verify.run(),
        Command::Job(job) => job.run(),
        Command::Run(run) => return run.run(),
        Command::Env(env) => env.run(),
        Command::Flush(flush) => flush.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Register(register) => register.run(),
    };
    match answer {
        Ok(answer) => answer.into(),
        Err(error) if reader_went_away(&error) => ExitCode::SUCCESS,
        Err(error) => {
            answer::complain(format_args!("{error:#}"));
            Answer::Error.into()
        }
    }
}

/// `ogrt ... | head` is no error.
fn reader_went_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
