//! `ogrt dependents`: every build that contains a build or a file, at any depth.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::dependents_table,
    spool_contents::what_waits,
    subject,
};
use anyhow::Result;
use clap::Args;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt dependents /usr/lib/libz.a\n\
\x20 ogrt dependents --depth 1 --json libfoo.so";

/// List the builds that contain a build or a file, at any depth.
///
/// These are the builds to make again when the library, archive or object file changes.
///
/// Exit status: 0 there are some, 1 there are none, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DependentsCommand {
    /// A signature, an ELF file that has one, any other file, or the SHA-256 of one.
    #[arg(value_name = "SIGNATURE|FILE|SHA256")]
    subject: String,

    /// The largest depth; 1 lists only the builds that it was linked into directly.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<u32>,

    /// The largest number of builds to list.
    #[arg(long, default_value_t = 1000)]
    limit: usize,

    /// Print JSON: one document for each signature of the file.
    #[arg(long)]
    json: bool,
}

impl DependentsCommand {
    /// Asks for each signature or digest of the subject. Answers no where nothing contains it.
    pub fn run(self) -> Result<ExitStatus> {
        let keys = subject::keys(&self.subject)?;
        let server = ApiClient::from_environment()?;
        let question: Vec<_> = self.depth.map(|depth| ("depth", depth.to_string())).into_iter().collect();
        let mut status = ExitStatus::No;
        for (index, key) in keys.iter().enumerate() {
            let found = server.list(&["v1", "dependents", key], &question, "builds", self.limit)?;
            let Some(dependents) = found else {
                let what = format!("{}: nothing is known of {key} at {}", self.subject, server.address());
                complain(format_args!("{what}; {}", what_waits()));
                continue;
            };
            if dependents["builds"].as_array().is_some_and(|builds| !builds.is_empty()) {
                status = ExitStatus::Yes;
            } else {
                complain(format_args!("{key}: nothing that is registered contains it; {}", what_waits()));
            }
            print(if self.json {
                serde_json::to_string_pretty(&dependents)? + "\n"
            } else {
                let gap = if index == 0 { "" } else { "\n" };
                format!("{gap}{}", dependents_table::text_of(&dependents))
            })?;
        }
        Ok(status)
    }
}
