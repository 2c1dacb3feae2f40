//! Receiving: sockets to entries.
//!
//! Two ways in, by what a sender pays. Datagrams and the short streams of local processes are
//! drained on a timer by one thread ([`drain`]), because a receiver asleep in the kernel makes each
//! sender pay for waking it. Streams that stay, whose clients wait for an acknowledgement anyway,
//! are tasks of the runtime ([`stream`]).

mod admit;
mod claims;
mod datagrams;
mod default_cluster;
mod drain;
mod jobs_over;
mod local_streams;
mod numbering;
mod observers;
mod origin;
mod provenance;
mod reading_half;
mod stream;

pub use default_cluster::DefaultCluster;
pub use drain::Drain;
pub use jobs_over::{JobsOver, JobsOverInlet};
pub use local_streams::StayingStream;
pub use numbering::Numbering;
pub use stream::Streams;

use crate::{
    alarm::Alarm,
    database::Condition,
    follow::{Follow, OpenStream, ProcessKey, Receipts},
    metrics::Metrics,
    queue::{EventIds, Refusal, Room, Submission, SubmissionAnswer, WriterMessage},
    shutdown::Shutdown,
    tokens::Tokens,
    users::Users,
};
use ogrt_proto::JobOver;
use std::{
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};
use tracing::warn;

/// The things that every receiver has at hand.
#[derive(Clone)]
pub struct Intake {
    /// The way to the queue's writer.
    pub writer: Sender<WriterMessage>,
    /// The bound of what is under way to the writer.
    pub room: Room,
    /// Ids for events without one.
    pub ids: Arc<EventIds>,
    /// The processes of containers.
    pub numbering: Arc<Numbering>,
    /// The cluster of events that do not name it.
    pub default_cluster: Arc<DefaultCluster>,
    /// The tokens that permit registrations.
    pub tokens: Arc<Tokens>,
    /// The names of users.
    pub users: Arc<Users>,
    /// The processes that are followed until they end.
    pub follow: Arc<Follow>,
    /// What the store can take.
    pub condition: Arc<Condition>,
    /// The way to who closes jobs.
    pub jobs_over: JobsOverInlet,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Complaints about datagrams: few, so that a flood of garbage does not fill the log.
    pub datagram_complaints: Arc<Complaints>,
    /// Complaints about streams: many, for a connection costs its peer more than a datagram.
    pub stream_complaints: Arc<Complaints>,
    /// The alarm of the thread that reads the sockets on a timer.
    pub alarm: Arc<Alarm>,
    /// The number of times that the sockets on a timer were emptied.
    pub drained: watch::Sender<u64>,
    /// What is received from the Unix sockets among them.
    pub receipts: Arc<Receipts>,
    /// The request to stop.
    pub shutdown: Shutdown,
}

/// Events, records and processes that a receiver hands over at once.
#[derive(Default)]
pub struct Arrivals {
    /// Events and records, to be queued.
    pub submission: Submission,
    /// Processes that are followed once their starts among it are on their way.
    begun: Vec<ProcessKey>,
    /// Streams that are read to their ends, which are not over before all of it is on its way.
    streams: Vec<OpenStream>,
    /// Jobs that are over here.
    jobs_over: Vec<JobOver>,
    /// Summaries of jobs whose sender may not send any, to be said by who knows its name.
    summaries_refused: u64,
}

impl From<Submission> for Arrivals {
    fn from(submission: Submission) -> Self {
        Arrivals { submission, ..Arrivals::default() }
    }
}

impl Intake {
    /// Hands over, waiting for room; nothing tells when it is durable.
    pub async fn submit(&self, arrivals: impl Into<Arrivals>) {
        let Arrivals { mut submission, begun, streams, jobs_over, .. } = arrivals.into();
        // Whoever closes the jobs answers when that is durable.
        let receipt = if jobs_over.is_empty() { None } else { submission.receipt.take() };
        submission.room = self.room.take(submission.bytes()).await;
        // The writer is gone only when the server stops.
        let _ = self.writer.send(WriterMessage::Submit(submission));
        self.follow.watch(&begun);
        drop(streams);
        if !jobs_over.is_empty() {
            let _ = self.jobs_over.send(JobsOver { jobs: jobs_over, receipt });
        }
    }

    /// Hands over; the answer comes when it is durable.
    pub async fn submit_for_answer(
        &self,
        arrivals: impl Into<Arrivals>,
    ) -> oneshot::Receiver<Result<SubmissionAnswer, Refusal>> {
        let (receipt, answer) = oneshot::channel();
        let mut arrivals = arrivals.into();
        arrivals.submission.receipt = Some(receipt);
        self.submit(arrivals).await;
        answer
    }

    /// Waits until what had arrived at our sockets before is in the queue, so that a question sees
    /// what was sent before it was asked.
    pub async fn settle(&self) {
        let mut drained = self.drained.subscribe();
        // The one that runs now may have passed its sockets already.
        let enough = *drained.borrow() + 2;
        self.alarm.ring();
        let settled = async {
            let _ = drained.wait_for(|passes| *passes >= enough).await;
            let _ = self.submit_for_answer(Submission::default()).await.await;
        };
        tokio::select! {
            () = settled => {}
            () = self.shutdown.wait() => {}
            // What is refused does not come.
            () = self.condition.refuses() => {}
        }
    }
}

/// Why a summary was left out.
const SUMMARY_REFUSED: &str = "a job summary, which only a relay may send that has authenticated itself \
                               by a token of scope relay or by a certificate";

/// Log lines about what cannot be used: so many in ten seconds, then how many more there were.
#[derive(Debug)]
pub struct Complaints {
    lines_max: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    lines: u32,
    silent: u64,
}

impl Complaints {
    /// At most this many lines in ten seconds.
    pub fn new(lines_max: u32) -> Self {
        Complaints { lines_max, window: Mutex::default() }
    }

    /// Says that `peer` sent what cannot be used.
    pub fn say(&self, peer: &dyn std::fmt::Display, problem: &dyn std::fmt::Display) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.is_none_or(|since| since.elapsed() > Duration::from_secs(10)) {
            if window.silent > 0 {
                warn!("{} more such messages were not logged", window.silent);
            }
            *window = Window { since: Some(Instant::now()), lines: 0, silent: 0 };
        }
        if window.lines < self.lines_max {
            window.lines += 1;
            warn!("from {peer}: {problem}; ignored");
        } else {
            window.silent += 1;
        }
    }
}
