//! `ogrt jobs`: a list of jobs.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::jobs_table,
    spool_contents::what_waits,
};
use anyhow::Result;
use clap::{Args, ValueEnum};
use ogrt_answers::{
    job_list,
    json_field::behind,
    time_argument::{FORMS, TimeArgument},
};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt jobs --user alice --since 7d\n\
\x20 ogrt jobs --software GROMACS --account chem --csv\n\
\x20 ogrt jobs --state failed,killed,oom --since yesterday";

/// List jobs, the newest first: who ran them, how they go, what they used, and what failed.
///
/// What counts for the state: ranks of MPI launches, and the outermost processes of a job, such as
/// its script. A command that fails in a script does not make the job fail. One that the kernel
/// killed because memory was short does. docs/ends.md has the states.
///
/// Exit status: 0 there are such jobs, 1 there are none, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct JobsCommand {
    /// Only jobs in these states, with commas between. A job that has failed and still runs is in
    /// both.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE")]
    state: Vec<State>,

    /// Only jobs of this user (name or uid).
    #[arg(long)]
    user: Option<String>,

    /// Only jobs of this account.
    #[arg(long)]
    account: Option<String>,

    /// Only jobs in this partition or queue.
    #[arg(long)]
    partition: Option<String>,

    /// Only jobs of this cluster.
    #[arg(long)]
    cluster: Option<String>,

    /// Only jobs that ran this registered software.
    #[arg(long, value_name = "NAME")]
    software: Option<String>,

    /// Only jobs that ran at or after this time.
    #[arg(long, value_name = "TIME", help = format!("Only jobs that ran at or after this time: {FORMS}"))]
    since: Option<TimeArgument>,

    /// Only jobs that began before this time (the same forms).
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// The largest number of jobs to list.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Print JSON: {"jobs": [...]}.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum State {
    /// A process of it has no end yet.
    Running,
    /// All that counts exited with status 0.
    Completed,
    /// A process that counts exited with another status than 0.
    Failed,
    /// A signal ended a process that counts.
    Killed,
    /// The kernel killed a process because memory was short.
    Oom,
    /// Nobody told how it ended.
    Unknown,
}

impl JobsCommand {
    /// Asks the server, page by page. Answers no where there are no such jobs.
    pub fn run(self) -> Result<ExitStatus> {
        let states: Vec<String> = self
            .state
            .iter()
            .filter_map(|state| Some(state.to_possible_value()?.get_name().to_owned()))
            .collect();
        let time = |when: Option<TimeArgument>| when.map(|when| when.0.to_string());
        let question = [
            ("state", (!states.is_empty()).then(|| states.join(","))),
            ("user", self.user),
            ("account", self.account),
            ("partition", self.partition),
            ("cluster", self.cluster),
            ("software", self.software),
            ("since", time(self.since)),
            ("until", time(self.until)),
        ];
        let question: Vec<_> =
            question.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let server = ApiClient::from_environment()?;
        let found = server.list(&["v1", "jobs"], &question, "jobs", self.limit)?.unwrap_or_default();
        let jobs = found["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
        print(match (self.json, self.csv) {
            (true, _) => serde_json::to_string_pretty(&found)? + "\n",
            (_, true) => job_list::csv(jobs),
            _ => jobs_table::text_of(jobs),
        })?;
        if !found["counted_until_ns"].is_null() {
            complain(behind(&found));
        }
        if found["truncated"] == true {
            complain("incomplete: the server had no room for all jobs of that time");
        }
        if jobs.is_empty() {
            complain(format_args!("no such job at {}; {}", server.address(), what_waits()));
            return Ok(ExitStatus::No);
        }
        if found["next"].is_string() {
            complain(format_args!("only the newest {} are listed; raise --limit for more", jobs.len()));
        }
        Ok(ExitStatus::Yes)
    }
}
