//! `ogrt unregistered`: programs that ran, that nobody registered and that nothing explains.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::unregistered_table,
    spool_contents::what_waits,
    use_filter::UseFilter,
};
use anyhow::Result;
use clap::Args;
use ogrt_answers::{
    json_field::{behind, number},
    unregistered,
};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt unregistered --since 7d --under /home/\n\
\x20 ogrt unregistered --by-job --since yesterday --until today";

/// List programs that ran without a signature, or with one that nobody registered.
///
/// Programs that a learned package explains (`ogrt learn`) are left out.
///
/// Exit status: 0 there are some, 1 there are none, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct UnregisteredCommand {
    #[command(flatten)]
    filter: UseFilter,

    /// Only programs whose path begins with this text, such as `/home/`.
    #[arg(long, value_name = "PATH")]
    under: Option<String>,

    /// Also programs that a learned package explains, with its name.
    #[arg(long)]
    all: bool,

    /// List the jobs that ran them, instead of the programs.
    #[arg(long)]
    by_job: bool,

    /// The largest number of programs or jobs to list.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print the programs as comma-separated values.
    #[arg(long, conflicts_with_all = ["json", "by_job"])]
    csv: bool,

    /// Print JSON: {"programs": [...]} or {"jobs": [...]}.
    #[arg(long)]
    json: bool,
}

impl UnregisteredCommand {
    /// Asks the server, page by page. Answers no where there is nothing to list.
    pub fn run(self) -> Result<ExitStatus> {
        let mut question: Vec<_> = self.filter.parameters().collect();
        question.extend(self.under.map(|under| ("under", under)));
        question.extend(self.all.then(|| ("explained", "true".to_owned())));
        question.extend(self.by_job.then(|| ("by", "job".to_owned())));
        let key = if self.by_job { "jobs" } else { "programs" };
        let server = ApiClient::from_environment()?;
        let found = server.list(&["v1", "unregistered"], &question, key, self.limit)?.unwrap_or_default();
        let listed = found[key].as_array().map(Vec::as_slice).unwrap_or_default();
        print(if self.json {
            serde_json::to_string_pretty(&found)? + "\n"
        } else if self.csv {
            unregistered::csv(listed)
        } else if self.by_job {
            unregistered_table::jobs(listed, self.all)
        } else {
            unregistered_table::programs(listed, self.all)
        })?;
        if !found["counted_until_ns"].is_null() {
            complain(behind(&found));
        }
        let explained = number(&found, "explained");
        if explained > 0 {
            complain(format_args!(
                "{explained} more programs are explained by what was learned: --all lists them"
            ));
        }
        if listed.is_empty() {
            complain(format_args!(
                "no unregistered program is known at {}; {}",
                server.address(),
                what_waits()
            ));
            return Ok(ExitStatus::No);
        }
        if found["truncated"] == true {
            complain(
                "incomplete: the server stopped at its limits; these numbers are the least that is known",
            );
        }
        if found["rounded"] == true {
            complain(
                "some counts hold processes before or after that time: of the same job, or the same day",
            );
        }
        if found["next"].is_string() {
            complain(format_args!("only the first {} are listed; raise --limit for more", listed.len()));
        }
        Ok(ExitStatus::Yes)
    }
}
