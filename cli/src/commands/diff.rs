//! `ogrt diff`: what differs between two builds.

use crate::{
    api_client::ApiClient,
    compare_builds::compare,
    exit_status::{ExitStatus, complain, print},
    format::diff_table,
    subject,
};
use anyhow::{Result, bail};
use clap::Args;
use ogrt_proto::BuildJson;

/// Compare two builds: compilers, flags, inputs, modules, and where they were made.
///
/// Exit status: 0 nothing differs but time and place, 1 something does (or one is not registered), 2 error.
#[derive(Args)]
pub struct DiffCommand {
    /// A signature, or an ELF file that carries one.
    #[arg(value_name = "SIGNATURE|FILE")]
    before: String,

    /// Another.
    #[arg(value_name = "SIGNATURE|FILE")]
    after: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl DiffCommand {
    /// Fetches both records and compares them.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        let (Some(before), Some(after)) = (one(&server, &self.before)?, one(&server, &self.after)?) else {
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

fn one(server: &ApiClient, subject: &str) -> Result<Option<BuildJson>> {
    let signatures = subject::signatures(subject)?;
    let signature = match signatures.as_slice() {
        [] => {
            complain(format_args!("{subject}: no watermark"));
            return Ok(None);
        }
        [one] => *one,
        several => bail!("{subject}: holds {} builds; name the signature of one", several.len()),
    };
    let record = server.record(signature)?;
    if record.is_none() {
        complain(format_args!("{signature}: not registered at {}", server.address()));
    }
    Ok(record)
}
