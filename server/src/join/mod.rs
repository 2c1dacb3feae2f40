//! The join: batches of entries become batches of documents, each signature with its build.
//!
//! [`Join`] is the stage: it walks the queue once, holds back what cannot go yet, and keeps recent documents in
//! memory for the outputs. [`Joined`] is what outputs read: by number, each at its own pace. One that has fallen
//! behind what is in memory has its batches joined once more from the queue, for itself alone. Which entries of
//! a batch were held back is on disk, so that both see the same.

mod document;
mod event;
mod hold;
mod json;
mod users;

use users::Users;

use crate::{
    config::JoinConfig,
    database::{Store, number},
    metrics::Metrics,
    queue::{Batch, Entry, Kind, Message as ToWriter, Queue, Submission, Tail},
    receive::identify,
    registry::{Registry, Summaries, Summary},
};
use anyhow::Result;
use bytes::Bytes;
use event::Event;
use hold::{EventKey, HeldKey, Hold, Release};
use ogrt_note::Signature;
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::watch};
use tracing::{error, warn};

/// Documents of recent batches kept in memory, in bytes.
const RECENT_BYTES: usize = 12 << 20;

/// Buffers kept for further batches.
const SPARES: usize = 4;

/// The longest that the join waits for outputs that keep up.
const MOMENT: Duration = Duration::from_millis(100);

/// Documents of one batch of the queue.
pub struct JoinedBatch {
    /// The batch's number.
    pub sequence: u64,
    /// All documents, one a line.
    pub lines: Vec<u8>,
    /// What each line is.
    pub events: Vec<JoinedEvent>,
    /// The batch itself.
    entries: Bytes,
}

/// One document of a batch.
pub struct JoinedEvent {
    /// Names the event, with the kind.
    pub id: [u8; 16],
    /// Start or end.
    pub kind: Kind,
    /// Empty where the process has none.
    pub job_id: Bytes,
    /// Its line, without the line's end.
    line: Range<usize>,
    entry: Range<usize>,
}

impl JoinedBatch {
    /// The document of one of the events.
    pub fn document(&self, event: &JoinedEvent) -> &[u8] {
        &self.lines[event.line.clone()]
    }

    /// The entry that it was made from, as the queue writes it.
    pub fn entry(&self, event: &JoinedEvent) -> &[u8] {
        &self.entries[event.entry.clone()]
    }
}

/// Signatures that nobody registered.
type Missing = Vec<Signature>;

/// What a join needs to look at; it has no state of its own.
pub struct Joiner {
    registry: Arc<dyn Registry>,
    summaries: Arc<Summaries>,
    users: Users,
    metrics: Arc<Metrics>,
}

impl Joiner {
    /// Joins with what is in this registry.
    pub fn new(registry: Arc<dyn Registry>, summaries: Arc<Summaries>, metrics: Arc<Metrics>) -> Self {
        Joiner { registry, summaries, users: Users::new(), metrics }
    }

    fn build(&self, signature: Signature, missing: &mut Missing) -> Option<Summary> {
        match self.summaries.get(&*self.registry, signature) {
            Ok(Some(summary)) => return Some(summary),
            Ok(None) => missing.push(signature),
            // The event goes out without it, as it does when nobody registered the build.
            Err(problem) => error!("cannot look up build {signature}: {problem:#}"),
        }
        None
    }

    /// The document of one entry, appended to `out`; `None` when its message cannot be read.
    pub fn document(&self, entry: &Entry, out: &mut Vec<u8>) -> Option<EventHead> {
        let mut event = Event::default();
        event.read(entry.kind, &entry.message).ok()?;
        document::write(self, entry, &event, &mut Missing::new(), out);
        Some(EventHead { id: event_id(entry, &event), kind: entry.kind })
    }

    /// Which signatures of an entry nobody registered.
    fn missing(&self, entry: &Entry) -> Missing {
        let (mut event, mut missing) = (Event::default(), Missing::new());
        if event.read(entry.kind, &entry.message).is_ok() {
            document::write(self, entry, &event, &mut missing, &mut Vec::new());
        }
        missing
    }

