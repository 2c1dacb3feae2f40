//! `ogrt doctor`: which compilers and linkers of this machine our wrappers work with, found out by trying each.

use crate::{
    exit_status::{Answer, print},
    format::doctor_table,
    try_toolchain::{Findings, Route, Trial, Ward},
};
use anyhow::{Context, Result, ensure};
use clap::Args;
use ogrt_wrap::{deliver::connection::Server, environment};
use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long the server may take to answer.
const SERVER_TIME: Duration = Duration::from_secs(1);

/// Try every compiler and linker on PATH, and say by which route it leads to our wrappers.
#[derive(Args)]
pub struct Doctor {
    /// Print JSON: `{"wrappers": ..., "server": ..., "compilers": [...], "linkers": [...]}`.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Tries them all. Answers no when one that links is not marked.
    pub fn run(self) -> Result<Answer> {
        let prefix = prefix()?;
        let ward = Ward::open(prefix.clone())?;
        let server = Server::from_environment();
        let token_file = environment::non_empty("OGRT_TOKEN_FILE").map(PathBuf::from);
        let findings = Findings {
            server: server.to_string(),
            server_answers: server.connect(token_file.as_deref(), Instant::now() + SERVER_TIME).is_ok(),
            compilers: ward.try_compilers(),
            linkers: ward.try_linkers(),
            wrappers: prefix,
        };
        if self.json {
            print(serde_json::to_string_pretty(&findings)? + "\n")?;
        } else {
            print(doctor_table::text(&findings))?;
        }
        let all = findings.compilers.iter().chain(&findings.linkers);
        let is_well = |trial: &Trial| matches!(trial.route, Route::Linker | Route::ByHand);
        Ok(if all.clone().count() > 0 && all.clone().all(is_well) { Answer::Yes } else { Answer::No })
    }
}

/// The prefix that this program is installed in.
fn prefix() -> Result<PathBuf> {
    let program = env::current_exe().context("/proc/self/exe")?;
    let prefix = program.ancestors().nth(2).context("no prefix above this program")?.to_owned();
    for wrapper in ["bin/ogrt-cc", "libexec/ogrt/ld"] {
        ensure!(prefix.join(wrapper).exists(), "{}: no such wrapper", prefix.join(wrapper).display());
    }
    Ok(prefix)
}
