//! `ogrt job`: what one job ran, as the server keeps it.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print, print_document},
    format::{job_table, job_tree},
    process_tree::Tree,
};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt job 4711 --tree\n\
\x20 ogrt job 4711 --table\n\
\x20 ogrt job 4711 > job.json";

/// Show what a job really ran.
///
/// The default is JSON: {"job_id": ..., "processes": [...], "launches": [...]}. Processes outside
/// jobs are those of the job `no-job`.
///
/// Exit status: 0 found, 1 nothing is recorded, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct JobCommand {
    /// The id that the scheduler gave the job.
    #[arg(value_name = "JOBID")]
    job_id: String,

    /// Print the process tree: programs, versions, durations. The ranks of an MPI launch are one
    /// line.
    #[arg(long)]
    tree: bool,

    /// Print a table with one line for each process.
    #[arg(long, conflicts_with = "tree")]
    table: bool,

    /// Print JSON (the default).
    #[arg(long, conflicts_with_all = ["tree", "table"])]
    json: bool,
}

impl JobCommand {
    /// Prints the document. Answers no where the server has no process of the job.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        let Some(document) = server.job(&self.job_id)? else {
            complain(format_args!("job {}: nothing recorded at {}", self.job_id, server.address()));
            return Ok(ExitStatus::No);
        };
        if !self.tree && !self.table {
            print_document(document)?;
            return Ok(ExitStatus::Yes);
        }
        let job: Value = serde_json::from_slice(&document).with_context(|| server.address().to_owned())?;
        print(if self.tree { job_tree::text(&Tree::of(&job)) } else { job_table::text_of(&job) })?;
        if job["truncated"] == true {
            complain(format_args!(
                "job {}: incomplete, the server gives no more processes at once (jobs.answer_processes_max)",
                self.job_id
            ));
        }
        Ok(ExitStatus::Yes)
    }
}
