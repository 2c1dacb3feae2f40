//! Processes of a job that is over: which of them still run, and which are gone unseen.
//!
//! What is followed ends as ever. A start that nobody follows, for lack of a place, has an end once
//! its job is over and the kernel says that its process is gone. Nobody saw how, so that end is
//! `unknown`, with the time by which the process was gone. Test: `server/tests/server/job_over.rs`.

use super::{
    Follow,
    process_table::{EndCause, ProcessStart},
    sender::SenderProcess,
};
use crate::{
    clock::now_ns,
    queue::{Entry, Kind, identify},
};
use rustix::io::Errno;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, sleep};

/// The time in which an end is on its way to the queue.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// What became of starts that nobody follows.
#[derive(Default)]
pub struct UnseenEnds {
    /// The starts whose processes are gone.
    pub gone: Vec<[u8; 16]>,
    /// Numbers of processes that still run.
    pub living: Vec<u32>,
}

impl Follow {
    /// The numbers of a job's processes that are followed and have not ended.
    pub fn living_of_job(&self, job_id: &[u8], cluster: Option<&[u8]>) -> Vec<u32> {
        self.table().living_of_job(job_id, cluster)
    }

    /// Ends the starts that nobody follows, and whose processes are gone: their job is over.
    pub fn end_unseen(&self, starts: &[Entry]) -> UnseenEnds {
        let mut ends = UnseenEnds::default();
        for entry in starts {
            let Some(credentials) = entry.credentials.filter(|_| entry.relay().is_none()) else { continue };
            let id = identify(Kind::Start, &entry.message).and_then(|identity| identity.event_id);
            let Some(id) = id.or(entry.assigned_id) else { continue };
            // By other numbers than ours nobody can be found.
            let is_numbered = entry.received_ns >= self.numbers_since_ns.load(Ordering::Relaxed);
            if !self.is_on() || !is_numbered || self.is_open(&id) {
                continue;
            }
            let start = ProcessStart::read(&entry.message, id, credentials, entry.received_ns);
            match SenderProcess::again(&start, None) {
                Ok(_) => ends.living.push(credentials.pid),
                Err(Errno::SRCH) => {
                    let (alive_until_ns, gone_by_ns) = (entry.received_ns, Some(now_ns()));
                    let how = EndCause::Unseen { alive_until_ns, is_exec: false, gone_by_ns };
                    self.table().is_lost(&start, None, how);
                    ends.gone.push(id);
                }
                // /proc shows us no processes of others.
                Err(_) => {}
            }
        }
        self.alarm.ring();
        self.metrics.ends_by_job.add(ends.gone.len() as u64);
        ends
    }

    /// Waits until these ends are on their way to the queue.
    pub async fn are_told(&self, ended: &[[u8; 16]]) {
        let deadline = Instant::now() + TOLD_WITHIN;
        while ended.iter().any(|id| self.is_open(id)) && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
    }
}
