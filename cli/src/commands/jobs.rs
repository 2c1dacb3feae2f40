//! `ogrt jobs`: jobs in which something failed.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::jobs_table,
    json_field::behind,
    time_argument::{FORMS, TimeArgument},
};
use anyhow::Result;
use clap::{Args, ValueEnum};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt jobs --since yesterday\n\
\x20 ogrt jobs --state oom --since 30d\n\
\x20 ogrt jobs --state failed,killed --user alice --json";

/// List jobs in which something failed, the last failure first.
///
/// What counts: ranks of MPI launches, and the outermost processes of a job, such as its script. A
/// command that fails in a script does not make the job fail. One that the kernel killed because
/// memory was short does. docs/ends.md has the states.
///
/// Exit status: 0 there are such jobs, 1 there are none, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct JobsCommand {
    /// Only jobs in these states, with commas between; all three without it.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE")]
    state: Vec<State>,

    /// Only jobs of this user (name or uid).
    #[arg(long)]
    user: Option<String>,

    /// Only jobs of this cluster.
    #[arg(long)]
    cluster: Option<String>,

    /// Only failures at or after this time.
    #[arg(long, value_name = "TIME", help = format!("Only failures at or after this time: {FORMS}"))]
    since: Option<TimeArgument>,

    /// Only failures before this time (the same forms).
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// The largest number of jobs to list, up to 10000.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print JSON: {"jobs": [...]}.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum State {
    /// A process exited with another status than 0.
    Failed,
    /// A signal ended a process.
    Killed,
    /// The kernel killed a process because memory was short.
    Oom,
}

impl JobsCommand {
    /// Asks the server. Answers no where there are no such jobs.
    pub fn run(self) -> Result<ExitStatus> {
        let states: Vec<&str> = self
            .state
            .iter()
            .map(|state| match state {
                State::Failed => "failed",
                State::Killed => "killed",
                State::Oom => "oom",
            })
            .collect();
        let mut question = vec![("limit", self.limit.to_string())];
        question.extend((!states.is_empty()).then(|| ("state", states.join(","))));
        question.extend(self.user.map(|user| ("user", user)));
        question.extend(self.cluster.map(|cluster| ("cluster", cluster)));
        question.extend(self.since.map(|when| ("since", when.0.to_string())));
        question.extend(self.until.map(|when| ("until", when.0.to_string())));
        let server = ApiClient::from_environment()?;
        let found = server.answer_to(&["v1", "jobs"], &question)?.unwrap_or_default();
        let jobs = found["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
        print(match self.json {
            true => serde_json::to_string_pretty(&found)? + "\n",
            false => jobs_table::text_of(jobs),
        })?;
        if !found["counted_until_ns"].is_null() {
            complain(behind(&found));
        }
        if jobs.is_empty() {
            complain(format_args!("no such job at {}", server.address()));
            return Ok(ExitStatus::No);
        }
        if found["truncated"] == true {
            complain("incomplete: there are more such jobs than are listed or kept");
        }
        Ok(ExitStatus::Yes)
    }
}
