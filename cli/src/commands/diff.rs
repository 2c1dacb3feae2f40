//! `ogrt diff`: what differs between two builds.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::diff_table,
    subject,
};
use anyhow::{Result, bail};
use clap::Args;
use ogrt_answers::compare_builds::compare;
use ogrt_proto::BuildJson;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt diff old/solver new/solver\n\
\x20 ogrt diff --json 01890a5d-ac96-774b-bcce-b302099a8057 ./solver";

/// Compare two builds: compilers, flags, inputs, modules, and where they were made.
///
/// Exit status: 0 only time and place differ; 1 something else differs, or one is not registered; 2
/// error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffCommand {
    /// The first build: a signature, or an ELF file that has one.
    #[arg(value_name = "SIGNATURE|FILE")]
    before: String,

    /// The second build: a signature, or an ELF file that has one.
    #[arg(value_name = "SIGNATURE|FILE")]
    after: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl DiffCommand {
    /// Fetches both records and compares them. Answers no where they differ.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        let (Some(before), Some(after)) =
            (fetch_one(&server, &self.before)?, fetch_one(&server, &self.after)?)
        else {
            return Ok(ExitStatus::No);
        };
        let difference = compare(&before, &after);
        print(if self.json {
            serde_json::to_string_pretty(&difference)? + "\n"
        } else {
            diff_table::text(&difference)
        })?;
        Ok(if difference.is_none() { ExitStatus::Yes } else { ExitStatus::No })
    }
}

/// Fetches the record of the one build that the subject means. Where there is none, a line says
/// why.
fn fetch_one(server: &ApiClient, subject: &str) -> Result<Option<BuildJson>> {
    let signatures = subject::signatures(subject)?;
    let signature = match signatures.as_slice() {
        [] => {
            complain(format_args!("{subject}: no OGRT note"));
            return Ok(None);
        }
        [one] => *one,
        several => bail!(
            "{subject}: holds {} builds; name the signature of one of them (`ogrt show` lists them)",
            several.len()
        ),
    };
    let record = server.record(signature)?;
    if record.is_none() {
        complain(server.not_registered(signature));
    }
    Ok(record)
}