    /// Joins a batch without its entries `held`; what `refuse` takes is left out as well.
    fn join(
        &self,
        batch: &Batch,
        held: &[u32],
        mut lines: Vec<u8>,
        mut refuse: impl FnMut(u32, &Entry, &Event<'_>, &mut Missing) -> bool,
    ) -> JoinedBatch {
        let mut events = Vec::new();
        let mut rest = batch.bytes.clone();
        let mut index = 0;
        // One for all entries, so that its lists are allocated once.
        let mut event = Event::default();
        let mut missing = Missing::new();
        loop {
            let from = batch.bytes.len() - rest.len();
            let Some(entry) = Entry::read(&mut rest) else { break };
            let to = batch.bytes.len() - rest.len();
            let this = index;
            index += 1;
            if held.contains(&this) {
                continue;
            }
            // The same bytes as `entry.message`, but borrowed from the batch.
            if event.read(entry.kind, &batch.bytes[to - entry.message.len()..to]).is_err() {
                self.metrics.events_malformed.add(1);
                warn!("an event that was received cannot be decoded, and is left out");
                continue;
            }
            let begin = lines.len();
            missing.clear();
            document::write(self, &entry, &event, &mut missing, &mut lines);
            if refuse(this, &entry, &event, &mut missing) {
                lines.truncate(begin);
                continue;
            }
            let line = begin..lines.len();
            lines.push(b'\n');
            events.push(JoinedEvent {
                id: event_id(&entry, &event),
                kind: entry.kind,
                job_id: batch.bytes.slice_ref(event.job_id),
                line,
                entry: from..to,
            });
        }
        JoinedBatch { sequence: batch.sequence, lines, events, entries: batch.bytes.clone() }
    }
}

/// What names an event.
pub struct EventHead {
    /// Its id.
    pub id: [u8; 16],
    /// Start or end.
    pub kind: Kind,
}

fn event_id(entry: &Entry, event: &Event<'_>) -> [u8; 16] {
    event.event_id.or(entry.assigned_id).unwrap_or_default()
}

/// What outputs read, each through a [`Reader`].
pub struct Joined {
    queue: Arc<Queue>,
    store: Arc<Store>,
    joiner: Arc<Joiner>,
    tail: watch::Sender<Tail>,
    recent: Mutex<Recent>,
    readers: Mutex<Vec<Arc<Progress>>>,
}

/// Where a reader is, and whether it keeps up with what is in memory.
struct Progress {
    next: AtomicU64,
    keeps_up: AtomicBool,
}

/// One output's way through the joined batches.
pub struct Reader {
    joined: Arc<Joined>,
    progress: Arc<Progress>,
}

impl Reader {
    /// How far the join is, to be watched.
    pub fn tail(&self) -> watch::Receiver<Tail> {
        self.joined.tail.subscribe()
    }

    /// The documents of a batch that the join has passed; `None` when the batch was dropped.
    pub fn read(&self, sequence: u64) -> Result<Option<Arc<JoinedBatch>>> {
        let recent = self.joined.recent(sequence);
        self.progress.keeps_up.store(recent.is_some(), Ordering::Relaxed);
        self.progress.next.store(sequence + 1, Ordering::Relaxed);
        match recent {
            Some(batch) => Ok(Some(batch)),
            None => self.joined.join_again(sequence),
        }
    }
}

#[derive(Default)]
struct Recent {
    batches: VecDeque<Arc<JoinedBatch>>,
    bytes: usize,
    /// Text of a batch that nobody needs any more: its memory is used again, for the kernel takes time to give
    /// and to clear as much anew for each batch.
    spare: Vec<Vec<u8>>,
}

impl Joined {
    /// Reads go on at the oldest place of any output.
    pub fn new(queue: Arc<Queue>, store: Arc<Store>, joiner: Arc<Joiner>) -> Result<Self> {
        let next =
            queue.places().values().copied().min().unwrap_or(queue.tail().borrow().next).max(queue.head()?);
        Ok(Joined {
            queue,
            store,
            joiner,
            tail: watch::Sender::new(Tail { next, closed: false }),
            recent: Mutex::default(),
            readers: Mutex::default(),
        })
    }

    /// A way through, beginning with batch `next`.
    pub fn reader(self: &Arc<Self>, next: u64) -> Reader {
        let progress = Arc::new(Progress { next: AtomicU64::new(next), keeps_up: AtomicBool::new(false) });
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(progress.clone());
        Reader { joined: self.clone(), progress }
    }

