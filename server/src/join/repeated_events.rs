//! Events that came twice: the second is left out, so that no consumer counts or writes it again.
//!
//! A datagram may be sent again, or be doubled on its way. Streams that are acknowledged have a
//! memory on disk (the queue's delivered events); for all others the last events are enough, in
//! memory. Who sent an event belongs to what names it: what somebody claims keeps out nothing that
//! the kernel proves. The end that the kernel told is the last word on a process: whoever tells it
//! again, it is left out. Where a process's own word went out alone, since the kernel's did not
//! come in time, the kernel's is the one that is left out.

use super::decode_event::Event;
use crate::queue::{EndSource, Entry, Kind};
use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    mem,
};

/// Events of a generation: as many as fit into a table of 2^16 slots, 2.2 MB.
const GENERATION: usize = (1 << 16) / 8 * 7;

/// A part's number that no client sends: the kernel told this end.
const BY_KERNEL: u32 = u32::MAX;

/// The last events, at least a generation of them and at most two.
pub struct RepeatedEvents {
    young: HashSet<SentEvent>,
    old: HashSet<SentEvent>,
}

/// The key of an event, or of a part of one, and of its sender.
#[derive(PartialEq, Eq)]
struct SentEvent {
    id: [u8; 16],
    kind: Kind,
    part: u32,
    uid: Option<u32>,
}

/// Two words instead of one call for each field: this stands in the way of every event.
impl Hash for SentEvent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.id));
        state.write_u64(u64::from(self.part) << 32 | u64::from(self.uid.unwrap_or(u32::MAX)));
    }
}

impl Default for RepeatedEvents {
    fn default() -> Self {
        RepeatedEvents { young: HashSet::with_capacity(GENERATION), old: HashSet::with_capacity(GENERATION) }
    }
}

impl RepeatedEvents {
    /// Was the same event among the last ones? One that was held and comes back is not the same
    /// again.
    pub fn has(&mut self, entry: &Entry, event: &Event<'_>) -> bool {
        let Some(id) = event.event_id.filter(|_| !entry.is_final) else { return false };
        let by_kernel = SentEvent { id, kind: Kind::End, part: BY_KERNEL, uid: None };
        let is_last_word = match entry.end_source {
            EndSource::Kernel => !entry.is_whole,
            EndSource::OwnProcess => entry.is_whole,
            EndSource::Client | EndSource::FollowedProcess => false,
        };
        if is_last_word {
            return self.contains(&by_kernel) || !self.remember(by_kernel);
        }
        if entry.is_whole {
            return false;
        }
        if entry.kind == Kind::End && self.contains(&by_kernel) {
            return true;
        }
        let uid = entry.credentials.map(|credentials| credentials.uid);
        let sent = SentEvent { id, kind: entry.kind, part: event.part_index, uid };
        self.old.contains(&sent) || !self.remember(sent)
    }

    fn contains(&self, sent: &SentEvent) -> bool {
        self.young.contains(sent) || self.old.contains(sent)
    }

    /// Puts it among the young; false where it is among them.
    fn remember(&mut self, sent: SentEvent) -> bool {
        if self.young.len() == GENERATION && !self.young.contains(&sent) {
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(sent)
    }
}
