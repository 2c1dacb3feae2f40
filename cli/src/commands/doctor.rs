//! `ogrt doctor`: which compilers and linkers of this machine our wrappers work with.

use crate::{
    api_client::ApiClient,
    event_server,
    exit_status::{ExitStatus, print},
    format::doctor_table,
    try_toolchain::{LinkTrial, Route, ToolchainReport, TrialDirectory},
};
use anyhow::{Context, Result, ensure};
use clap::Args;
use ogrt_wrap::{
    deliver::{connection::Server, lost_records, spool::SpoolDir},
    environment,
};
use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The time that the server has to answer.
const SERVER_TIME: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt doctor\n\
\x20 ogrt doctor --json";

/// Try every compiler and linker on PATH, and show how each works with OGRT.
///
/// Each links a small program in a temporary directory. No record is sent to the server.
///
/// Exit status: 0 every link was marked; 1 one was not, or none was possible; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorCommand {
    /// Print JSON with the keys `wrappers`, `server`, `spool`, `follow`, `observe`,
    /// `accounting`, `compilers` and `linkers`.
    #[arg(long)]
    json: bool,
}

impl DoctorCommand {
    /// Tries them all. Answers no where a link is not marked.
    pub fn run(self) -> Result<ExitStatus> {
        let prefix = prefix()?;
        let trials = TrialDirectory::open(prefix.clone())?;
        let server = Server::from_environment();
        let token_file = environment::non_empty("OGRT_TOKEN_FILE").map(PathBuf::from);
        let spool = SpoolDir::from_environment();
        let watch = ApiClient::from_environment().map(|server| server.process_watch()).unwrap_or_default();
        let report = ToolchainReport {
            server: server.to_string(),
            server_answers: server.connect(token_file.as_deref(), Instant::now() + SERVER_TIME).is_ok(),
            spool: spool.path().to_owned(),
            spooled: spool.waiting().len(),
            spool_problem: spool.problem().map(|problem| problem.to_string()),
            lost: lost_records::told().map(|told| format!("{}: {told}", lost_records::path().display())),
            events_problem: event_server::from_environment().as_deref().and_then(event_server::problem),
            follow: watch.follow,
            observe: watch.observe,
            accounting: watch.accounting,
            compilers: trials.try_compilers(),
            linkers: trials.try_linkers(),
            wrappers: prefix,
        };
        if self.json {
            print(serde_json::to_string_pretty(&report)? + "\n")?;
        } else {
            print(doctor_table::text(&report))?;
        }
        let all = report.compilers.iter().chain(&report.linkers);
        let is_well = |trial: &LinkTrial| matches!(trial.route, Route::Linker | Route::ByHand);
        Ok(if all.clone().count() > 0 && all.clone().all(is_well) { ExitStatus::Yes } else { ExitStatus::No })
    }
}

/// The prefix that this program is installed in.
fn prefix() -> Result<PathBuf> {
    let program = env::current_exe().context("/proc/self/exe")?;
    let prefix = program
        .ancestors()
        .nth(2)
        .context("not installed in PREFIX/bin; run the ogrt of an installed OGRT")?
        .to_owned();
    for wrapper in ["bin/ogrt-cc", "libexec/ogrt/ld"] {
        ensure!(
            prefix.join(wrapper).exists(),
            "{}: no such wrapper; run the ogrt of an installed OGRT",
            prefix.join(wrapper).display()
        );
    }
    Ok(prefix)
}
