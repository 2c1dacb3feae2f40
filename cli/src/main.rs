//! `ogrt`: what a person types. Each command is one file in `commands/` that holds its options and
//! what it does; `format/` holds what is printed, a formatter a file; results and comparisons stand
//! here beside them.
//!
//! Imports lead downwards only: commands, then `format/`, then results and comparisons, then what
//! they stand on.
//!
//! Policy: answers go to standard output, everything else to standard error, and an error is one
//! line, `ogrt: WHAT: cause`, that names the file, key or peer. Nothing read from a file or a
//! server is believed, and nothing of it reaches a terminal as a control character.
//!
//! Exit status: 0 the answer is yes, 1 the answer is no (no note, not registered, records still
//! wait), 2 an error or wrong usage. `ogrt run` ends as its command does, or as `env` would where
//! it cannot be started.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod advisory;
mod api_client;
mod build_with_origins;
mod commands;
mod compare_with_record;
mod dsse;
mod elf_notes;
mod event_server;
mod exit_status;
mod format;
mod job_pages;
mod learn;
mod mapped_files;
mod package_url;
mod preload_library;
mod signing_key;
mod spool_contents;
mod subject;

mod try_toolchain;
mod use_filter;

use clap::Parser;
use commands::CommandLine;
use exit_status::ExitStatus;
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) if error.use_stderr() => {
            // It repeats arguments, and a pattern of the shell makes arguments of foreign names.
            exit_status::complain_usage(&error.render().to_string());
            return ExitStatus::Error.into();
        }
        Err(help) => help.exit(),
    };
    match command_line.run() {
        Ok(status) => status,
        Err(error) if reader_went_away(&error) => ExitCode::SUCCESS,
        Err(error) => {
            exit_status::complain(format_args!("{error:#}"));
            ExitStatus::Error.into()
        }
    }
}

/// True for a closed pipe: `ogrt ... | head` is not an error.
fn reader_went_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
