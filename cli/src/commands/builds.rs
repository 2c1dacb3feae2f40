//! `ogrt builds`: the registered builds that fit a description.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::builds_table,
    subject,
    time_argument::{FORMS, TimeArgument},
};
use anyhow::{Result, ensure};
use clap::Args;
use ogrt_note::Signature;

/// List registered builds, the newest first. All that is named must fit.
///
/// Exit status: 0 some fit, 1 none does, 2 error.
#[derive(Args)]
pub struct BuildsCommand {
    /// Of software with this name.
    #[arg(long)]
    name: Option<String>,

    /// In this version.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Linked by this user (name or uid).
    #[arg(long)]
    user: Option<String>,

    /// Linked since then.
    #[arg(long, value_name = "TIME", help = format!("Linked since then: {FORMS}"))]
    since: Option<TimeArgument>,

    /// Linked before then.
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// Made with this compiler: words of its name, such as `gcc` or `clang 17`.
    #[arg(long)]
    compiler: Option<String>,

    /// With this flag on the driver's command line or noted in the objects: `--flag=-Ofast`.
    #[arg(long, allow_hyphen_values = true)]
    flag: Option<String>,

    /// That came out as a file with this build-id.
    #[arg(long, value_name = "HEX")]
    build_id: Option<String>,

    /// That this file, signature or SHA-256 went into.
    #[arg(long, value_name = "SIGNATURE|FILE|SHA256")]
    input: Option<String>,

    /// With --input: also through other builds, however deep.
    #[arg(long, requires = "input")]
    transitive: bool,

    /// Most builds that are listed.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print JSON: {"builds": [...]}.
    #[arg(long)]
    json: bool,
}

impl BuildsCommand {
    /// Asks once, page by page.
    pub fn run(self) -> Result<ExitStatus> {
        let mut question = Vec::new();
        for (key, value) in [
            ("name", &self.name),
            ("version", &self.version),
            ("user", &self.user),
            ("compiler", &self.compiler),
            ("flag", &self.flag),
            ("build_id", &self.build_id),
        ] {
            question.extend(value.clone().map(|value| (key, value)));
        }
        question.extend(self.since.map(|when| ("since", when.0.to_string())));
        question.extend(self.until.map(|when| ("until", when.0.to_string())));
        if let Some(input) = &self.input {
            let mut keys = subject::keys(input)?;
            ensure!(keys.len() == 1, "{input}: holds {} builds; name the signature of one", keys.len());
            let key = keys.remove(0);
            let is_signature = key.parse::<Signature>().is_ok();
            question.push((if is_signature { "input_signature" } else { "input_sha256" }, key));
            question.extend(self.transitive.then(|| ("transitive", "true".to_owned())));
        }
        let server = ApiClient::from_environment()?;
        let found = server.list(&["v1", "builds"], &question, "builds", self.limit)?.unwrap_or_default();
        let builds = found["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        print(if self.json {
            serde_json::to_string_pretty(&found)? + "\n"
        } else {
            builds_table::text_of(builds)
        })?;
        if builds.is_empty() {
            complain(format_args!("no build fits at {}", server.address()));
            return Ok(ExitStatus::No);
        }
        if found["next"].is_string() {
            complain(format_args!("there are more than {}; see --limit", builds.len()));
        }
        Ok(ExitStatus::Yes)
    }
}
