//! `ogrt builds`: the registered builds that fit a description.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::builds_table,
    spool_contents::what_waits,
    subject,
};
use anyhow::{Result, ensure};
use clap::Args;
use ogrt_answers::{
    builds,
    time_argument::{FORMS, TimeArgument},
};
use ogrt_note::Signature;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt builds --name HDF5 --since 7d\n\
\x20 ogrt builds --flag=-Ofast --user alice\n\
\x20 ogrt builds --input libz.a --transitive";

/// List registered builds, the newest first.
///
/// Each option narrows the list: a build is listed when it fits all of them.
///
/// Exit status: 0 builds were found, 1 there are none, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct BuildsCommand {
    /// Only builds of software with this name.
    #[arg(long)]
    name: Option<String>,

    /// Only builds of this version.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Only builds that this user (name or uid) linked.
    #[arg(long)]
    user: Option<String>,

    /// Only builds linked at or after this time.
    #[arg(long, value_name = "TIME", help = format!("Only builds linked at or after this time: {FORMS}"))]
    since: Option<TimeArgument>,

    /// Only builds linked before this time (the same forms).
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// Only builds by this compiler: words of its name and version, such as `gcc` or `clang 17`.
    #[arg(long)]
    compiler: Option<String>,

    /// Only builds with this flag on the compiler driver's command line, or noted in the objects.
    #[arg(long, allow_hyphen_values = true)]
    flag: Option<String>,

    /// Only builds whose output has this build-id.
    #[arg(long, value_name = "HEX")]
    build_id: Option<String>,

    /// Only builds with this input: a file, the signature of its build, or its SHA-256.
    #[arg(long, value_name = "SIGNATURE|FILE|SHA256")]
    input: Option<String>,

    /// Also builds that got the input of --input through other builds, at any depth.
    #[arg(long, requires = "input")]
    transitive: bool,

    /// The largest number of builds to list.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Print JSON: {"builds": [...]}.
    #[arg(long)]
    json: bool,
}

impl BuildsCommand {
    /// Asks the server, page by page. Answers no where no build fits.
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
            ensure!(
                keys.len() == 1,
                "{input}: holds {} builds; name the signature of one of them (`ogrt show` lists them)",
                keys.len()
            );
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
        } else if self.csv {
            builds::csv(builds)
        } else {
            builds_table::text_of(builds)
        })?;
        if builds.is_empty() {
            complain(format_args!("no registered build fits at {}; {}", server.address(), what_waits()));
            return Ok(ExitStatus::No);
        }
        if found["next"].is_string() {
            complain(format_args!(
                "only the first {} builds are listed; raise --limit for more",
                builds.len()
            ));
        }
        Ok(ExitStatus::Yes)
    }
}
