//! `ogrt flush`: sends what waits in the spool.
//!
//! The wrappers do the same in passing, a few files with each link, but never wait for it. This
//! command waits.

use crate::exit_status::{ExitStatus, complain, print_line};
use anyhow::Result;
use clap::Args;
use ogrt_wrap::deliver::connection::Server;
use ogrt_wrap::deliver::spool::SpoolDir;
use ogrt_wrap::environment;
use std::{path::PathBuf, time::Duration};

/// The time limit of connecting, and of each group of files.
const PATIENCE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt flush\n\
\x20 OGRT_SERVER=login1:7971 ogrt flush";

/// Send the build records and events that wait in the spool to the server.
///
/// OGRT_SERVER is the server, OGRT_SPOOL_DIR the spool.
///
/// Exit status: 0 all were sent; 1 damaged files were set aside, or some still wait; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct FlushCommand {}

impl FlushCommand {
    /// Sends all files. Answers no where damaged files were set aside; a failed delivery is an
    /// error.
    pub fn run(self) -> Result<ExitStatus> {
        let (spool, server) = (SpoolDir::from_environment(), Server::from_environment());
        let token_file = environment::non_empty("OGRT_TOKEN_FILE").map(PathBuf::from);
        let report =
            ogrt_wrap::deliver::deliver_or_spool::flush(&spool, &server, token_file.as_deref(), PATIENCE);
        let directory = spool.path().display();
        print_line(format_args!("{directory}: {} sent, {} waiting", report.sent, report.left))?;
        if report.damaged > 0 {
            complain(format_args!(
                "{directory}: {} damaged files cannot be sent and were renamed to *.damaged",
                report.damaged
            ));
        }
        if let Some(error) = report.error {
            complain(format_args!(
                "{error}; the files stay in {directory}, run `ogrt flush` again when the server is up"
            ));
            return Ok(ExitStatus::Error);
        }
        Ok(if report.damaged > 0 || report.left > 0 { ExitStatus::No } else { ExitStatus::Yes })
    }
}
