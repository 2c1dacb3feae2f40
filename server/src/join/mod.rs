//! The join: batches of entries become batches of documents, each signature with its build.
//!
//! [`Join`] is the stage: it walks the queue once, holds back what cannot go yet, and keeps recent
//! documents in memory for the outputs. [`DocumentBatches`] is what outputs read: by number, each
//! at its own pace. One that has fallen behind what is in memory has its batches joined once more
//! from the queue, for itself alone. Which entries of a batch were held back is on disk, so that
//! both see the same.

mod decode_event;
mod document;
mod filter;
mod filter_and_limit;
mod held_events;
mod held_shares;
mod job_places;
mod json;
mod limit;
mod reader;
mod repeated_events;
mod stage;

pub use decode_event::note;
pub use filter_and_limit::Rules;
pub use reader::{BatchReader, DocumentBatches, Want};
pub use stage::{Join, Neighbours};

use crate::{
    queue::{Batch, Entry, Kind, Sender},
    registry::{Registry, RegistryError, Summaries, Summary},
    users::Users,
};
use bytes::Bytes;
use decode_event::Event;
use ogrt_note::Signature;
use std::{ops::Range, sync::Arc};
use tracing::error;

/// Documents of one batch of the queue.
pub struct DocumentBatch {
    /// The batch's number.
    pub sequence: u64,
    /// All documents, one a line.
    pub lines: Vec<u8>,
    /// The event of each line.
    pub events: Vec<EventDocument>,
    /// Indexes of entries that could not be decoded.
    malformed: Vec<u32>,
    /// The batch itself.
    entries: Bytes,
}

/// One document of a batch.
pub struct EventDocument {
    /// Names the event, with the kind.
    pub id: [u8; 16],
    /// Start or end.
    pub kind: Kind,
    /// The sender, who names the event with the id.
    pub sender: Sender,
    /// Empty where the process has none.
    pub job_id: Bytes,
    /// The job's cluster; empty where nobody named it.
    pub cluster: Bytes,
    /// The time of the event as the sender says, in Unix nanoseconds.
    pub time_ns: i64,
    /// The time of receipt, by our clock.
    pub received_ns: i64,
    /// The user whom the kernel proved.
    pub proved_uid: Option<u32>,
    /// The relay that brought it, where one did.
    relay: Option<Bytes>,
    /// The bytes of its line, without the line's end.
    line: Range<usize>,
    entry: Range<usize>,
    /// The bytes of what it says of its user and its host, among the batch's.
    user: Range<usize>,
    host: Range<usize>,
}

impl DocumentBatch {
    /// Bytes of it, whether documents or entries.
    pub fn size(&self) -> usize {
        self.lines.len().max(self.entries.len())
    }

    /// The document of one of the events.
    pub fn document(&self, event: &EventDocument) -> &[u8] {
        &self.lines[event.line.clone()]
    }

    /// The user and the host, as the event says.
    pub fn claims(&self, event: &EventDocument) -> (&[u8], &[u8]) {
        (&self.entries[event.user.clone()], &self.entries[event.host.clone()])
    }

    /// The relay that has authenticated itself and brought the event.
    pub fn relay<'a>(&self, event: &'a EventDocument) -> Option<&'a [u8]> {
        event.relay.as_deref()
    }

    /// The entry that it was made from, as the queue writes it.
    pub fn entry(&self, event: &EventDocument) -> &[u8] {
        &self.entries[event.entry.clone()]
    }
}

/// Signatures that nobody registered.
type Missing = Vec<Signature>;

/// The sources of a join; it has no state of its own.
pub struct Joiner {
    registry: Arc<dyn Registry>,
    summaries: Arc<Summaries>,
    users: Users,
}

impl Joiner {
    /// Joins with what is in this registry.
    pub fn new(registry: Arc<dyn Registry>, summaries: Arc<Summaries>) -> Self {
        Joiner { registry, summaries, users: Users::new() }
    }

    /// The name of a user of this machine.
    pub fn user_name(&self, uid: u32) -> Option<Arc<str>> {
        self.users.name(uid)
    }

    fn build(&self, signature: Signature, missing: &mut Missing) -> Option<Summary> {
        match self.summaries.get(&*self.registry, signature) {
            Ok(Some(summary)) => return Some(summary),
            Ok(None) => missing.push(signature),
            // It may come back while the event waits; that it is away was said.
            Err(RegistryError::Away(_)) => missing.push(signature),
            // The event goes out without it, as it does when nobody registered the build.
            Err(problem) => error!("cannot look up build {signature}: {problem}"),
        }
        None
    }

    /// The document of one entry, appended to `out`; `None` when its message cannot be read.
    pub fn document(&self, entry: &Entry, out: &mut Vec<u8>) -> Option<EventHead> {
        let mut event = Event::default();
        event.read(entry.kind, &entry.message).ok()?;
        document::write(self, entry, &event, &mut Missing::new(), out);
        let (id, kind, sender) = (event_id(entry, &event), entry.kind, entry.sender());
        Some(EventHead { id, kind, sender, claimed_uid: event.uid })
    }

    /// The signatures of an entry that nobody registered.
    fn missing(&self, entry: &Entry) -> Missing {
        let (mut event, mut missing) = (Event::default(), Missing::new());
        if event.read(entry.kind, &entry.message).is_ok() {
            document::write(self, entry, &event, &mut missing, &mut Vec::new());
        }
        missing
    }

