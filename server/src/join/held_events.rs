//! Events that cannot go out yet: those whose build record is late, parts of events, and what a
//! process told of its end before the kernel does.
//!
//! What is held is durable: it is written, in one write with the list of what its batch skips,
//! before any output may go past it. So no output has to wait for it or keep its offset back. When
//! it may go, it enters the queue again as a new event at the end, and this copy is removed in the
//! same write. All of it is bounded, by number, bytes and time, and shared among senders.

use super::held_shares::HeldShares;
use crate::{
    config::JoinConfig,
    fair_shares::ShareHolder,
    fields::without,
    queue::{EndSource, Entry, HeldKey, Kind, Sender},
};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::field_numbers::process_end;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Instant,
};

/// The id, the kind and the user, which name an event: parts of two users are never one event.
pub type EventKey = ([u8; 16], Kind, Sender);

/// A whole entry that is queued again, and the held ones that it replaces.
pub struct Release {
    /// The entry.
    pub entry: Entry,
    /// Held entries that it replaces.
    pub replaces: Vec<HeldKey>,
    /// Something was still missing when the time was over.
    pub in_vain: bool,
}

/// Everything that is held.
pub struct HeldEvents {
    config: JoinConfig,
    shares: HeldShares,
    late: HashMap<HeldKey, LateEvent>,
    by_signature: HashMap<Signature, VecDeque<HeldKey>>,
    late_deadlines: VecDeque<(Instant, HeldKey)>,
    parts: HashMap<EventKey, EventParts>,
    parts_deadlines: VecDeque<(Instant, EventKey)>,
    /// Signatures that were waited for in vain: two generations, exchanged every `forget`.
    given_up: [HashSet<Signature>; 2],
    exchanged: Instant,
}

struct LateEvent {
    entry: Entry,
    missing: Vec<Signature>,
}

struct EventParts {
    pieces: BTreeMap<u32, (Entry, HeldKey)>,
    count: u32,
    copies: Vec<HeldKey>,
}

/// Most signatures that are remembered as waited for in vain.
const GIVEN_UP_MAX: usize = 200_000;

impl HeldEvents {
    /// Begins with nothing held.
    pub fn new(config: JoinConfig) -> Self {
        let shares = HeldShares::new(config.waiting_max, config.waiting_bytes_max.0 as usize);
        HeldEvents {
            config,
            shares,
            late: HashMap::new(),
            by_signature: HashMap::new(),
            late_deadlines: VecDeque::new(),
            parts: HashMap::new(),
            parts_deadlines: VecDeque::new(),
            given_up: Default::default(),
            exchanged: Instant::now(),
        }
    }

    /// Tells whether one of these unregistered signatures is worth waiting for.
    pub fn is_worth_waiting(&self, missing: &[Signature]) -> bool {
        !self.config.wait.0.is_zero() && missing.iter().any(|signature| !self.has_given_up(signature))
    }

    /// Tells whether there is room for one more of its sender.
    pub fn has_room(&self, entry: &Entry) -> bool {
        self.shares.has_room(entry)
    }

    /// The sender of an event, if it has much waiting.
    pub fn sender_with_much(&self, entry: &Entry) -> Option<ShareHolder> {
        self.shares.sender_with_much(entry)
    }

    /// The number of events and parts that are held.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Holds an event until records for these signatures come.
    pub fn hold_late(&mut self, key: HeldKey, entry: Entry, missing: Vec<Signature>) {
        let missing: Vec<Signature> =
            missing.into_iter().filter(|signature| !self.has_given_up(signature)).collect();
        for signature in &missing {
            self.by_signature.entry(*signature).or_default().push_back(key);
        }
        self.shares.add(&entry);
        self.late_deadlines.push_back((Instant::now() + self.config.wait.0, key));
        self.late.insert(key, LateEvent { entry, missing });
    }

    /// Holds a part; the whole event comes back with the last of them.
    pub fn hold_part(
        &mut self,
        event: EventKey,
        index: u32,
        count: u32,
        key: HeldKey,
        entry: Entry,
    ) -> Option<Release> {
        self.shares.add(&entry);
        let deadline = Instant::now() + self.config.parts_wait.0;
        let parts = self.parts.entry(event).or_insert_with(|| {
            self.parts_deadlines.push_back((deadline, event));
            EventParts { pieces: BTreeMap::new(), count, copies: Vec::new() }
        });
        if let Some((copy, copy_key)) = parts.pieces.insert(index, (entry, key)) {
            self.shares.remove(&copy);
            parts.copies.push(copy_key);
        }
        if parts.pieces.len() < parts.count as usize {
            return None;
        }
        self.release_parts(event)
    }

    /// Holds what a followed process tells of its end, in one part or several, until the kernel
    /// tells the end. `closes` says whether that is still to be expected; without it, what was told
    /// goes out after a while.
    pub fn hold_told_end(&mut self, id: [u8; 16], part: u32, key: HeldKey, entry: Entry, closes: bool) {
        let event = (id, Kind::End, entry.sender().of_user());
        self.shares.add(&entry);
        let parts = self.parts.entry(event).or_insert_with(|| EventParts {
            pieces: BTreeMap::new(),
            count: 0,
            copies: Vec::new(),
        });
        if !closes && parts.pieces.is_empty() {
            self.parts_deadlines.push_back((Instant::now() + self.config.parts_wait.0, event));
        }
        if let Some((copy, copy_key)) = parts.pieces.insert(part, (entry, key)) {
            self.shares.remove(&copy);
            parts.copies.push(copy_key);
        }
    }

