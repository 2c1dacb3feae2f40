//! Events that came twice: the second is left out, so that no consumer counts or writes it again.
//!
//! A datagram may be sent again, or be doubled on its way. Streams that are acknowledged have a
//! memory on disk (the queue's delivered events); for all others the last events are enough, in
//! memory. Who sent an event belongs to what names it ([`Sender`]): what somebody claims keeps out
//! nothing that the kernel proves. The end that the kernel told is the last word on a process: when
//! the process, or a spool, tells it again, it is left out. Where a process's own word went out
//! alone, since the kernel's did not come in time, the kernel's is the one that is left out.

use super::decode_event::Event;
use crate::queue::{EndSource, Entry, Kind, Sender};
use std::{
    collections::{HashMap, hash_map},
    hash::{Hash, Hasher},
    mem,
};

/// Events of a generation: as many as fit into a table of 2^16 slots, 2.2 MB.
const GENERATION: usize = (1 << 16) / 8 * 7;

/// Events under ids that another sender has used. Nobody but a forger makes them.
const RIVALS_MAX: usize = 16_384;

/// Senders of one such id.
const SENDERS_MAX: usize = 16;

/// A part's number that no client sends: the kernel told this end.
const BY_KERNEL: u32 = u32::MAX;

/// The last events, at least a generation of them and at most two.
pub struct RepeatedEvents {
    young: HashMap<EventPart, Sender>,
    old: HashMap<EventPart, Sender>,
    /// All senders of an id that more than one has used.
    rivals: HashMap<EventPart, Vec<Sender>>,
}

/// The key of an event, or of a part of one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct EventPart {
    id: [u8; 16],
    part: u32,
    kind: Kind,
}

/// Two words instead of one call for each field: this stands in the way of every event.
impl Hash for EventPart {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.id));
        state.write_u64(u64::from(self.part) << 32 | u64::from(self.kind.frame_type()));
    }
}

impl Default for RepeatedEvents {
    fn default() -> Self {
        let [young, old] = [(); 2].map(|()| HashMap::with_capacity(GENERATION));
        RepeatedEvents { young, old, rivals: HashMap::new() }
    }
}

impl RepeatedEvents {
    /// Was the same event among the last ones? One that was held and comes back is not the same
    /// again.
    pub fn has(&mut self, entry: &Entry, event: &Event<'_>) -> bool {
        let Some(id) = event.event_id.filter(|_| !entry.is_final) else { return false };
        let sender = entry.sender();
        let by_kernel = EventPart { id, part: BY_KERNEL, kind: Kind::End };
        let is_last_word = match entry.end_source {
            EndSource::Kernel => !entry.is_whole,
            EndSource::OwnProcess => entry.is_whole,
            EndSource::Client | EndSource::FollowedProcess => false,
        };
        if is_last_word {
            return self.takes_again(by_kernel, sender, None);
        }
        if entry.is_whole {
            return false;
        }
        if entry.kind == Kind::End && self.is_told_by_kernel(by_kernel, sender) {
            return true;
        }
        self.takes_again(EventPart { id, part: event.part_index, kind: entry.kind }, sender, event.uid)
    }

    fn is_told_by_kernel(&self, by_kernel: EventPart, sender: Sender) -> bool {
        let teller = self.young.get(&by_kernel).or_else(|| self.old.get(&by_kernel));
        let Some(teller) = teller else { return false };
        let rivals = self.rivals.get(&by_kernel).into_iter().flatten();
        [teller].into_iter().chain(rivals).any(|teller| match teller {
            Sender::Process(uid) => Sender::kernel_covers(*uid, sender),
            Sender::Local(_) | Sender::Anybody => false,
        })
    }

    /// Remembers an event; true if it tells nothing new.
    fn takes_again(&mut self, part: EventPart, sender: Sender, claimed_uid: Option<u32>) -> bool {
        if let Some(known) = self.old.get(&part).copied() {
            return self.is_covered(part, known, sender, claimed_uid);
        }
        match self.remember(part, sender) {
            Some(known) => self.is_covered(part, known, sender, claimed_uid),
            None => false,
        }
    }

    /// True if one of the senders that are known says the same. The one that proves most stays in
    /// the table.
    fn is_covered(
        &mut self,
        part: EventPart,
        known: Sender,
        sender: Sender,
        claimed_uid: Option<u32>,
    ) -> bool {
        let rivals = self.rivals.get(&part).into_iter().flatten();
        if [&known].into_iter().chain(rivals).any(|known| known.covers(sender, claimed_uid)) {
            return true;
        }
        if self.rivals.len() >= RIVALS_MAX {
            self.rivals.clear();
        }
        let rivals = self.rivals.entry(part).or_insert_with(|| vec![known]);
        if rivals.len() < SENDERS_MAX {
            rivals.push(sender);
        }
        if sender.is_stronger_than(known) {
            self.old.remove(&part);
            self.young.insert(part, sender);
        }
        false
    }

    /// Puts it among the young; the sender that is known there stays, and is returned.
    fn remember(&mut self, part: EventPart, sender: Sender) -> Option<Sender> {
        if self.young.len() == GENERATION && !self.young.contains_key(&part) {
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        match self.young.entry(part) {
            hash_map::Entry::Occupied(known) => Some(*known.get()),
            hash_map::Entry::Vacant(place) => {
                place.insert(sender);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn has(repeated: &mut RepeatedEvents, kind: Kind, sender: Sender, uid: Option<u32>) -> bool {
        let credentials = match sender {
            Sender::Process(uid) => Some(crate::queue::Credentials { pid: 1, uid, gid: 1 }),
            _ => None,
        };
        let delivered_by = match sender {
            Sender::Local(uid) => Some(uid),
            _ => None,
        };
        let entry = Entry {
            kind,
            received_ns: 1,
            assigned_id: None,
            credentials,
            delivered_by,
            via: None,
            is_final: false,
            is_whole: false,
            end_source: EndSource::Client,
            message: Bytes::new(),
        };
        repeated.has(&entry, &Event { event_id: Some([7; 16]), uid, ..Event::default() })
    }

    #[test]
    fn a_foreign_event_keeps_out_no_true_one_and_none_is_taken_twice() {
        let senders = [Sender::Anybody, Sender::Local(5), Sender::Process(6), Sender::Process(7)];
        for kind in [Kind::Start, Kind::End] {
            let mut repeated = RepeatedEvents::default();
            for sender in senders {
                assert!(!has(&mut repeated, kind, sender, None), "{kind:?} of {sender:?}");
            }
            for sender in senders {
                assert!(has(&mut repeated, kind, sender, None), "{kind:?} of {sender:?} again");
            }
        }
        let mut repeated = RepeatedEvents::default();
        // A forger who was first keeps neither the true start nor its copies from being known.
        assert!(!has(&mut repeated, Kind::Start, Sender::Process(5), Some(5)));
        assert!(!has(&mut repeated, Kind::Start, Sender::Process(6), Some(6)));
        for spooled in [Sender::Anybody, Sender::Local(6), Sender::Local(0)] {
            assert!(has(&mut repeated, Kind::Start, spooled, Some(6)));
        }
    }
}
