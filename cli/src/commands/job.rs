//! `ogrt job`: what one job ran, as the server keeps it.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print, print_document},
    format::{job_table, job_tree},
    job_pages::whole_job,
    json_field::behind,
    process_tree::Tree,
    spool_contents::what_waits,
};
use anyhow::{Context, Result};
use clap::Args;
use ogrt_proto::printable::is_unprintable;
use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

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
    job_id: OsString,

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
        let job_id = name(&self.job_id);
        let Some(document) = find(&server, &job_id)? else {
            let what = format!("job {job_id}: nothing recorded at {}", server.address());
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
                "job {job_id}: there is one in each of the clusters {}; `ogrt job {first}/{job_id}` shows one of them",
                named.collect::<Vec<_>>().join(", ")
            ));
        }
        if !job["counted_until_ns"].is_null() {
            complain(behind(&job));
        }
        if job["truncated"] == true {
            complain(format_args!(
                "job {job_id}: incomplete, it had more processes than the server keeps or answers"
            ));
        }
        Ok(ExitStatus::Yes)
    }
}

/// What was typed, as the name of a job (docs/api.md): an id of any bytes, or such a name.
fn name(typed: &OsStr) -> String {
    typed.as_bytes().utf8_chunks().fold(String::new(), |mut name: String, chunk| {
        let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
        for c in chunk.valid().chars() {
            // An address would lose line ends.
            if is_unprintable(c) {
                name.push_str(&escaped(c.encode_utf8(&mut [0; 4]).as_bytes()));
            } else {
                name.push(c);
            }
        }
        name + &escaped(chunk.invalid())
    })
}

/// The document of the job. Text before a slash is a cluster's name, unless no such job is there: a
/// job's id may hold a slash.
fn find(server: &ApiClient, job: &str) -> Result<Option<Vec<u8>>> {
    if let Some((cluster, job_id)) = job.split_once('/')
        && !cluster.is_empty()
        && !job_id.is_empty()
        && let Some(document) = whole_job(server, Some(cluster), job_id)?
    {
        return Ok(Some(document));
    }
    whole_job(server, None, job)
}
