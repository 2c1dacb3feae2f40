//! From batches to requests: which worker sends a document, and which documents share a request.

use crate::{
    join::{DocumentBatch, EventDocument},
    outputs::{DocumentKey, document_key},
    queue::{Kind, Sender},
};
use ogrt_note::Signature;
use std::sync::Arc;

/// A document in its batch.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    batch: &'a DocumentBatch,
    event: &'a EventDocument,
}

impl<'a> Document<'a> {
    /// The document's JSON, an object on one line.
    pub fn json(&self) -> &'a [u8] {
        self.batch.document(self.event)
    }

    /// The queue's entry that the document was made from.
    pub fn entry(&self) -> &'a [u8] {
        self.batch.entry(self.event)
    }

    /// The document's key.
    pub fn key(&self) -> DocumentKey {
        document_key(self.event)
    }

    /// The document's id as text: the event's id, followed by `-end` for an end. Who has seen an
    /// event's id may send an end under it, but not in the name of another, so the id of an end's
    /// document names its sender.
    pub fn id(&self) -> String {
        let mut id = self.event_id();
        if self.event.kind == Kind::End {
            id.push_str("-end");
            match self.event.sender {
                Sender::Anybody => {}
                Sender::Local(uid) => id.push_str(&format!("-by-{uid}")),
                Sender::Process(uid) => id.push_str(&format!("-{uid}")),
            }
        }
        id
    }

    /// The event's id as text.
    pub fn event_id(&self) -> String {
        String::from_utf8_lossy(&Signature::from_bytes(self.event.id).text()).into_owned()
    }

    /// The time when the event happened, as the sender says, in nanoseconds of Unix time.
    pub fn time_ns(&self) -> i64 {
        self.event.time_ns
    }

    /// The time when the event was received, by our clock, in nanoseconds of Unix time.
    pub fn received_ns(&self) -> i64 {
        self.event.received_ns
    }
}

/// Each worker's documents, in order. One worker gets both documents of a process.
pub fn shares(batches: &[Arc<DocumentBatch>], workers: usize) -> Vec<Vec<Document<'_>>> {
    let mut shares = vec![Vec::new(); workers];
    for batch in batches {
        for event in &batch.events {
            // The last bytes are random in all kinds of UUID that we meet.
            let random = u64::from_le_bytes(event.id[8..].try_into().unwrap_or_default());
            let mixed = random.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            shares[mixed as usize % workers].push(Document { batch, event });
        }
    }
    shares
}

/// Cuts a share into requests of at most `events_max` documents and `bytes_max` bytes. A document
/// that is larger than that is a request of its own.
pub fn requests<'a, 'd>(
    share: &'a [Document<'d>],
    events_max: usize,
    bytes_max: usize,
) -> impl Iterator<Item = &'a [Document<'d>]> {
    let mut rest = share;
    std::iter::from_fn(move || {
        let (mut count, mut bytes) = (0, 0);
        for document in rest.iter().take(events_max) {
            bytes += document.json().len();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        let (request, after) = rest.split_at(count);
        rest = after;
        (!request.is_empty()).then_some(request)
    })
}
