//! The stage: walks the queue once, holds back what cannot go yet, and lets it go when it can.

use super::{
    DocumentBatch, DocumentBatches, Joiner, Missing, Pass,
    decode_event::Event,
    filter_and_limit::{FilterAndLimit, Rules},
    held_events::{EventKey, HeldEvents, Release},
    reader::reader_offsets,
    repeated_events::RepeatedEvents,
};
use crate::{
    config::JoinConfig,
    database::JoinStore,
    follow::Follow,
    metrics::Metrics,
    queue::{Batch, EndSource, Entry, HeldKey, Kind, Submission, Tail, WriterMessage, identify},
    registry::RegisteredBuilds,
};
use anyhow::Result;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, mpsc::Sender},
};
use tokio::{runtime::Handle, sync::watch};
use tracing::{error, warn};

/// The stage, in a thread of its own.
pub struct Join {
    store: JoinStore,
    documents: Arc<DocumentBatches>,
    hold: HeldEvents,
    repeated: RepeatedEvents,
    filter_and_limit: FilterAndLimit,
    metrics: Arc<Metrics>,
    registered: RegisteredBuilds,
    writer: Sender<WriterMessage>,
    /// Outputs may have had these batches before the start, so what goes on of them was decided
    /// then. To hold more now would bring an event twice to an output that had it.
    decided_until: u64,
}

/// What the join has to do with besides the queue.
pub struct Neighbours<'a> {
    /// Builds that were registered.
    pub registered: RegisteredBuilds,
    /// The way to the queue's writer.
    pub writer: Sender<WriterMessage>,
    /// The processes whose end the kernel will tell.
    pub follow: &'a Follow,
}

impl Join {
    /// Takes up what was held when the server ended.
    pub fn open(
        store: JoinStore,
        documents: Arc<DocumentBatches>,
        config: JoinConfig,
        rules: watch::Receiver<Arc<Rules>>,
        metrics: Arc<Metrics>,
        neighbours: Neighbours<'_>,
    ) -> Result<Self> {
        let Neighbours { registered, writer, follow } = neighbours;
        let passed = reader_offsets(&documents.queue).max().unwrap_or(0);
        let decided_until = store.decided_until.get()?.max(passed);
        let filter_and_limit = FilterAndLimit::new(rules, decided_until, metrics.clone());
        let mut join = Join {
            store,
            documents: documents.clone(),
            hold: HeldEvents::new(config),
            repeated: RepeatedEvents::default(),
            filter_and_limit,
            metrics,
            registered,
            writer,
            decided_until,
        };
        let mut releases = Vec::new();
        let mut closing = Vec::new();
        for held in documents.held.held() {
            let (key, entry) = held?;
            match part(&entry) {
                _ if is_told_end(&entry) => {
                    let id = identify(entry.kind, &entry.message).and_then(|identity| identity.event_id);
                    let closes = id.is_some_and(|id| follow.is_open(&id));
                    join.hold_told_end(key, entry, closes);
                }
                _ if is_closing(&entry) => closing.push((key, entry)),
                _ if entry.kind == Kind::Summary => {
                    releases.extend(join.filter_and_limit.resume(key, &entry))
                }
                Some((event, index, count)) => {
                    releases.extend(join.hold.hold_part(event, index, count, key, entry))
                }
                None => {
                    let missing = join.documents.joiner.missing(&entry);
                    join.hold.hold_late(key, entry, missing);
                }
            }
        }
        // When all that the processes told is held.
        releases.extend(closing.into_iter().filter_map(|(key, entry)| join.close_told_end(key, entry)));
        join.release(releases);
        Ok(join)
    }

    /// Joins until the queue is closed and walked to its end.
    pub fn run(mut self, runtime: &Handle) -> Result<()> {
        let result = self.join_until_closed(runtime);
        if let Err(problem) = &result {
            error!("the join cannot go on, so the server ends: {problem:#}");
        }
        self.documents.tail.send_modify(|tail| tail.closed = true);
        result
    }

    fn join_until_closed(&mut self, runtime: &Handle) -> Result<()> {
        let mut tail = self.documents.queue.tail();
        let mut next = self.documents.tail.borrow().next;
        loop {
            let seen = *tail.borrow_and_update();
            while next < seen.next {
                if let Some(batch) = self.documents.queue.read(next)? {
                    let fresh = self.first_pass(&batch)?;
                    self.documents.publish(fresh);
                } else {
                    next = next.max(self.documents.queue.head()?.saturating_sub(1));
                    self.documents.tail.send_replace(Tail { next: next + 1, closed: false });
                }
                next += 1;
                self.let_go();
            }
            self.let_go();
            if seen.closed {
                return Ok(());
            }
            let deadline =
                [self.hold.next_deadline(), self.filter_and_limit.next_due()].into_iter().flatten().min();
            runtime.block_on(async {
                let changed = async {
                    tokio::select! {
                        _ = tail.changed() => {}
                        () = self.registered.announced() => {}
                    }
                };
                match deadline {
                    Some(at) => drop(tokio::time::timeout_at(at.into(), changed).await),
                    None => changed.await,
                }
            });
        }
    }

