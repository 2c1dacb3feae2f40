//! `ogrt job`: what one job ran, as the server keeps it.

use crate::{
    api_client::{ApiClient, what_waits},
    exit_status::{ExitStatus, complain, print, print_document},
    format::{job_table, job_tree},
    process_tree::Tree,
};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt job 4711 --tree\n\
\x20 ogrt job alpha/4711 --table\n\
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
    /// The id that the scheduler gave the job, with the name of its cluster in front where several
    /// clusters have such a job.
    #[arg(value_name = "[CLUSTER/]JOBID")]
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
        let Some(document) = find(&server, &self.job_id)? else {
            let what = format!("job {}: nothing recorded at {}", self.job_id, server.address());
            complain(format_args!("{what}; {}", what_waits()));
            return Ok(ExitStatus::No);
        };
        if !self.tree && !self.table {
            print_document(document)?;
            return Ok(ExitStatus::Yes);
        }
        let job: Value = serde_json::from_slice(&document).with_context(|| server.address().to_owned())?;
        print(if self.tree { job_tree::text(&Tree::of(&job)) } else { job_table::text_of(&job) })?;
        let clusters: Vec<&str> =
            job["clusters"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(first) = clusters.iter().find(|cluster| !cluster.is_empty()) {
            let named = clusters.iter().map(|name| if name.is_empty() { "(no name)" } else { name });
            complain(format_args!(
                "job {}: there is one in each of the clusters {}; `ogrt job {first}/{}` shows one of them",
                self.job_id,
                named.collect::<Vec<_>>().join(", "),
                self.job_id
            ));
        }
        if job["truncated"] == true {
            complain(format_args!(
                "job {}: incomplete, the server gives no more processes at once (jobs.answer_processes_max)",
                self.job_id
            ));
        }
        Ok(ExitStatus::Yes)
    }
}

/// The document of the job. Text before a slash is a cluster's name, unless no such job is there: a
/// job's id may hold a slash.
fn find(server: &ApiClient, job: &str) -> Result<Option<Vec<u8>>> {
    if let Some((cluster, job_id)) = job.split_once('/')
        && !cluster.is_empty()
        && !job_id.is_empty()
        && let Some(document) = server.job(Some(cluster), job_id)?
    {
        return Ok(Some(document));
    }
    server.job(None, job)
}