    /// Joins a batch without its entries `held`; `pass` may leave out more.
    fn join(&self, batch: &Batch, held: &[u32], mut lines: Vec<u8>, pass: &mut impl Pass) -> DocumentBatch {
        let mut events = Vec::new();
        let mut missing = Missing::new();
        let malformed = each(batch, held, |index, bytes, entry, event| {
            if pass.leaves_out(index, entry, event) {
                return;
            }
            let begin = lines.len();
            missing.clear();
            document::write(self, entry, event, &mut missing, &mut lines);
            if pass.holds_back(index, entry, event, &mut missing) {
                lines.truncate(begin);
                return;
            }
            events.push(event_document(batch, entry, event, begin..lines.len(), bytes));
            lines.push(b'\n');
        });
        DocumentBatch { sequence: batch.sequence, lines, events, malformed, entries: batch.bytes.clone() }
    }
}

/// Decides which entries of a batch go on, when it is joined for the first time.
trait Pass {
    /// Tells whether the entry is left out, before its document is written.
    fn leaves_out(&mut self, index: u32, entry: &Entry, event: &Event<'_>) -> bool;

    /// Tells whether the entry is held back, after that: its unregistered signatures are known now.
    fn holds_back(&mut self, index: u32, entry: &Entry, event: &Event<'_>, missing: &mut Missing) -> bool;
}

/// A batch that is joined again: everything was decided.
impl Pass for () {
    fn leaves_out(&mut self, _: u32, _: &Entry, _: &Event<'_>) -> bool {
        false
    }

    fn holds_back(&mut self, _: u32, _: &Entry, _: &Event<'_>, _: &mut Missing) -> bool {
        false
    }
}

/// A batch without its entries `held` and without documents: for who wants to know what each entry
/// is.
fn sort(batch: &Batch, held: &[u32]) -> DocumentBatch {
    let mut events = Vec::new();
    let malformed = each(batch, held, |_, bytes, entry, event| {
        events.push(event_document(batch, entry, event, 0..0, bytes))
    });
    DocumentBatch {
        sequence: batch.sequence,
        lines: Vec::new(),
        events,
        malformed,
        entries: batch.bytes.clone(),
    }
}

/// Reads each entry of a batch but those `held`: its index, where its bytes are, and what they say.
/// The indexes of those that could not be decoded.
fn each(
    batch: &Batch,
    held: &[u32],
    mut with: impl FnMut(u32, Range<usize>, &Entry, &Event<'_>),
) -> Vec<u32> {
    let mut malformed = Vec::new();
    let mut rest = batch.bytes.clone();
    // One for all entries, so that its lists are allocated once.
    let mut event = Event::default();
    for index in 0.. {
        let from = batch.bytes.len() - rest.len();
        let Some(entry) = Entry::read(&mut rest) else { break };
        let to = batch.bytes.len() - rest.len();
        if held.binary_search(&index).is_ok() {
            continue;
        }
        // The same bytes as `entry.message`, but borrowed from the batch.
        if event.read(entry.kind, &batch.bytes[to - entry.message.len()..to]).is_err() {
            malformed.push(index);
            continue;
        }
        with(index, from..to, &entry, &event);
    }
    malformed
}

fn event_document(
    batch: &Batch,
    entry: &Entry,
    event: &Event<'_>,
    line: Range<usize>,
    bytes: Range<usize>,
) -> EventDocument {
    let [job_id, cluster] = [event.job_id, event.cluster].map(|text| batch.bytes.slice_ref(text));
    EventDocument {
        id: event_id(entry, event),
        kind: entry.kind,
        sender: entry.sender(),
        job_id,
        cluster,
        time_ns: event.time_ns().unwrap_or(entry.received_ns),
        received_ns: entry.received_ns,
        proved_uid: entry.credentials.map(|credentials| credentials.uid),
        relay: entry.relay().map(|name| batch.bytes.slice_ref(name)),
        line,
        entry: bytes,
        user: place(&batch.bytes, event.username),
        host: place(&batch.bytes, event.hostname),
    }
}

/// The place of a text within the bytes that it is a part of.
fn place(bytes: &[u8], text: &[u8]) -> Range<usize> {
    let from = (text.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    match from.checked_add(text.len()) {
        Some(to) if to <= bytes.len() => from..to,
        // An empty text need not stand there.
        _ => 0..0,
    }
}

/// What names an event.
pub struct EventHead {
    /// The id.
    pub id: [u8; 16],
    /// Start or end.
    pub kind: Kind,
    /// The sender.
    pub sender: Sender,
    /// The uid that its message names.
    pub claimed_uid: Option<u32>,
}

impl EventHead {
    /// What names the event of an entry; `None` when its message cannot be read.
    pub fn of(entry: &Entry<&[u8]>) -> Option<Self> {
        let (id, claimed_uid) = decode_event::id_and_uid(entry.kind, entry.message).ok()?;
        let id = id.or(entry.assigned_id).unwrap_or_default();
        Some(EventHead { id, kind: entry.kind, sender: entry.sender(), claimed_uid })
    }
}

fn event_id(entry: &Entry, event: &Event<'_>) -> [u8; 16] {
    event.event_id.or(entry.assigned_id).unwrap_or_default()
}
