//! What all outputs that send over a network share: [`Remote`] delivers, a [`Sink`] knows the
//! receiver.
//!
//! The event's id decides which worker sends a document, so that both documents of a process stay
//! in order. Each worker cuts its share into requests ([`batch`]), and sends each until every
//! document of it is done. A sink gives the fate of each document ([`Fate`]): done, known, to be
//! sent again, or refused for good. A refused one is put into the file of dead letters
//! ([`dead_letters`]), and the others go on. After an error, or without an answer in time, the
//! fates are unknown: everything is sent again, and the id keeps the receiver from storing it
//! twice. The output's offset in the queue moves on when all documents are done, so no event is
//! lost (`no_fault_of_the_receiver_loses_an_event_or_slows_another_output`).

mod batch;
mod connected;
mod dead_letters;
mod http;
mod stream;

pub use batch::Document;
pub use connected::{ConnectionSink, Protocol};
pub use dead_letters::DEAD_LETTERS;
pub use http::{Http, read_secret, shown};
pub use stream::{ByteStream, Connector};

use super::{Output, Surroundings, Work, backoff::Backoff};
use crate::{config::Sending, join::DocumentBatch, metrics::OutputMetrics, shutdown::Shutdown};
use anyhow::{Result, anyhow, bail, ensure};
use dead_letters::DeadLetters;
use futures_util::future::join_all;
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// The fate of a document that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it now.
    Done,
    /// The receiver had it before.
    Known,
    /// The receiver could not take it now, for this reason.
    Again(String),
    /// The receiver will never take it, for this reason.
    Refused(String),
}

/// Why a request has no fates. This is not a [`std::error::Error`], so that no `?` hides a variant
/// in another error.
#[derive(Debug)]
pub enum SendError {
    /// The receiver took nothing, because the request is too large or a document in it is wrong.
    /// The request is sent again in halves, and a single document is refused for this reason.
    Split(String),
    /// The receiver may have taken some of it: all of it is sent again.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for SendError {
    fn from(cause: anyhow::Error) -> Self {
        SendError::Failed(cause)
    }
}

/// The fates of a request's documents, in their order.
pub type SendOutcome = Result<Vec<Fate>, SendError>;

/// A kind of receiver.
pub trait Sink: Send {
    /// What a worker keeps between requests, such as a connection or the node that it uses.
    type Worker: Send;

    /// Creates worker number `number`.
    fn worker(&self, number: usize) -> Self::Worker;

    /// Prepares the worker for the attempt after a failure, over a new connection or at another
    /// node.
    fn renew(&self, worker: &mut Self::Worker);

    /// Checks that the receiver is there, and creates what it needs, such as a template or a topic.
    /// Called before the first request, and before the first one after a failure.
    async fn check(&self, worker: &mut Self::Worker) -> Result<()>;

