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
mod builds;
mod command_line;
mod completions;
mod dependents;
mod diff;
mod doctor;
mod dsse;
mod elf_notes;
mod env;
mod export;
mod flush;
mod format;
mod job;
mod library;
mod man;
mod mapped_files;
mod process_tree;
mod query;
mod register;
mod run;
mod server;
mod show;
mod signing_key;
mod subject;
mod unregistered;
mod uses;
mod verify;
mod verify_attestation;
mod when;

use answer::Answer;
use clap::Parser;
use command_line::CommandLine;
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    match CommandLine::parse().run() {
        Ok(status) => status,
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