    /// True if the process has told of this end.
    pub fn has_told_end(&self, end: EventKey) -> bool {
        self.parts.contains_key(&end)
    }

    /// Lets the end go that the kernel tells, as one with what the process told. What another
    /// process said of it is dropped.
    pub fn close_told_end(&mut self, id: [u8; 16], key: HeldKey, entry: Entry) -> Option<Release> {
        let event = (id, Kind::End, entry.sender().of_user());
        if let Some(parts) = self.parts.get_mut(&event) {
            let pid = |entry: &Entry| entry.credentials.map(|sender| sender.pid);
            let pieces = parts.pieces.extract_if(.., |_, (told, _)| pid(told) != pid(&entry));
            for (_, (told, told_key)) in pieces {
                self.shares.remove(&told);
                parts.copies.push(told_key);
            }
        }
        // Its fields stand last, so they count; but the process knows best what it has used.
        let has_told = self.parts.get(&event).is_some_and(|parts| !parts.pieces.is_empty());
        let entry = if has_told { without_usage(entry) } else { entry };
        self.hold_told_end(id, u32::MAX, key, entry, true);
        self.release_parts(event)
    }

    /// Releases the events for which the build that was registered was the last to wait for.
    pub fn registered(&mut self, signature: Signature) -> Vec<Release> {
        for generation in &mut self.given_up {
            generation.remove(&signature);
        }
        let mut released = Vec::new();
        for key in self.by_signature.remove(&signature).unwrap_or_default() {
            let Some(late) = self.late.get_mut(&key) else { continue };
            late.missing.retain(|missing| *missing != signature);
            if late.missing.is_empty() {
                released.extend(self.release_late(key));
            }
        }
        released
    }

    /// Releases what has waited long enough.
    pub fn expired(&mut self) -> Vec<Release> {
        let now = Instant::now();
        let mut released = Vec::new();
        while let Some((_, key)) = self.late_deadlines.front().copied().filter(|(at, _)| *at <= now) {
            self.late_deadlines.pop_front();
            released.extend(self.release_late(key));
        }
        while let Some((_, event)) = self.parts_deadlines.front().copied().filter(|(at, _)| *at <= now) {
            self.parts_deadlines.pop_front();
            released.extend(self.release_parts(event));
        }
        if self.exchanged.elapsed() > self.config.wait_again_after.0 {
            self.exchanged = now;
            self.given_up.swap(0, 1);
            self.given_up[0].clear();
        }
        released
    }

    /// The time when something will have waited long enough.
    pub fn next_deadline(&self) -> Option<Instant> {
        let late = self.late_deadlines.front().map(|(at, _)| *at);
        let parts = self.parts_deadlines.front().map(|(at, _)| *at);
        late.into_iter().chain(parts).min()
    }

    fn release_late(&mut self, key: HeldKey) -> Option<Release> {
        let LateEvent { mut entry, missing } = self.late.remove(&key)?;
        self.shares.remove(&entry);
        for signature in &missing {
            // Events leave in the order in which they came, so those that are gone stand in front.
            if let Some(keys) = self.by_signature.get_mut(signature) {
                while keys.front().is_some_and(|key| !self.late.contains_key(key)) {
                    keys.pop_front();
                }
                if keys.is_empty() {
                    self.by_signature.remove(signature);
                }
            }
            if self.given_up[0].len() < GIVEN_UP_MAX {
                self.given_up[0].insert(*signature);
            }
        }
        entry.is_final = true;
        Some(Release { entry, replaces: vec![key], in_vain: !missing.is_empty() })
    }

    fn release_parts(&mut self, event: EventKey) -> Option<Release> {
        let parts = self.parts.remove(&event)?;
        let mut replaces = parts.copies;
        let in_vain = parts.pieces.len() < parts.count as usize;
        let mut message = Vec::new();
        let mut whole = None;
        let mut end_source = EndSource::Client;
        // One part that is claimed makes a claim of all.
        let mut claimed = None;
        for (entry, key) in parts.pieces.into_values() {
            if entry.credentials.is_none() {
                claimed = Some(entry.delivered_by);
            }
            end_source = entry.end_source;
            self.shares.remove(&entry);
            // Protobuf messages merge by concatenation.
            message.extend_from_slice(&entry.message);
            replaces.push(key);
            whole.get_or_insert(entry);
        }
        let mut entry = Entry { message: message.into(), is_whole: true, end_source, ..whole? };
        if let Some(delivered_by) = claimed {
            (entry.credentials, entry.delivered_by) = (None, delivered_by);
        }
        Some(Release { entry, replaces, in_vain })
    }

    fn has_given_up(&self, signature: &Signature) -> bool {
        self.given_up.iter().any(|generation| generation.contains(signature))
    }
}

/// The kernel's word on an end, without what was seen of the process's resources.
fn without_usage(entry: Entry) -> Entry {
    const USAGE: [u32; 4] = [
        process_end::USER_TIME_US,
        process_end::SYSTEM_TIME_US,
        process_end::MAX_RSS_KIB,
        process_end::MEASURED,
    ];
    let message = USAGE.into_iter().fold(entry.message.clone(), |message, field| {
        without(&message, field).ok().flatten().map_or(message, Bytes::from)
    });
    Entry { message, ..entry }
}
