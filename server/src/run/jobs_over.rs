//! Closes the processes of jobs that are over here: the word of a scheduler's epilog.
//!
//! ```text
//! what had arrived is in the queue -> in what is kept of jobs -> starts of the job without an end
//!     -> gone, and nobody follows them: an end each -> durable -> the epilog is answered
//! ```
//! A start may wait for its build record meanwhile, so the job is looked at once more when that
//! wait is over. Processes that still run are left to those who follow them.

use super::Shared;
use crate::{
    follow::{Follow, UnseenEnds},
    job_key::cluster_key,
    jobs::{JobError, Jobs, OpenStartReader},
    queue::{Receipt, Submission},
    receive::{Intake, JobsOver},
};
use ogrt_proto::{JobOver, printable::escaped};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};
use tracing::{error, info, warn};

/// Numbers of processes that the log names.
const NAMED_MAX: usize = 5;

/// Time that a start takes from the end of its wait to where it is kept.
const KEPT_WITHIN: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Clone)]
pub struct JobCloser {
    intake: Intake,
    jobs: Arc<Jobs>,
    follow: Arc<Follow>,
    /// The longest time that an event waits in the join.
    wait: Duration,
}

impl JobCloser {
    /// The one of this server.
    pub fn new(shared: &Shared) -> Self {
        let intake = shared.intake.clone();
        let follow = intake.follow.clone();
        let wait = shared.config.join.wait.0.max(shared.config.join.parts_wait.0);
        JobCloser { intake, jobs: shared.jobs.clone(), follow, wait }
    }

    /// Closes jobs, one after the other.
    pub async fn close(self, mut over: UnboundedReceiver<JobsOver>) {
        while let Some(JobsOver { jobs, receipt }) = over.recv().await {
            for job in &jobs {
                self.close_one(job, true).await;
            }
            self.answer(receipt).await;
            let again = self.clone();
            let at = Instant::now() + self.wait + KEPT_WITHIN;
            tokio::spawn(async move {
                sleep_until(at).await;
                for job in &jobs {
                    again.close_one(job, false).await;
                }
            });
        }
    }

    async fn close_one(&self, job: &JobOver, is_first: bool) {
        let name = escaped(&String::from_utf8_lossy(job.job_id())).into_owned();
        self.intake.settle().await;
        if !matches!(self.jobs.catch_up().await, Ok(None)) {
            warn!("job {name} is over; the server is behind, so some of its processes may have no end");
        }
        let closed = self.end_unseen(job).await;
        let UnseenEnds { gone, living: mut unfollowed } = match closed {
            Ok(ends) => ends,
            Err(problem) => return error!("job {name} is over, and cannot be closed: {problem}"),
        };
        if !gone.is_empty() {
            info!("job {name} is over: {} processes of it are gone, and nobody saw how", gone.len());
        }
        // The second look finds those that the first has told of.
        if is_first {
            let mut living = self.follow.living_of_job(job.job_id(), cluster(job));
            living.append(&mut unfollowed);
            self.tell_living(&name, &living);
        }
    }

    fn tell_living(&self, name: &str, living: &[u32]) {
        if living.is_empty() {
            return;
        }
        self.intake.metrics.processes_after_job.add(living.len() as u64);
        let pids: Vec<String> = living.iter().take(NAMED_MAX).map(u32::to_string).collect();
        let more = if living.len() > NAMED_MAX { ", ..." } else { "" };
        warn!(
            "job {name} is over, and {} processes of it still run here: pid {}{more}. They are followed \
             as before",
            living.len(),
            pids.join(", ")
        );
    }

    /// Ends the starts of the job that nobody follows, a part at a time.
    async fn end_unseen(&self, job: &JobOver) -> Result<UnseenEnds, JobError> {
        let mut all = UnseenEnds::default();
        let mut reader = None;
        loop {
            let (jobs, follow, job) = (self.jobs.clone(), self.follow.clone(), job.clone());
            let work = move || {
                let mut reader = match reader {
                    Some(reader) => reader,
                    None => {
                        let cluster = cluster(&job).map(|cluster| cluster_key(cluster).into_owned());
                        OpenStartReader::new(&jobs, job.job_id(), cluster.as_deref())?
                    }
                };
                let starts = reader.read(&jobs)?;
                Ok::<_, JobError>((reader, starts.is_empty(), follow.end_unseen(&starts)))
            };
            // It fails only where the server stops.
            let Ok(part) = spawn_blocking(work).await else { return Ok(all) };
            let (read, is_last, ends) = part?;
            self.follow.are_told(&ends.gone).await;
            all.gone.extend(ends.gone);
            all.living.extend(ends.living);
            if is_last {
                return Ok(all);
            }
            reader = Some(read);
            sleep(Duration::ZERO).await;
        }
    }

    /// Answers when all that was queued before is durable.
    async fn answer(&self, receipt: Option<Receipt>) {
        self.intake.submit(Submission { receipt, ..Submission::default() }).await;
    }
}

/// The cluster that is named, if one is.
fn cluster(job: &JobOver) -> Option<&[u8]> {
    Some(job.cluster()).filter(|cluster| !cluster.is_empty())
}
