//! `ogrt job`: what one job ran, as the server keeps it.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print, print_document},
    format::{job_sheet, job_table, job_tree},
    job_pages::{whole_document, whole_job},
    spool_contents::what_waits,
};
use anyhow::{Context, Result};
use clap::Args;
use ogrt_answers::{
    fold_tree::fold,
    job_document::{Job, JobPart, keep_in_document},
    process_tree::Tree,
    utc,
};
use ogrt_proto::printable::is_unprintable;
use serde_json::Value;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt job 4711\n\
\x20 ogrt job alpha/80_7 --tree --all\n\
\x20 ogrt job 4711.0 --json > step.json";

/// Show what a job really ran.
///
/// First a sheet: who ran it, where and when, what it used, its software and what failed. Then the
/// tree of its processes: what ran again and again is one line, and so are the ranks of an MPI
/// launch. Processes outside jobs are those of the job `no-job`.
///
/// Exit status: 0 found, 1 nothing is recorded, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct JobCommand {
    /// The id that the scheduler gave the job. In front of it the name of its cluster, where
    /// several clusters have such a job. Behind it the task of an array, and the step: a number or
    /// `batch`.
    #[arg(value_name = "[CLUSTER/]JOBID[_TASK][.STEP]")]
    job_id: OsString,

    /// Print the process tree alone: programs, versions, durations.
    #[arg(long)]
    tree: bool,

    /// Show each process in a line of its own, but for ranks.
    #[arg(long, conflicts_with_all = ["table", "json"])]
    all: bool,

    /// Print a table with one line for each process.
    #[arg(long, conflicts_with = "tree")]
    table: bool,

    /// Print JSON: {"job_id": ..., "processes": [...], "launches": [...]}.
    #[arg(long, conflicts_with_all = ["tree", "table"])]
    json: bool,
}

impl JobCommand {
    /// Prints what is known of the job. Answers no where the server has no process of it.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        let typed = name(&self.job_id);
        let found = match self.json {
            true => find_document(&server, &typed)?,
            false => find(&server, &typed)?.map(|(job, part)| {
                let text = self.text(&job, &part);
                Found { text: text.into_bytes(), warnings: warnings(&typed, &job) }
            }),
        };
        let Some(found) = found else {
            let what = format!("job {typed}: nothing recorded at {}", server.address());
            complain(format_args!("{what}; {}", what_waits()));
            return Ok(ExitStatus::No);
        };
        if self.json {
            print_document(found.text)?
        } else {
            print(found.text)?
        }
        found.warnings.iter().for_each(complain);
        Ok(ExitStatus::Yes)
    }

    fn text(&self, job: &Job, part: &JobPart) -> String {
        if self.table {
            return job_table::text_of(job);
        }
        let mut tree = Tree::of(job);
        if !self.all {
            fold(&mut tree);
        }
        let tree = job_tree::text(&tree);
        if self.tree { tree } else { format!("{}\n{tree}", job_sheet::text_of(job, part)) }
    }
}

/// What is printed, and said beside it.
struct Found {
    text: Vec<u8>,
    warnings: Vec<String>,
}