    /// Joins a batch for the first time: decides what is left out or held back, and makes that
    /// durable.
    fn first_pass(&mut self, batch: &Batch) -> Result<DocumentBatch> {
        let skipped = self.documents.held.skipped(batch.sequence)?;
        let rules = self.filter_and_limit.rules_for(batch.sequence);
        let mut pass = FirstPass {
            sequence: batch.sequence,
            joiner: &self.documents.joiner,
            hold: &self.hold,
            repeated: &mut self.repeated,
            is_decided: batch.sequence < self.decided_until,
            filter_and_limit: rules.as_deref().map(|rules| (&mut self.filter_and_limit, rules)),
            metrics: &self.metrics,
            left_out: Vec::new(),
            held: BTreeMap::new(),
            goes_incomplete: false,
            told_ends: HashSet::new(),
        };
        let batch = self.documents.joiner.join(batch, &skipped, self.documents.spare(), &mut pass);
        let FirstPass { mut left_out, held, goes_incomplete, .. } = pass;
        self.metrics.events_joined.add(batch.events.len() as u64);
        if !batch.malformed.is_empty() {
            let malformed = batch.malformed.len();
            self.metrics.events_malformed.add(malformed as u64);
            warn!("{malformed} events that were received cannot be decoded, and are left out");
            // Also by those who read entries and no documents.
            left_out.extend(&batch.malformed);
        }
        let summaries = rules.is_some().then(|| self.filter_and_limit.done(batch.sequence));
        // What might be decided otherwise after a crash, when there is more room or less patience.
        let is_to_stand = goes_incomplete || summaries.is_some();
        self.write(batch.sequence, skipped, left_out, &held, summaries.unwrap_or_default(), is_to_stand)?;
        self.set_aside(batch.sequence, held);
        Ok(batch)
    }

    /// Makes durable what was decided about a batch.
    fn write(
        &self,
        sequence: u64,
        mut skipped: Vec<u32>,
        left_out: Vec<u32>,
        held: &BTreeMap<u32, (Entry, Missing)>,
        summaries: Vec<(HeldKey, Entry)>,
        is_to_stand: bool,
    ) -> Result<()> {
        let set_aside = &self.documents.held;
        let mut writes = set_aside.writes();
        if !left_out.is_empty() || !held.is_empty() {
            skipped.extend(left_out.iter().chain(held.keys()));
            set_aside.skip(&mut writes, sequence, &skipped);
        }
        for (index, (entry, _)) in held {
            set_aside.hold(&mut writes, (sequence, *index), entry);
        }
        for (key, entry) in &summaries {
            set_aside.hold(&mut writes, *key, entry);
        }
        if is_to_stand {
            writes.set(&self.store.decided_until, sequence + 1);
        }
        if !writes.is_empty() {
            writes.commit()?;
        }
        Ok(())
    }

    fn set_aside(&mut self, sequence: u64, held: BTreeMap<u32, (Entry, Missing)>) {
        let mut releases = Vec::new();
        for (index, (entry, missing)) in held {
            // The message shares its memory with the whole batch, which may be large: keep only
            // this.
            let entry = Entry { message: Bytes::copy_from_slice(&entry.message), ..entry };
            let key: HeldKey = (sequence, index);
            match part(&entry) {
                _ if is_told_end(&entry) => {
                    let closes = entry.end_source == EndSource::FollowedProcess;
                    self.hold_told_end(key, entry, closes);
                }
                _ if is_closing(&entry) => releases.extend(self.close_told_end(key, entry)),
                Some((event, index, count)) => {
                    releases.extend(self.hold.hold_part(event, index, count, key, entry))
                }
                None => {
                    self.metrics.join_waits.add(1);
                    self.hold.hold_late(key, entry, missing);
                }
            }
        }
        self.release(releases);
    }

    fn hold_told_end(&mut self, key: HeldKey, entry: Entry, closes: bool) {
        let identity = identify(entry.kind, &entry.message).unwrap_or_default();
        if let Some(id) = identity.event_id {
            self.hold.hold_told_end(id, identity.part_index, key, entry, closes);
        }
    }

    fn close_told_end(&mut self, key: HeldKey, entry: Entry) -> Option<Release> {
        let id = identify(entry.kind, &entry.message)?.event_id?;
        self.hold.close_told_end(id, key, entry)
    }

    /// Lets go what has all it waited for, and what has waited long enough.
    fn let_go(&mut self) {
        let mut releases = Vec::new();
        while let Some(signature) = self.registered.next() {
            releases.extend(self.hold.registered(signature));
        }
        releases.extend(self.hold.expired());
        releases.extend(self.filter_and_limit.due());
        self.release(releases);
        self.metrics.events_held.set(self.hold.len() as u64);
    }

