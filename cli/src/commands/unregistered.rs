//! `ogrt unregistered`: programs that ran and that nobody registered.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::unregistered_table,
    time_argument::{FORMS, TimeArgument},
};
use anyhow::Result;
use clap::Args;

/// List programs that ran with no signature, or with one that nobody registered.
///
/// Exit status: 0 there are some, 1 none, 2 error.
#[derive(Args)]
pub struct UnregisteredCommand {
    /// That ran since then.
    #[arg(long, value_name = "TIME", help = format!("That ran since then: {FORMS}"))]
    since: Option<TimeArgument>,

    /// That ran before then.
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// Run by this user.
    #[arg(long)]
    user: Option<String>,

    /// In this directory: the beginning of a path.
    #[arg(long, value_name = "PATH")]
    under: Option<String>,

    /// List the jobs that ran them, instead of the programs.
    #[arg(long)]
    by_job: bool,

    /// Most programs or jobs that are listed.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print JSON: {"programs": [...]} or {"jobs": [...]}.
    #[arg(long)]
    json: bool,
}

impl UnregisteredCommand {
    /// Asks once, page by page.
    pub fn run(self) -> Result<ExitStatus> {
        let mut question = Vec::new();
        question.extend(self.since.map(|when| ("since", when.0.to_string())));
        question.extend(self.until.map(|when| ("until", when.0.to_string())));
        question.extend(self.user.map(|user| ("user", user)));
        question.extend(self.under.map(|under| ("under", under)));
        question.extend(self.by_job.then(|| ("by", "job".to_owned())));
        let key = if self.by_job { "jobs" } else { "programs" };
        let server = ApiClient::from_environment()?;
        let found = server.list(&["v1", "unregistered"], &question, key, self.limit)?.unwrap_or_default();
        let listed = found[key].as_array().map(Vec::as_slice).unwrap_or_default();
        print(if self.json {
            serde_json::to_string_pretty(&found)? + "\n"
        } else if self.by_job {
            unregistered_table::jobs(listed)
        } else {
            unregistered_table::programs(listed)
        })?;
        if listed.is_empty() {
            complain(format_args!("nothing unregistered ran, as far as {} knows", server.address()));
            return Ok(ExitStatus::No);
        }
        if found["next"].is_string() {
            complain(format_args!("there are more than {}; see --limit", listed.len()));
        }
        Ok(ExitStatus::Yes)
    }
}