    /// Sends documents in their order.
    async fn send(&self, worker: &mut Self::Worker, documents: &[Document<'_>]) -> SendOutcome;
}

/// An output that sends.
pub struct Remote<S: Sink> {
    sink: S,
    sending: Sending,
    workers: Vec<Worker<S>>,
    is_checked: Cell<bool>,
    dead_letters: RefCell<DeadLetters>,
    /// The number of the batch after the last delivered one.
    delivered_to: u64,
    metrics: Arc<OutputMetrics>,
}

struct Worker<S: Sink> {
    of_sink: S::Worker,
    backoff: Backoff,
}

impl<S: Sink> Remote<S> {
    /// Connects to nothing yet, so that the server also starts while the receiver is away.
    pub fn open(sink: S, sending: Sending, around: Surroundings<'_>) -> Result<Self> {
        let dead_letters = DeadLetters::open(sending.dead_letters_bytes_max, &around)?;
        let worker = |number| Worker {
            of_sink: sink.worker(number),
            backoff: Backoff::new(around.name, around.metrics.clone(), sending.backoff_max),
        };
        let workers = (0..sending.workers).map(worker).collect();
        Ok(Remote {
            sink,
            sending,
            workers,
            is_checked: Cell::new(false),
            dead_letters: RefCell::new(dead_letters),
            delivered_to: 0,
            metrics: around.metrics,
        })
    }

    async fn check(&self, worker: &mut Worker<S>) -> Result<()> {
        in_time(self.sending.timeout, self.sink.check(&mut worker.of_sink)).await?;
        self.is_checked.set(true);
        Ok(())
    }

    /// Sends a worker's share, request by request, until all of it is done or `give_up`.
    async fn send_share(
        &self,
        worker: &mut Worker<S>,
        share: &[Document<'_>],
        give_up: &Shutdown,
    ) -> Result<()> {
        for request in batch::requests(share, self.sending.batch_events, self.sending.batch_bytes) {
            let mut waiting: Vec<Vec<Document<'_>>> = vec![request.to_vec()];
            while let Some(request) = waiting.pop() {
                match self.attempt(worker, &request).await {
                    Ok(again) if again.is_empty() => worker.backoff.reset(),
                    Ok(again) => {
                        let (documents, mut reasons): (Vec<_>, Vec<_>) = again.into_iter().unzip();
                        self.metrics.events_resent.add(documents.len() as u64);
                        let reason = reasons.pop().unwrap_or_default();
                        let problem =
                            anyhow!("the receiver did not take {} documents: {reason}", documents.len());
                        waiting.push(documents);
                        worker.backoff.wait_after(&problem, give_up).await;
                    }
                    Err(SendError::Split(_)) if request.len() > 1 => {
                        let (first, second) = request.split_at(request.len() / 2);
                        waiting.push(second.to_vec());
                        waiting.push(first.to_vec());
                    }
                    Err(SendError::Split(reason)) => {
                        match self.settle(&request, vec![Fate::Refused(reason)]) {
                            Ok(_) => worker.backoff.reset(),
                            Err(problem) => {
                                waiting.push(request);
                                worker.backoff.wait_after(&problem, give_up).await;
                            }
                        }
                    }
                    Err(SendError::Failed(problem)) => {
                        self.sink.renew(&mut worker.of_sink);
                        self.is_checked.set(false);
                        waiting.push(request);
                        worker.backoff.wait_after(&problem, give_up).await;
                    }
                }
                if give_up.asked() && !waiting.is_empty() {
                    bail!("the server stops before everything is sent; the next start sends the rest");
                }
            }
        }
        Ok(())
    }

    /// Sends one request. Returns the documents that must be sent again, with the reasons.
    async fn attempt<'a>(
        &self,
        worker: &mut Worker<S>,
        request: &[Document<'a>],
    ) -> Result<Vec<(Document<'a>, String)>, SendError> {
        if !self.is_checked.get() {
            self.check(worker).await?;
        }
        let since = Instant::now();
        let fates = in_time(self.sending.timeout, self.sink.send(&mut worker.of_sink, request)).await?;
        self.metrics.requests.add(1);
        self.metrics.request_ms.add(since.elapsed().as_millis() as u64);
        Ok(self.settle(request, fates)?)
    }

    /// Counts what is done, puts refused documents into the dead letters, and returns those to send
    /// again.
    fn settle<'a>(&self, request: &[Document<'a>], fates: Vec<Fate>) -> Result<Vec<(Document<'a>, String)>> {
        ensure!(
            fates.len() == request.len(),
            "the answer is about {} documents, but {} were sent",
            fates.len(),
            request.len()
        );
        let mut again = Vec::new();
        let (mut done, mut known, mut refused) = (0, 0, Vec::new());
        for (document, fate) in request.iter().zip(fates) {
            match fate {
                Fate::Done => done += 1,
                Fate::Known => known += 1,
                Fate::Again(reason) => again.push((*document, reason)),
                Fate::Refused(reason) => refused.push((*document, reason)),
            }
        }
        // What may fail comes first. The request is sent again then, and what is done will be
        // known.
        self.dead_letters.borrow_mut().put(&refused)?;
        self.metrics.events_written.add(done);
        self.metrics.events_rewritten.add(known);
        self.metrics.events_refused.add(refused.len() as u64);
        Ok(again)
    }
}

async fn in_time<T, E: From<anyhow::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(anyhow!("no answer within {limit:?}").into()))
}

impl<S: Sink> Output for Remote<S> {
    fn linger(&self) -> Duration {
        self.sending.linger
    }

    fn commit_every(&self) -> Duration {
        self.sending.commit_every
    }

    fn look(&mut self) -> Work<'_, Result<()>> {
        Box::pin(async {
            let mut workers = std::mem::take(&mut self.workers);
            let mut looked = Ok(());
            if let Some(worker) = workers.first_mut() {
                looked = self.check(worker).await;
                if looked.is_err() {
                    self.sink.renew(&mut worker.of_sink);
                }
            }
            self.workers = workers;
            looked
        })
    }

    /// Returns when every document is done. The receiver recognises documents that come again after
    /// an interruption.
    fn deliver<'a>(
        &'a mut self,
        batches: &'a [Arc<DocumentBatch>],
        give_up: &'a Shutdown,
    ) -> Work<'a, Result<()>> {
        Box::pin(async {
            let shares = batch::shares(batches, self.sending.workers);
            // The workers are taken out of `self`, so that each can change while all read the rest.
            let mut workers = std::mem::take(&mut self.workers);
            let this = &*self;
            let sent = join_all(
                workers
                    .iter_mut()
                    .zip(&shares)
                    .map(|(worker, share)| this.send_share(worker, share, give_up)),
            );
            let sent: Result<Vec<()>> = sent.await.into_iter().collect();
            self.workers = workers;
            sent?;
            if let Some(last) = batches.last() {
                self.delivered_to = last.sequence + 1;
            }
            Ok(())
        })
    }

    /// The receiver recognises documents by their ids, wherever we go on. So after a long outage
    /// and a restart the offset moves on with each delivery, and does not wait for the whole
    /// backlog.
    fn commits_while_repeating(&self) -> bool {
        true
    }

    fn commit(&mut self) -> Result<Vec<(String, u64)>> {
        self.dead_letters.get_mut().commit(self.delivered_to)
    }
}