fn warnings(typed: &str, job: &Job) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(first) = job.clusters.iter().find(|cluster| !cluster.is_empty()) {
        let named = job.clusters.iter().map(|name| if name.is_empty() { "(no name)" } else { name });
        warnings.push(format!(
            "job {typed}: there is one in each of the clusters {}; `ogrt job {first}/{typed}` shows one of them",
            named.collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(until) = job.counted_until_ns {
        let until = utc::from_nanoseconds(until);
        warnings.push(format!(
            "the server is behind: what it received after {until} is not in this answer; ask again later"
        ));
    }
    if job.is_cut {
        warnings
            .push(format!("job {typed}: incomplete, it had more processes than the server keeps or answers"));
    }
    warnings
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

/// A job as it may be meant: its cluster, its id, and the part of it.
struct Meaning<'a> {
    cluster: Option<&'a str>,
    job_id: &'a str,
    part: JobPart,
}

/// What was typed may mean, the likeliest first: an id may itself hold a slash, a dot or a line
/// below.
fn meanings(typed: &str) -> Vec<Meaning<'_>> {
    let split = typed.split_once('/').filter(|(cluster, job)| !cluster.is_empty() && !job.is_empty());
    let places = split.map(|(cluster, job)| (Some(cluster), job)).into_iter().chain([(None, typed)]);
    let mut meanings = Vec::new();
    for (cluster, whole) in places {
        meanings.push(Meaning { cluster, job_id: whole, part: JobPart::default() });
        let step = whole.rsplit_once('.').filter(|(_, step)| is_number(step) || STEPS.contains(step));
        let step = step.filter(|(job_id, _)| !job_id.is_empty());
        if let Some((job_id, step)) = step {
            meanings.push(Meaning { cluster, job_id, part: JobPart { task: None, step: Some(step.into()) } });
        }
        let (rest, step) = step.map_or((whole, None), |(rest, step)| (rest, Some(step.to_owned())));
        let task = rest.rsplit_once('_').filter(|(job_id, task)| !job_id.is_empty() && is_number(task));
        if let Some((job_id, task)) = task {
            meanings.push(Meaning { cluster, job_id, part: JobPart { task: Some(task.into()), step } });
        }
    }
    meanings
}

/// Names of steps that are not a number.
const STEPS: [&str; 3] = ["batch", "extern", "interactive"];

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The cluster and the id of the job that is this task of an array, where tasks have ids of their
/// own.
fn job_of_task(
    server: &ApiClient,
    cluster: Option<&str>,
    array: &str,
    part: &JobPart,
) -> Result<Option<(String, String)>> {
    let Some(task) = part.task.as_ref().filter(|_| is_number(array)) else { return Ok(None) };
    let mut question = vec![("array_job", array.to_owned()), ("array_task", task.clone())];
    question.extend(cluster.map(|cluster| ("cluster", cluster.to_owned())));
    let found = server.list(&["v1", "jobs"], &question, "jobs", 1)?.unwrap_or_default();
    let text = |key: &str| found["jobs"][0][key].as_str().map(str::to_owned);
    Ok(text("job_id").map(|job_id| (text("cluster").unwrap_or_default(), job_id)))
}

fn find(server: &ApiClient, typed: &str) -> Result<Option<(Job, JobPart)>> {
    for Meaning { cluster, job_id, part } in meanings(typed) {
        if let Some((cluster, job_id)) = job_of_task(server, cluster, job_id, &part)?
            && let Some(mut job) = whole_job(server, Some(&cluster), &job_id)?
        {
            job.keep(&part.of_task());
            return Ok(Some((job, part)).filter(|(job, _)| !job.processes.is_empty()));
        }
        let Some(mut job) = whole_job(server, cluster, job_id)? else { continue };
        job.keep(&part);
        if part.is_all() || !job.processes.is_empty() {
            return Ok(Some((job, part)));
        }
    }
    Ok(None)
}

fn find_document(server: &ApiClient, typed: &str) -> Result<Option<Found>> {
    for Meaning { cluster, job_id, part } in meanings(typed) {
        let task = job_of_task(server, cluster, job_id, &part)?;
        let (cluster, job_id, part) = match &task {
            Some((cluster, job_id)) => (Some(&cluster[..]), &job_id[..], part.of_task()),
            None => (cluster, job_id, part),
        };
        let Some(text) = whole_document(server, cluster, job_id)? else { continue };
        let warnings = Vec::new();
        if part.is_all() {
            return Ok(Some(Found { text, warnings }));
        }
        let mut document: Value =
            serde_json::from_slice(&text).with_context(|| server.address().to_owned())?;
        if keep_in_document(&mut document, &part) {
            return Ok(Some(Found { text: serde_json::to_vec(&document)?, warnings }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_and_a_step_are_parts_and_an_id_may_look_like_one() {
        let all = |typed| -> Vec<String> {
            let told = |one: &Meaning<'_>| {
                let words =
                    [one.cluster, Some(one.job_id), one.part.task.as_deref(), one.part.step.as_deref()];
                words.map(|word| word.unwrap_or("-")).join(" ")
            };
            meanings(typed).iter().map(told).collect()
        };
        assert_eq!(all("4711"), ["- 4711 - -"]);
        assert_eq!(all("4711.0"), ["- 4711.0 - -", "- 4711 - 0"]);
        assert_eq!(all("80_7.batch"), ["- 80_7.batch - -", "- 80_7 - batch", "- 80 7 batch"]);
        assert_eq!(all("a/80_7"), ["a 80_7 - -", "a 80 7 -", "- a/80_7 - -", "- a/80 7 -"]);
        assert_eq!(all("12.server"), ["- 12.server - -"]);
        assert_eq!(all("_7"), ["- _7 - -"]);
    }
}
