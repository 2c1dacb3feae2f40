//! The stage: walks the queue once, holds back what cannot go yet, and lets it go when it can.

use super::{
    Joined, JoinedBatch, Missing,
    hold::{EventKey, HeldKey, Hold, Release},
};
use crate::{
    config::JoinConfig,
    database::number,
    metrics::Metrics,
    queue::{Batch, Entry, Message as ToWriter, Submission, Tail},
    receive::identify,
};
use anyhow::Result;
use bytes::Bytes;
use ogrt_note::Signature;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
};
use tokio::runtime::Handle;
use tracing::{error, warn};

/// The stage, in a thread of its own.
pub struct Join {
    joined: Arc<Joined>,
    hold: Hold,
    metrics: Arc<Metrics>,
    registered: Receiver<Signature>,
    writer: Sender<ToWriter>,
    /// Some output went past these batches before the start, so what is held back of them was decided then: to
    /// hold more now would bring an event twice to who had it.
    decided_until: u64,
}

impl Join {
    /// Takes up what was held when the server ended.
    pub fn open(
        joined: Arc<Joined>,
        config: JoinConfig,
        metrics: Arc<Metrics>,
        registered: Receiver<Signature>,
        writer: Sender<ToWriter>,
    ) -> Result<Self> {
        let decided_until = joined.queue.places().values().copied().max().unwrap_or(0);
        let mut join = Join { joined, hold: Hold::new(config), metrics, registered, writer, decided_until };
        let mut releases = Vec::new();
        for held in join.joined.store.held.iter() {
            let (key, value) = held.into_inner()?;
            let key = (
                number(&key),
                u32::from_be_bytes(key.get(8..12).unwrap_or_default().try_into().unwrap_or_default()),
            );
            let Some(entry) = Entry::read(&mut Bytes::copy_from_slice(&value)) else { continue };
            match part(&entry) {
                Some((event, index, count)) => {
                    releases.extend(join.hold.hold_part(event, index, count, key, entry))
                }
                None => {
                    let missing = join.joined.joiner.missing(&entry);
                    join.hold.hold_late(key, entry, missing);
                }
            }
        }
        join.release(releases);
        Ok(join)
    }

    /// Joins until the queue is closed and walked to its end.
    pub fn run(mut self, runtime: &Handle) -> Result<()> {
        let result = self.join_until_closed(runtime);
        if let Err(problem) = &result {
            error!("the join cannot go on, so the server ends: {problem:#}");
        }
        self.joined.tail.send_modify(|tail| tail.closed = true);
        result
    }

    fn join_until_closed(&mut self, runtime: &Handle) -> Result<()> {
        let mut tail = self.joined.queue.tail();
        let mut next = self.joined.tail.borrow().next;
        loop {
            let seen = *tail.borrow_and_update();
            while next < seen.next {
                if let Some(batch) = self.joined.queue.read(next)? {
                    let joined = self.first_pass(&batch)?;
                    self.joined.publish(joined);
                } else {
                    next = next.max(self.joined.queue.head()?.saturating_sub(1));
                    self.joined.tail.send_replace(Tail { next: next + 1, closed: false });
                }
                next += 1;
                self.let_go();
            }
            self.let_go();
            if seen.closed {
                return Ok(());
            }
            let deadline = self.hold.next_deadline();
            runtime.block_on(async {
                let changed = tail.changed();
                match deadline {
                    Some(at) => drop(tokio::time::timeout_at(at.into(), changed).await),
                    None => drop(changed.await),
                }
            });
        }
    }

    /// Joins a batch for the first time: decides what is held back, and makes that durable.
    fn first_pass(&mut self, batch: &Batch) -> Result<JoinedBatch> {
        let marked = self.joined.marks(batch.sequence)?;
        let is_decided = batch.sequence < self.decided_until;
        let (hold, metrics) = (&mut self.hold, &self.metrics);
        let mut held: BTreeMap<u32, (Entry, Missing)> = BTreeMap::new();
        let joined =
            self.joined.joiner.join(batch, &marked, self.joined.spare(), |index, entry, event, missing| {
                let is_part = event.part_count > 1 && part(entry).is_some();
                let is_late =
                    !is_decided && !entry.is_final && !missing.is_empty() && hold.is_worth_waiting(missing);
                if (is_part || is_late) && !(hold.has_room(entry)) {
                    metrics.events_unwaited.add(1);
                    return false;
                }
                if is_part || is_late {
                    held.insert(index, (entry.clone(), std::mem::take(missing)));
                }
                is_part || is_late
            });
        metrics.events_joined.add(joined.events.len() as u64);
        if joined.malformed > 0 {
            metrics.events_malformed.add(joined.malformed);
            warn!("{} events that were received cannot be decoded, and are left out", joined.malformed);
        }
        if !held.is_empty() {
            self.set_aside(batch.sequence, &marked, held)?;
        }
        Ok(joined)
    }

    fn set_aside(
        &mut self,
        sequence: u64,
        marked: &[u32],
        held: BTreeMap<u32, (Entry, Missing)>,
    ) -> Result<()> {
        let store = &self.joined.store;
        let mut writes = store.batch();
        let marks: Vec<u8> = marked.iter().chain(held.keys()).flat_map(|index| index.to_le_bytes()).collect();
        writes.insert(&store.held_marks, sequence.to_be_bytes(), marks);
        for (index, (entry, _)) in &held {
            let mut bytes = Vec::new();
            entry.write(&mut bytes);
            writes.insert(&store.held, crate::queue::held_key(sequence, *index), bytes);
        }
        writes.commit()?;
        let mut releases = Vec::new();
        for (index, (entry, missing)) in held {
            // The message shares its memory with the whole batch, which may be large: keep only this.
            let entry = Entry { message: Bytes::copy_from_slice(&entry.message), ..entry };
            let key: HeldKey = (sequence, index);
            match part(&entry) {
                Some((event, index, count)) => {
                    releases.extend(self.hold.hold_part(event, index, count, key, entry))
                }
                None => {
                    self.metrics.events_waited.add(1);
                    self.hold.hold_late(key, entry, missing);
                }
            }
        }
        self.release(releases);
        Ok(())
    }

    /// Lets go what has all it waited for, and what has waited long enough.
    fn let_go(&mut self) {
        let mut releases = Vec::new();
        while let Ok(signature) = self.registered.try_recv() {
            releases.extend(self.hold.registered(signature));
        }
        releases.extend(self.hold.expired());
        self.release(releases);
        self.metrics.waiting.set(self.hold.len() as u64);
    }

    fn release(&self, releases: Vec<Release>) {
        let mut submission = Submission::default();
        for release in releases {
            if release.in_vain {
                let metrics = &self.metrics;
                if release.entry.is_final { &metrics.events_unjoined } else { &metrics.events_incomplete }
                    .add(1);
            }
            submission.entries.push(&release.entry);
            submission.replaces.extend(release.replaces);
        }
        if !submission.is_empty() {
            // While the server stops it stays held, and the next start takes it up.
            let _ = self.writer.send(ToWriter::Submit(submission));
        }
    }
}

/// Is it one part of several? Which event, which part, of how many?
fn part(entry: &Entry) -> Option<(EventKey, u32, u32)> {
    if entry.is_whole {
        return None;
    }
    let identity = identify(entry.kind, &entry.message)?;
    let id =
        identity.event_id.filter(|_| identity.part_count > 1 && identity.part_index < identity.part_count)?;
    Some(((id, entry.kind), identity.part_index, identity.part_count))
}
