//! `ogrt uses`: who ran a build, directly or through something that contains it.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::uses_table,
    subject,
    time_argument::{FORMS, TimeArgument},
};
use anyhow::Result;
use clap::Args;
use serde_json::Value;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt uses /usr/lib/libz.a --since 30d\n\
\x20 ogrt uses --json 01890a5d-ac96-774b-bcce-b302099a8057";

/// Show who ran a build, directly or through something that contains it.
///
/// The subject may also be an input of a build, such as an archive or an object file.
///
/// Exit status: 0 somebody ran it; 1 nobody did, or nothing is known of it; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct UsesCommand {
    /// A signature, an ELF file that has one, any other file, or the SHA-256 of one.
    #[arg(value_name = "SIGNATURE|FILE|SHA256")]
    subject: String,

    /// List only uses at or after this time. The counts stay those of all time.
    #[arg(long, value_name = "TIME", help = format!("List only uses at or after this time (counts stay those of all time): {FORMS}"))]
    since: Option<TimeArgument>,

    /// List only uses before this time (the same forms).
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// The largest number of rows in each list.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print JSON: one document for each signature of the file.
    #[arg(long)]
    json: bool,
}

impl UsesCommand {
    /// Asks for each signature or digest of the subject. Answers no where nobody ran it.
    pub fn run(self) -> Result<ExitStatus> {
        let keys = subject::keys(&self.subject)?;
        let server = ApiClient::from_environment()?;
        let mut question = vec![("limit", self.limit.to_string())];
        question.extend(self.since.map(|when| ("since", when.0.to_string())));
        question.extend(self.until.map(|when| ("until", when.0.to_string())));
        let mut status = ExitStatus::No;
        for (index, key) in keys.iter().enumerate() {
            let Some(uses) = server.answer_to(&["v1", "uses", key], &question)? else {
                complain(format_args!("{}: nothing is known of {key} at {}", self.subject, server.address()));
                continue;
            };
            if was_run(&uses, self.since.is_some() || self.until.is_some()) {
                status = ExitStatus::Yes;
            }
            print(if self.json {
                serde_json::to_string_pretty(&uses)? + "\n"
            } else {
                let gap = if index == 0 { "" } else { "\n" };
                format!("{gap}{}", uses_table::text_of(&uses))
            })?;
        }
        Ok(status)
    }
}

/// True where somebody ran it. Counts are those of all time; only the lists keep to a time that was
/// asked for.
fn was_run(uses: &Value, in_time: bool) -> bool {
    if in_time {
        return uses["users"].as_array().is_some_and(|users| !users.is_empty());
    }
    uses["total"]["processes"].as_u64().unwrap_or(0) + uses["total"]["loaded_later"].as_u64().unwrap_or(0) > 0
}
