//! Events that came twice: the second is left out, so that no consumer counts or writes it again.
//!
//! A datagram may be sent again, or be doubled on its way. Streams that are acknowledged have a
//! memory on disk (the queue's delivered events); for all others the last events are enough, in
//! memory. Who sent an event belongs to what names it: what somebody claims keeps out nothing that
//! the kernel proves.

use super::decode_event::Event;
use crate::{
    queue::{Entry, Kind},
    registry::LruMap,
};

/// Events in one of two generations: as many as fit into a table of 2^16 slots, 2.2 MB.
const GENERATION: usize = (1 << 16) / 8 * 7;

/// See the module.
pub struct RepeatedEvents {
    recent: LruMap<SentEvent, ()>,
}

/// The key of an event, or of a part of one, and of its sender.
#[derive(PartialEq, Eq, Hash)]
struct SentEvent {
    id: [u8; 16],
    kind: Kind,
    part: u32,
    uid: Option<u32>,
}

impl Default for RepeatedEvents {
    fn default() -> Self {
        RepeatedEvents { recent: LruMap::new(GENERATION) }
    }
}

impl RepeatedEvents {
    /// Was the same event among the last ones? One that was held and comes back is not the same
    /// again.
    pub fn has(&mut self, entry: &Entry, event: &Event<'_>) -> bool {
        let Some(id) = event.event_id.filter(|_| !entry.is_final && !entry.is_whole) else { return false };
        let uid = entry.credentials.map(|credentials| credentials.uid);
        let sent = SentEvent { id, kind: entry.kind, part: event.part_index, uid };
        let is_repeated = self.recent.get(&sent).is_some();
        if !is_repeated {
            self.recent.insert(sent, ());
        }
        is_repeated
    }
}
