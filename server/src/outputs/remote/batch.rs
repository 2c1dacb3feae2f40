//! From batches of the queue to requests: which worker sends a document, and how many go together.

use crate::{
    join::{DocumentBatch, EventDocument},
    outputs::{DocumentKey, document_key},
    queue::Kind,
};
use ogrt_note::Signature;
use std::sync::Arc;

/// One document, where it stands.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    batch: &'a DocumentBatch,
    event: &'a EventDocument,
}

impl<'a> Document<'a> {
    /// Its JSON, an object on one line.
    pub fn json(&self) -> &'a [u8] {
        self.batch.document(self.event)
    }

    /// The entry that it was made from, as the queue writes it.
    pub fn entry(&self) -> &'a [u8] {
        self.batch.entry(self.event)
    }

    /// What names it.
    pub fn key(&self) -> DocumentKey {
        document_key(self.event.id, self.event.kind)
    }

    /// The same as text: the event's id, with `-end` behind it for an end.
    pub fn id(&self) -> String {
        let mut id = self.event_id();
        if self.event.kind == Kind::End {
            id.push_str("-end");
        }
        id
    }

    /// The event's id as text.
    pub fn event_id(&self) -> String {
        String::from_utf8_lossy(&Signature::from_bytes(self.event.id).text()).into_owned()
    }

    /// When it happened, as the sender says, in Unix nanoseconds.
    pub fn time_ns(&self) -> i64 {
        self.event.time_ns
    }

    /// When it was received, by our clock.
    pub fn received_ns(&self) -> i64 {
        self.event.received_ns
    }
}

/// Each worker's documents, in order. Both documents of a process go to the same one.
pub fn shares(batches: &[Arc<DocumentBatch>], workers: usize) -> Vec<Vec<Document<'_>>> {
    let mut shares = vec![Vec::new(); workers];
    for batch in batches {
        for event in &batch.events {
            // The last bytes are random in every kind of UUID that we meet.
            let random = u64::from_le_bytes(event.id[8..].try_into().unwrap_or_default());
            let mixed = random.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            shares[mixed as usize % workers].push(Document { batch, event });
        }
    }
    shares
}

/// Cuts a share into requests of at most so many documents and bytes.
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
