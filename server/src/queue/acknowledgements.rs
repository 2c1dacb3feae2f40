//! Acknowledgements of registrations that wait until the registry's own database has them.
//!
//! A thread waits for them in their order, which is the order in which they are carried over. So
//! the writer of the queue goes on, and no event waits for the database. What does not arrive is
//! refused: its client keeps it and comes again, and a record that comes twice changes nothing.

use super::submission::{Receipt, Refusal, Submission, SubmissionAnswer};
use crate::{
    metrics::Metrics,
    registry::{Registration, Registry},
};
use anyhow::{Context, Result};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the database may take.
const COMMITTED_WITHIN: Duration = Duration::from_secs(3);

/// An answer that waits.
struct Pending {
    receipt: Receipt,
    answer: SubmissionAnswer,
    deadline: Instant,
}

/// See the module.
pub struct Acknowledgements {
    registry: Arc<dyn Registry>,
    metrics: Arc<Metrics>,
    /// `None` where nobody has to wait.
    pending: Option<Sender<Pending>>,
}

impl Acknowledgements {
    /// Starts the thread where this registry needs one. It ends with the last answer.
    pub fn start(registry: Arc<dyn Registry>, metrics: Arc<Metrics>) -> Result<Self> {
        let mut acknowledgements = Acknowledgements { registry, metrics, pending: None };
        if acknowledgements.registry.acknowledges_commits() {
            let (pending, answers) = channel();
            let (registry, metrics) = (acknowledgements.registry.clone(), acknowledgements.metrics.clone());
            thread::Builder::new()
                .name("acknowledgements".into())
                .spawn(move || wait(&*registry, &metrics, &answers))
                .context("cannot start the thread that acknowledges registrations")?;
            acknowledgements.pending = Some(pending);
        }
        Ok(acknowledgements)
    }

    /// True of a submission whose builds could not be acknowledged now. One for which nobody waits
    /// is kept on this server's disk all the same: there is no other copy.
    pub fn refuse(&self, submission: &Submission) -> bool {
        let builds = submission.builds.len() as u64;
        let refuses = builds > 0 && submission.receipt.is_some() && !self.registry.may_acknowledge();
        self.metrics.registrations_refused.add(if refuses { builds } else { 0 });
        refuses
    }

    /// Gives an answer, at once or when its registrations are committed.
    pub fn give(&self, receipt: Receipt, answer: Result<SubmissionAnswer, Refusal>) {
        match (answer, &self.pending) {
            (Ok(answer), Some(pending)) if answer.builds.iter().any(is_on_its_way) => {
                let deadline = Instant::now() + COMMITTED_WITHIN;
                // Where the thread is gone, the receipt goes with it, which is a refusal.
                let _ = pending.send(Pending { receipt, answer, deadline });
            }
            // Who asked may be gone meanwhile.
            (answer, _) => drop(receipt.send(answer)),
        }
    }
}

fn is_on_its_way(registration: &Registration) -> bool {
    matches!(registration, Registration::Accepted(..))
}

fn wait(registry: &dyn Registry, metrics: &Metrics, answers: &Receiver<Pending>) {
    for Pending { receipt, mut answer, deadline } in answers {
        let mut is_committed = true;
        for registration in &mut answer.builds {
            let Registration::Accepted(_, ticket) = *registration else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            if !registry.is_committed(ticket, left) {
                is_committed = false;
                break;
            }
            *registration = registry.outcome(ticket, Duration::ZERO).unwrap_or(*registration);
        }
        metrics.registrations_refused.add(if is_committed { 0 } else { answer.builds.len() as u64 });
        let _ = receipt.send(if is_committed { Ok(answer) } else { Err(Refusal::NotCommitted) });
    }
}
