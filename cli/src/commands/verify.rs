//! `ogrt verify`: a file against the record of its build.

use crate::{
    api_client::ApiClient,
    compare_with_record::{Verdict, compare, find_records, read_facts, without_record},
    elf_notes,
    exit_status::{ExitStatus, complain, print},
    format::verify_table,
    spool_contents::what_waits,
};
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt verify ./a.out\n\
\x20 ogrt verify --exact --json /opt/software/bin/solver";

/// Compare files with the records of their builds: were they changed?
///
/// An identical file is byte for byte what the linker wrote. A stripped file has only lost symbols
/// or debug information. A relocated file has only another RPATH or RUNPATH. A modified file
/// differs in another way. An unknown file has no note, or its build is not registered.
///
/// Exit status: 0 identical, stripped or relocated; 1 modified or unknown; 2 error. With --exact
/// only identical is 0.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyCommand {
    /// Programs or shared libraries.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Answer no (exit status 1) to anything but an identical file.
    #[arg(long)]
    exact: bool,

    /// Print JSON: a list with one entry for each file.
    #[arg(long)]
    json: bool,
}

impl VerifyCommand {
    /// Compares each file. One that cannot be read does not hide the others.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        let mut status = ExitStatus::Yes;
        let mut comparisons = Vec::new();
        for path in &self.files {
            let name = path.display().to_string();
            let notes = match elf_notes::read(path) {
                Ok(notes) => notes,
                Err(error) => {
                    complain(format_args!("{name}: {error}"));
                    status = ExitStatus::Error;
                    continue;
                }
            };
            let facts = read_facts(path).with_context(|| name.clone())?;
            let (records, found_by_build_id) = find_records(&server, &notes)?;
            // A file that holds several builds is as good as the best of them.
            let best = records
                .into_iter()
                .map(|record| compare(&name, &facts, record, found_by_build_id))
                .min_by_key(|comparison| comparison.verdict);
            let comparison = best.unwrap_or_else(|| without_record(&name, &facts, &notes, server.address()));
            let good = if self.exact { Verdict::Identical } else { Verdict::Relocated };
            status = status.max(if comparison.verdict <= good { ExitStatus::Yes } else { ExitStatus::No });
            comparisons.push(comparison);
        }
        if comparisons.iter().any(|comparison| comparison.verdict == Verdict::Unknown) {
            complain(what_waits());
        }
        print(if self.json {
            serde_json::to_string_pretty(&comparisons)? + "\n"
        } else {
            verify_table::text(&comparisons)
        })?;
        Ok(status)
    }
}
