//! Jobs that are over on this machine, as a scheduler's epilog says.
//!
//! Only root and our own user are believed, by the kernel's word for who has connected. Nobody else
//! can close the processes of a job, and a network socket never can. Test:
//! `only_root_and_the_servers_user_may_say_that_a_job_is_over` in
//! `server/tests/server/job_over.rs`.

use super::origin::Origin;
use crate::queue::{Credentials, Receipt};
use ogrt_proto::JobOver;
use prost::Message;
use rustix::process::geteuid;
use tokio::sync::mpsc::UnboundedSender;

/// Longest message: a job id and the name of a cluster.
const MESSAGE_MAX: usize = 4096;

/// Jobs that somebody says are over, and the way back to who waits for it.
pub struct JobsOver {
    /// The jobs.
    pub jobs: Vec<JobOver>,
    /// Answered when their processes have their ends.
    pub receipt: Option<Receipt>,
}

/// The way to who closes jobs.
pub type JobsOverInlet = UnboundedSender<JobsOver>;

/// True if the kernel says that the sender is root, or our own user.
pub fn is_administrator(sender: Option<Credentials>) -> bool {
    sender.is_some_and(|sender| sender.uid == 0 || sender.uid == geteuid().as_raw())
}

/// A job that is over; `None` where the sender may not say so, or does not name one.
pub fn read(message: &[u8], origin: &Origin<'_>) -> Option<JobOver> {
    let may_tell = origin.relay.is_none() && is_administrator(origin.credentials);
    let job = JobOver::decode(message).ok().filter(|_| may_tell && message.len() <= MESSAGE_MAX)?;
    (!job.job_id().is_empty()).then_some(job)
}
