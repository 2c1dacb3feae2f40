//! `ogrt dependents`: every build that has it in it, however deep.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::dependents_table,
    subject,
};
use anyhow::Result;
use clap::Args;

/// List the builds that contain a build or a file, however deep.
///
/// Exit status: 0 there are some, 1 none, 2 error.
#[derive(Args)]
pub struct DependentsCommand {
    /// A signature, an ELF file that carries one, any other file, or the SHA-256 of one.
    #[arg(value_name = "SIGNATURE|FILE|SHA256")]
    subject: String,

    /// Go only so deep; 1 is what it was linked into directly.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<u32>,

    /// Most builds that are listed.
    #[arg(long, default_value_t = 1000)]
    limit: usize,

    /// Print JSON: one document for each signature of the file.
    #[arg(long)]
    json: bool,
}

impl DependentsCommand {
    /// Asks for each signature or digest of the subject.
    pub fn run(self) -> Result<ExitStatus> {
        let keys = subject::keys(&self.subject)?;
        let server = ApiClient::from_environment()?;
        let question: Vec<_> = self.depth.map(|depth| ("depth", depth.to_string())).into_iter().collect();
        let mut status = ExitStatus::No;
        for (index, key) in keys.iter().enumerate() {
            let found = server.list(&["v1", "dependents", key], &question, "builds", self.limit)?;
            let Some(dependents) = found else {
                complain(format_args!("{}: nothing is known of {key} at {}", self.subject, server.address()));
                continue;
            };
            if dependents["builds"].as_array().is_some_and(|builds| !builds.is_empty()) {
                status = ExitStatus::Yes;
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
