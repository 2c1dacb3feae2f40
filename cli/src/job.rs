//! `ogrt job`: the document of one job, as the server keeps it.

use crate::{
    answer::{Answer, complain, print},
    query::one_line_end,
    server::Server,
};
use anyhow::Result;
use clap::Args;

/// Show what a job really ran: {"job_id": ..., "processes": [...]}.
#[derive(Args)]
pub struct Job {
    /// As the scheduler names it.
    #[arg(value_name = "JOBID")]
    job_id: String,

    /// Print JSON. So far that is the only form.
    #[arg(long)]
    json: bool,
}

impl Job {
    /// Prints the document. Answers no when the server has seen no process of the job.
    pub fn run(self) -> Result<Answer> {
        let server = Server::from_environment()?;
        match server.job(&self.job_id)? {
            Some(document) => {
                print(one_line_end(document))?;
                Ok(Answer::Yes)
            }
            None => {
                complain(format_args!("job {}: nothing recorded at {}", self.job_id, server.address()));
                Ok(Answer::No)
            }
        }
    }
}