    fn release(&self, releases: Vec<Release>) {
        let mut submission = Submission::default();
        for release in releases {
            if release.in_vain {
                let metrics = &self.metrics;
                if release.entry.is_final { &metrics.join_timeouts } else { &metrics.events_incomplete }
                    .add(1);
            }
            submission.entries.push(&release.entry);
            submission.replaces.extend(release.replaces);
        }
        if !submission.is_empty() {
            // While the server stops it stays held, and the next start takes it up.
            let _ = self.writer.send(WriterMessage::Submit(submission));
        }
    }
}

/// The decisions about the entries of a batch.
struct FirstPass<'a> {
    sequence: u64,
    joiner: &'a Joiner,
    hold: &'a HeldEvents,
    repeated: &'a mut RepeatedEvents,
    /// The decisions were made before the start.
    is_decided: bool,
    filter_and_limit: Option<(&'a mut FilterAndLimit, &'a Rules)>,
    metrics: &'a Metrics,
    left_out: Vec<u32>,
    held: BTreeMap<u32, (Entry, Missing)>,
    /// Something went on although a record or a part of it is missing.
    goes_incomplete: bool,
    /// Ends among `held` that their processes told, and the kernel has still to tell.
    told_ends: HashSet<EventKey>,
}

impl FirstPass<'_> {
    /// True of an end that is held because both tell it, its process and the kernel. It is looked
    /// at when they are one.
    fn waits_for_its_other_half(&self, entry: &Entry, event: &Event<'_>) -> bool {
        let has_told = |id| {
            let end = (id, Kind::End, entry.sender().of_user());
            self.told_ends.contains(&end) || self.hold.has_told_end(end)
        };
        !self.is_decided
            && (is_told_end(entry) || (is_closing(entry) && event.event_id.is_some_and(has_told)))
    }

    /// Notes that an event had to wait, and there was no room for it.
    fn overflows(&self, entry: &Entry) {
        self.metrics.join_overflows.add(1);
        if let Some(sender) = self.hold.sender_with_much(entry) {
            let consequence = "further events of it do not wait for their build records";
            self.metrics.over("join.waiting_max", &sender, 1, consequence);
        }
    }
}

impl Pass for FirstPass<'_> {
    fn leaves_out(&mut self, index: u32, entry: &Entry, event: &Event<'_>) -> bool {
        if self.repeated.has(entry, event) && !self.is_decided {
            self.metrics.events_duplicate.add(1);
            self.left_out.push(index);
            return true;
        }
        if self.waits_for_its_other_half(entry, event) {
            return false;
        }
        let Some((filter_and_limit, rules)) = &mut self.filter_and_limit else { return false };
        let is_left_out = filter_and_limit.takes(rules, self.joiner, entry, event, (self.sequence, index));
        if is_left_out {
            self.left_out.push(index);
        }
        is_left_out
    }

    fn holds_back(&mut self, index: u32, entry: &Entry, event: &Event<'_>, missing: &mut Missing) -> bool {
        if self.waits_for_its_other_half(entry, event) {
            if is_told_end(entry) && !self.hold.has_room(entry) {
                // The end still comes, from the kernel, without what the process told.
                self.overflows(entry);
                self.left_out.push(index);
                return true;
            }
            self.told_ends.extend(event.event_id.map(|id| (id, Kind::End, entry.sender().of_user())));
            self.held.insert(index, (entry.clone(), Missing::new()));
            return true;
        }
        let is_part = event.part_count > 1 && part(entry).is_some();
        let is_late = !entry.is_final && !missing.is_empty();
        if self.is_decided || !(is_part || is_late) {
            return false;
        }
        if is_part || self.hold.is_worth_waiting(missing) {
            if self.hold.has_room(entry) {
                self.held.insert(index, (entry.clone(), std::mem::take(missing)));
                return true;
            }
            self.overflows(entry);
        }
        self.goes_incomplete = true;
        false
    }
}

/// True of what a process told of its end, to which the kernel's word belongs.
fn is_told_end(entry: &Entry) -> bool {
    matches!(entry.end_source, EndSource::FollowedProcess | EndSource::OwnProcess) && !entry.is_whole
}

/// True of the kernel's word on an end, without what the process told.
fn is_closing(entry: &Entry) -> bool {
    entry.end_source == EndSource::Kernel && !entry.is_whole && !entry.is_final
}

/// The event, the part's index and their number, where the entry is one part of several.
fn part(entry: &Entry) -> Option<(EventKey, u32, u32)> {
    if entry.is_whole {
        return None;
    }
    let identity = identify(entry.kind, &entry.message)?;
    let id =
        identity.event_id.filter(|_| identity.part_count > 1 && identity.part_index < identity.part_count)?;
    Some(((id, entry.kind, entry.sender().of_user()), identity.part_index, identity.part_count))
}
