//! `ogrt query`: the build record behind a signature or a file.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print, print_document},
    format::build_table,
    subject,
};
use anyhow::{Context, Result};
use clap::Args;
use ogrt_proto::BuildJson;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt query ./a.out\n\
\x20 ogrt query --json 01890a5d-ac96-774b-bcce-b302099a8057";

/// Show the build record: who, when, where, with what compiler and flags, from which inputs.
///
/// Exit status: 0 found; 1 no note, or not registered; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct QueryCommand {
    /// A signature, or an ELF file that has one.
    #[arg(value_name = "SIGNATURE|FILE")]
    subject: String,

    /// Print JSON: one document for each signature of the file.
    #[arg(long)]
    json: bool,
}

impl QueryCommand {
    /// Asks the server for each signature. Answers no where one is not registered or the file has
    /// none.
    pub fn run(self) -> Result<ExitStatus> {
        let signatures = subject::signatures(&self.subject)?;
        let mut status = ExitStatus::Yes;
        if signatures.is_empty() {
            complain(format_args!("{}: no OGRT note", self.subject));
            status = ExitStatus::No;
        }
        let server = ApiClient::from_environment()?;
        for (index, signature) in signatures.into_iter().enumerate() {
            let Some(record) = server.build(signature)? else {
                complain(server.not_registered(signature));
                status = ExitStatus::No;
                continue;
            };
            if self.json {
                print_document(record)?;
            } else {
                let build: BuildJson = serde_json::from_slice(&record)
                    .with_context(|| format!("{}: the answer is not a build record", server.address()))?;
                print(if index == 0 { String::new() } else { "\n".to_owned() } + &build_table::text(&build))?;
            }
        }
        Ok(status)
    }
}
