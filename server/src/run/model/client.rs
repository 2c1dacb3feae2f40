//! The clients of a run: what they sent, what was acknowledged, what they send again.

use super::{
    population::{Build, Message, Process, record},
    server::{PATIENCE, Server},
};
use crate::{
    clock::now_ns,
    queue::{Refusal, Submission, SubmissionAnswer, WriterMessage},
};
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// Everything that clients know.
pub struct Clients {
    runtime: Handle,
    pub processes: Vec<Process>,
    pub sent: BTreeMap<Message, Sent>,
    /// Builds that were sent, and whether their registration was acknowledged.
    pub builds: BTreeMap<Build, bool>,
    pending: Vec<Pending>,
    /// How often the server was started.
    life: usize,
    crashed: BTreeSet<usize>,
}

/// What became of a message.
#[derive(Default)]
pub struct Sent {
    /// The life of the server in which each copy was sent.
    lives: Vec<usize>,
    pub is_acknowledged: bool,
    /// The builds that it names were registered before it was sent first.
    pub are_builds_known: bool,
}

struct Pending {
    messages: Vec<Message>,
    builds: Vec<Build>,
    answer: oneshot::Receiver<Result<SubmissionAnswer, Refusal>>,
}

impl Clients {
    /// Nothing was sent yet.
    pub fn new(processes: &[Process], runtime: &Handle) -> Self {
        Clients {
            runtime: runtime.clone(),
            processes: processes.to_vec(),
            sent: BTreeMap::new(),
            builds: BTreeMap::new(),
            pending: Vec::new(),
            life: 0,
            crashed: BTreeSet::new(),
        }
    }

    /// Sends, and does not wait for the answer.
    pub fn send(&mut self, server: &Server, messages: &[Message], builds: &[Build], is_acknowledged: bool) {
        if messages.is_empty() && builds.is_empty() {
            return;
        }
        let mut submission = Submission { once: is_acknowledged, ..Submission::default() };
        for message in messages {
            let process = &self.processes[message.process];
            submission.entries.push(&process.entry(*message, now_ns()));
            let are_builds_known =
                process.builds_in(*message).iter().all(|build| self.builds.get(build) == Some(&true));
            let sent = self.sent.entry(*message).or_insert(Sent { are_builds_known, ..Sent::default() });
            sent.lives.push(self.life);
        }
        for build in builds {
            submission.builds.push(record(*build).into());
            self.builds.entry(*build).or_insert(false);
        }
        if is_acknowledged {
            let (receipt, answer) = oneshot::channel();
            submission.receipt = Some(receipt);
            self.pending.push(Pending { messages: messages.to_vec(), builds: builds.to_vec(), answer });
        }
        // A server that has died takes nothing.
        let _ = server.shared.intake.writer.send(WriterMessage::Submit(submission));
    }

    /// Waits for all answers.
    pub fn settle(&mut self) -> Result<()> {
        for Pending { messages, builds, answer } in std::mem::take(&mut self.pending) {
            let Ok(answer) = self.runtime.block_on(async { timeout(PATIENCE, answer).await }) else {
                bail!("{messages:?} and builds {builds:?} got no answer");
            };
            // Without an answer the server has died, and nothing is known.
            let Ok(Ok(_)) = answer else { continue };
            for message in messages {
                self.sent.entry(message).or_default().is_acknowledged = true;
            }
            self.builds.extend(builds.into_iter().map(|build| (build, true)));
        }
        Ok(())
    }

    /// The server died: answers that it gave before have come.
    pub fn see_crash(&mut self) -> Result<()> {
        self.crashed.insert(self.life);
        self.settle()
    }

    /// A server was started.
    pub fn begin_life(&mut self) {
        self.life += 1;
    }

    /// Sends again what was not acknowledged: each event in a submission of its own.
    pub fn resend(&mut self, server: &Server) {
        let missing = self.unacknowledged();
        for event in missing.chunk_by(|a, b| (a.process, a.is_end) == (b.process, b.is_end)) {
            self.send(server, event, &[], true);
        }
        let builds: Vec<Build> = self.builds.iter().filter(|(_, known)| !**known).map(|(b, _)| *b).collect();
        self.send(server, &[], &builds, true);
    }

    /// What clients have to send again, in order.
    fn unacknowledged(&self) -> Vec<Message> {
        let is_missing = |message: &Message, sent: &Sent| {
            let process = &self.processes[message.process];
            process.is_acknowledged && !process.gives_up && !sent.is_acknowledged
        };
        self.sent.iter().filter(|(message, sent)| is_missing(message, sent)).map(|(m, _)| *m).collect()
    }

    /// A server that is well acknowledges everything.
    pub fn check_all_is_acknowledged(&self) -> Result<()> {
        let missing = self.unacknowledged();
        ensure!(missing.is_empty(), "not acknowledged by a server that is well: {missing:?}");
        ensure!(self.builds.values().all(|known| *known), "builds not acknowledged: {:?}", self.builds);
        Ok(())
    }

    /// The messages of an event that were sent.
    fn event(&self, process: usize, is_end: bool) -> impl Iterator<Item = (&Message, &Sent)> {
        let first = Message { process, is_end, part: 0 };
        self.sent.range(first..=Message { part: usize::MAX, ..first })
    }

    /// All parts of the event were acknowledged.
    pub fn is_acknowledged(&self, process: usize, is_end: bool) -> bool {
        let parts = self.processes[process].parts[usize::from(is_end)];
        parts > 0 && self.event(process, is_end).filter(|(_, sent)| sent.is_acknowledged).count() == parts
    }

    /// The most documents that there may be of an event. `alone`: each part may go on alone.
    pub fn documents_max(&self, process: usize, is_end: bool, alone: bool) -> usize {
        let copies: Vec<usize> =
            self.event(process, is_end).flat_map(|(_, sent)| sent.lives.iter().copied()).collect();
        let Some(first) = copies.first() else { return 0 };
        // Copies of what nobody acknowledged are known for as long as the server lives.
        let is_one_life = copies.iter().all(|life| life == first) && !self.crashed.contains(first);
        let messages = self.event(process, is_end).count();
        match self.processes[process].is_acknowledged || is_one_life {
            true if alone => messages,
            true => 1,
            false => copies.len(),
        }
    }

    /// The builds that an event names were registered before it was sent.
    pub fn are_builds_known(&self, process: usize, is_end: bool) -> bool {
        self.event(process, is_end).all(|(_, sent)| sent.are_builds_known)
    }

    /// Was its registration acknowledged? `None`: it was sent, and nobody knows.
    pub fn is_registered(&self, build: Build) -> Option<bool> {
        match self.builds.get(&build) {
            None => Some(false),
            Some(true) => Some(true),
            Some(false) => None,
        }
    }
}
