//! `ogrt uses`: who ran or loaded something, directly or through something that contains it.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::uses_table,
    spool_contents::what_waits,
    subject::{self, UsesSubject},
    use_filter::UseFilter,
};
use anyhow::Result;
use clap::Args;
use serde_json::Value;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt uses /usr/lib/libz.a --since 30d\n\
\x20 ogrt uses --soname libmpi.so.40 --user alice\n\
\x20 ogrt uses --package numpy --since 30d";

/// Show who ran or loaded something, directly or through something that contains it.
///
/// The subject may also be an input of a build, such as an archive or an object file. Of a program
/// or library that OGRT did not build, every process that loaded it counts.
///
/// Exit status: 0 somebody ran it; 1 nobody did, or nothing is known of it; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct UsesCommand {
    /// A signature, any file, the SHA-256 of one, or a build-id.
    #[arg(value_name = "SIGNATURE|FILE|SHA256|BUILD-ID", required_unless_present_any = ["soname", "path", "package"])]
    subject: Option<String>,

    /// Libraries with this name, with or without more of a version behind it.
    #[arg(long, value_name = "NAME", conflicts_with = "subject")]
    soname: Option<String>,

    /// Programs and libraries at paths that fit this pattern: `*`, `?`, `[...]`; `*` also fits `/`.
    #[arg(long, value_name = "GLOB", conflicts_with = "subject")]
    path: Option<String>,

    /// A package of a language, such as a Python module or a library of R.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["subject", "soname", "path"])]
    package: Option<String>,

    #[command(flatten)]
    filter: UseFilter,

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
        let subjects = match &self.subject {
            Some(subject) => subject::uses_subjects(subject)?,
            None => vec![UsesSubject { key: None, loaded: None }],
        };
        let server = ApiClient::from_environment()?;
        let mut question = vec![("limit", self.limit.to_string())];
        question.extend(self.filter.parameters());
        let named = [("soname", self.soname), ("path", self.path), ("package", self.package)];
        let subject_text = [&self.subject].into_iter().chain(named.iter().map(|(_, text)| text));
        let subject_text = subject_text.flatten().cloned();
        let subject_text = subject_text.collect::<Vec<_>>().join(" ");
        question.extend(named.into_iter().filter_map(|(name, text)| Some((name, text?))));
        let mut status = ExitStatus::No;
        for (index, UsesSubject { key, loaded }) in subjects.into_iter().enumerate() {
            let path = ["v1", "uses"].into_iter().chain(key.as_deref()).collect::<Vec<_>>();
            let mut question = question.clone();
            question.extend(loaded);
            let Some(uses) = server.answer_to(&path, &question)? else {
                let what = format!("{subject_text}: nothing is known of it at {}", server.address());
                complain(format_args!("{what}; {}", what_waits()));
                continue;
            };
            if was_run(&uses) {
                status = ExitStatus::Yes;
            } else {
                complain(format_args!("{subject_text}: nobody ran it; {}", what_waits()));
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

/// True where somebody ran it in the time that was asked for.
fn was_run(uses: &Value) -> bool {
    uses["total"]["processes"].as_u64().unwrap_or(0) + uses["total"]["loaded_later"].as_u64().unwrap_or(0) > 0
}