    fn recent(&self, sequence: u64) -> Option<Arc<JoinedBatch>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.batches.binary_search_by_key(&sequence, |batch| batch.sequence).ok()?;
        recent.batches.get(at).cloned()
    }

    fn join_again(&self, sequence: u64) -> Result<Option<Arc<JoinedBatch>>> {
        let Some(batch) = self.queue.read(sequence)? else { return Ok(None) };
        let held = self.marks(sequence)?;
        Ok(Some(Arc::new(self.joiner.join(&batch, &held, Vec::new(), |_, _, _, _| false))))
    }

    /// Joining a batch again costs as much as the first time, so a reader that keeps up gets a moment before
    /// what it is about to read goes from memory. One that does not use the moment is not waited for again
    /// until it has caught up.
    fn wait_for_readers(&self) {
        let oldest = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            match recent.batches.front() {
                Some(oldest) if recent.bytes > RECENT_BYTES => oldest.sequence,
                _ => return,
            }
        };
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let deadline = Instant::now() + MOMENT;
        for reader in readers {
            while reader.keeps_up.load(Ordering::Relaxed) && reader.next.load(Ordering::Relaxed) <= oldest {
                if Instant::now() >= deadline {
                    reader.keeps_up.store(false, Ordering::Relaxed);
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Indexes of the batch's entries that were held back.
    fn marks(&self, sequence: u64) -> Result<Vec<u32>> {
        let marks = self.store.held_marks.get(sequence.to_be_bytes())?;
        let index = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        Ok(marks.map(|marks| marks.chunks_exact(4).map(index).collect()).unwrap_or_default())
    }

    fn publish(&self, batch: JoinedBatch) {
        self.wait_for_readers();
        let next = batch.sequence + 1;
        {
            let size =
                |batch: &JoinedBatch| batch.lines.capacity() + batch.entries.len() + batch.events.len() * 96;
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.bytes += size(&batch);
            recent.batches.push_back(Arc::new(batch));
            while recent.bytes > RECENT_BYTES && recent.batches.len() > 1 {
                let Some(gone) = recent.batches.pop_front() else { break };
                recent.bytes -= size(&gone);
                if let Ok(JoinedBatch { mut lines, .. }) = Arc::try_unwrap(gone)
                    && recent.spare.len() < SPARES
                {
                    lines.clear();
                    recent.spare.push(lines);
                }
            }
        }
        self.tail.send_replace(Tail { next, closed: false });
    }
}

/// The stage, in a thread of its own.
pub struct Join {
    joined: Arc<Joined>,
    hold: Hold,
    held_total: Arc<Metrics>,
    registered: Receiver<Signature>,
    writer: Sender<ToWriter>,
}

impl Join {
    /// Takes up what was held when the server ended.
    pub fn open(
        joined: Arc<Joined>,
        config: JoinConfig,
        registered: Receiver<Signature>,
        writer: Sender<ToWriter>,
    ) -> Result<Self> {
        let metrics = joined.joiner.metrics.clone();
        let mut join = Join { joined, hold: Hold::new(config), held_total: metrics, registered, writer };
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
        let (hold, metrics) = (&mut self.hold, &self.joined.joiner.metrics);
        let mut held: BTreeMap<u32, (Entry, Missing)> = BTreeMap::new();
        let lines = self.joined.recent.lock().unwrap_or_else(PoisonError::into_inner).spare.pop();
        let joined = self.joined.joiner.join(
            batch,
            &marked,
            lines.unwrap_or_default(),
            |index, entry, event, missing| {
                let is_part = event.part_count > 1 && part(entry).is_some();
                let is_late = !entry.is_final && !missing.is_empty() && hold.is_worth_waiting(missing);
                if (is_part || is_late) && !(hold.has_room(entry)) {
                    metrics.events_unwaited.add(1);
                    return false;
                }
                if is_part || is_late {
                    held.insert(index, (entry.clone(), std::mem::take(missing)));
                }
                is_part || is_late
            },
        );
        metrics.events_joined.add(joined.events.len() as u64);
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
                    self.joined.joiner.metrics.events_waited.add(1);
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
        self.held_total.waiting.set(self.hold.len() as u64);
    }

    fn release(&self, releases: Vec<Release>) {
        let mut submission = Submission::default();
        for release in releases {
            if release.in_vain {
                let metrics = &self.joined.joiner.metrics;
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
