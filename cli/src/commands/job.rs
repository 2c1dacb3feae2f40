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

/// Show what a job really ran.
///
/// Without an option as JSON: {"job_id": ..., "processes": [...]}. Processes without a job are those of `no-job`.
///
/// Exit status: 0 found, 1 nothing recorded, 2 error.
#[derive(Args)]
pub struct JobCommand {
    /// As the scheduler names it.
    #[arg(value_name = "JOBID")]
    job_id: String,

    /// Print the process tree: programs, versions, durations; the ranks of an MPI launch are one line.
    #[arg(long)]
    tree: bool,

    /// Print a line a process.
    #[arg(long, conflicts_with = "tree")]
    table: bool,

    /// Print JSON, which is what is printed without an option too.
    #[arg(long, conflicts_with_all = ["tree", "table"])]
    json: bool,
}

impl JobCommand {
    /// Prints the document. Answers no when the server has seen no process of the job.
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
            complain(format_args!("job {}: more processes than the server hands out at once", self.job_id));
        }
        Ok(ExitStatus::Yes)
    }
}
