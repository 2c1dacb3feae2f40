//! `ogrt end-job`: tells the server on this machine that a job is over here.

use crate::exit_status::ExitStatus;
use anyhow::{Result, ensure};
use clap::Args;
use ogrt_proto::{JobOver, MessageType, encode_frame};
use ogrt_wrap::{deliver::connection::Server, environment};
use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    time::{Duration, Instant},
};

/// The server's socket where OGRT_SERVER is not set.
const DEFAULT_SERVER: &str = "unix:/run/ogrt/ogrt.sock";

/// The time limit of all of it: the scheduler waits.
const PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt end-job alpha/4711";

/// Tell the server on this machine that a job is over here.
///
/// A scheduler's epilog calls it, as root. Processes of the job whose end nobody will see have the
/// end `unknown` then. Processes that still run are followed as before. OGRT_SERVER names the
/// server's Unix socket, unix:PATH; default unix:/run/ogrt/ogrt.sock.
///
/// Exit status: 0 the server knows it, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct EndJobCommand {
    /// The id that the scheduler gave the job, with the name of its cluster in front.
    #[arg(value_name = "[CLUSTER/]JOBID")]
    job_id: OsString,
}

impl EndJobCommand {
    /// Tells it, and waits until the ends are recorded.
    pub fn run(self) -> Result<ExitStatus> {
        let job = job_of(self.job_id);
        ensure!(!job.job_id().is_empty(), "expected the id of a job");
        let server = environment::non_empty("OGRT_SERVER");
        let server = server.map_or(DEFAULT_SERVER.into(), |server| server.to_string_lossy().into_owned());
        let server = Server::parse(&server);
        ensure!(
            matches!(server, Server::Unix(_)),
            "OGRT_SERVER={server}: a job is ended by the Unix socket of the server on this machine, \
             such as {DEFAULT_SERVER}"
        );
        let deadline = Instant::now() + PATIENCE;
        let mut connection = server.connect(None, deadline)?;
        connection.send_all(&encode_frame(MessageType::JobOver, &job), 1, deadline)?;
        connection.wait_durable(deadline)?;
        Ok(ExitStatus::Yes)
    }
}

/// The job in `CLUSTER/JOBID`, or `JOBID` of any cluster.
fn job_of(text: OsString) -> JobOver {
    let mut job_id = text.into_vec();
    let slash = job_id.iter().position(|byte| *byte == b'/').filter(|at| *at > 0);
    let cluster = slash.map(|at| {
        let mut cluster: Vec<u8> = job_id.drain(..=at).collect();
        cluster.pop();
        cluster.into()
    });
    JobOver { job_id: Some(job_id.into()), cluster }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_first_slash_is_the_cluster() {
        let of = |text: &str| {
            let job = job_of(text.into());
            (
                String::from_utf8_lossy(job.cluster()).into_owned(),
                String::from_utf8_lossy(job.job_id()).into_owned(),
            )
        };
        let pair = |cluster: &str, job: &str| (cluster.to_owned(), job.to_owned());
        assert_eq!(of("4711"), pair("", "4711"));
        assert_eq!(of("alpha/4711.head"), pair("alpha", "4711.head"));
        assert_eq!(of("alpha/7/1"), pair("alpha", "7/1"));
        assert_eq!(of("/7"), pair("", "/7"));
    }
}
