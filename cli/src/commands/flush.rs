//! `ogrt flush`: sends what waits in the spool.
//!
//! The wrappers do the same in passing, a few files with each link, but never wait for it. This waits.

use crate::exit_status::{ExitStatus, complain, print};
use anyhow::Result;
use clap::Args;
use ogrt_wrap::deliver::connection::Server;
use ogrt_wrap::deliver::spool::SpoolDir;
use ogrt_wrap::environment;
use std::{path::PathBuf, time::Duration};

/// For connecting, and for each group of files.
const PATIENCE: Duration = Duration::from_secs(30);

/// Send the build records and events that wait in the spool to OGRT_SERVER.
#[derive(Args)]
pub struct FlushCommand {}

impl FlushCommand {
    /// Sends all of it. Answers no when files had to be set aside; that some could not be sent is an error.
    pub fn run(self) -> Result<ExitStatus> {
        let (spool, server) = (SpoolDir::from_environment(), Server::from_environment());
        let token_file = environment::non_empty("OGRT_TOKEN_FILE").map(PathBuf::from);
        let report =
            ogrt_wrap::deliver::deliver_or_spool::flush(&spool, &server, token_file.as_deref(), PATIENCE);
        let place = spool.path().display();
        print(format!("{place}: {} sent, {} waiting\n", report.sent, report.left))?;
        if report.damaged > 0 {
            complain(format_args!(
                "{place}: {} files hold no whole frames and were set aside",
                report.damaged
            ));
        }
        if let Some(error) = report.error {
            complain(format_args!("{error}; what waits stays in {place}"));
            return Ok(ExitStatus::Error);
        }
        Ok(if report.damaged > 0 || report.left > 0 { ExitStatus::No } else { ExitStatus::Yes })
    }
}
