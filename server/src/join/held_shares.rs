//! Shares of what may wait at once: whoever has much waiting leaves room for others.
//!
//! Half of the room is anybody's. A quarter is for senders that have little in it, and the last
//! quarter for those of them whom the kernel proved, because claims cost nothing
//! (`who_has_much_waiting_leaves_room_for_others`). Of the half for those with little, the users
//! behind one relay have a quarter together, however many it names
//! (`a_relay_that_invents_users_leaves_room_for_others`).

use super::decode_event::Event;
use crate::{fair_shares::ShareHolder, queue::Entry};
use std::collections::HashMap;

/// A sender has little while it has at most this part of the room.
const LITTLE: usize = 16;

/// Users behind one relay, each counted while it has little, have at most this part together.
const BEHIND_RELAY: usize = 8;

/// What waits, of all and of each sender.
pub struct HeldShares {
    max: Amount,
    all: Amount,
    of: HashMap<ShareHolder, Amount>,
    /// What waits of the users behind each relay, of each no more than is little.
    behind: HashMap<Vec<u8>, Amount>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    events: usize,
    bytes: usize,
}

impl HeldShares {
    /// Room for so many events or parts of so many bytes.
    pub fn new(events_max: usize, bytes_max: usize) -> Self {
        let max = Amount { events: events_max, bytes: bytes_max };
        HeldShares { max, all: Amount::default(), of: HashMap::new(), behind: HashMap::new() }
    }

    /// The number of events and parts.
    pub fn len(&self) -> usize {
        self.all.events
    }

    /// True if there is room for one more of its sender.
    pub fn has_room(&self, entry: &Entry) -> bool {
        self.has_room_for(&holder(entry), entry.message.len())
    }

    fn has_room_for(&self, holder: &ShareHolder, bytes: usize) -> bool {
        let own = self.of.get(holder).copied().unwrap_or_default();
        let behind = holder.relay_name().and_then(|relay| self.behind.get(relay)).copied();
        let behind = behind.unwrap_or_default();
        let fits = |all: usize, own: usize, behind: usize, more: usize, max: usize| {
            let is_little = own + more <= max / LITTLE && behind + more <= max / BEHIND_RELAY;
            let room = match (is_little, holder.is_claimed()) {
                (true, false) => max,
                (true, true) => max - max / 4,
                (false, _) => max - max / 2,
            };
            all + more <= room
        };
        fits(self.all.events, own.events, behind.events, 1, self.max.events)
            && fits(self.all.bytes, own.bytes, behind.bytes, bytes, self.max.bytes)
    }

    /// Counts what waits from now on.
    pub fn add(&mut self, entry: &Entry) {
        self.change(entry, |amount| {
            amount.events += 1;
            amount.bytes += entry.message.len();
        });
    }

    /// Counts what waits no longer.
    pub fn remove(&mut self, entry: &Entry) {
        self.change(entry, |amount| {
            amount.events = amount.events.saturating_sub(1);
            amount.bytes = amount.bytes.saturating_sub(entry.message.len());
        });
    }

    fn change(&mut self, entry: &Entry, change: impl Fn(&mut Amount)) {
        change(&mut self.all);
        let holder = holder(entry);
        let own = self.of.entry(holder.clone()).or_default();
        let before = own.no_more_than_little(self.max);
        change(own);
        let after = own.no_more_than_little(self.max);
        if *own == Amount::default() {
            self.of.remove(&holder);
        }
        let Some(relay) = holder.relay_name() else { return };
        let behind = self.behind.entry(relay.to_vec()).or_default();
        behind.events = behind.events + after.events - before.events;
        behind.bytes = behind.bytes + after.bytes - before.bytes;
        if *behind == Amount::default() {
            self.behind.remove(relay);
        }
    }

    /// The sender of an event, if it has much waiting.
    pub fn sender_with_much(&self, entry: &Entry) -> Option<ShareHolder> {
        let holder = holder(entry);
        let own = self.of.get(&holder).copied().unwrap_or_default();
        let is_much = own.events + 1 > self.max.events / LITTLE
            || own.bytes + entry.message.len() > self.max.bytes / LITTLE;
        is_much.then_some(holder)
    }
}

impl Amount {
    fn no_more_than_little(self, max: Amount) -> Amount {
        Amount { events: self.events.min(max.events / LITTLE), bytes: self.bytes.min(max.bytes / LITTLE) }
    }
}

/// The sender of an event: the user whom the kernel proved, else whom it claims.
fn holder(entry: &Entry) -> ShareHolder {
    if let Some(credentials) = entry.credentials {
        return ShareHolder::uid_by(entry.relay(), credentials.uid);
    }
    let mut event = Event::default();
    // What cannot be read is never held.
    let _ = event.read(entry.kind, &entry.message);
    ShareHolder::claimed(event.username, event.hostname)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Credentials, EndSource, Kind};
    use ogrt_proto::ProcessInfo;
    use prost::Message;

    fn entry(user: &str, proved: Option<u32>) -> Entry {
        by_relay(user, proved, None)
    }

    fn by_relay(user: &str, proved: Option<u32>, via: Option<&'static str>) -> Entry {
        let info = ProcessInfo { username: Some(user.to_owned().into()), ..ProcessInfo::default() };
        Entry {
            kind: Kind::Start,
            received_ns: 1,
            assigned_id: None,
            credentials: proved.map(|uid| Credentials { pid: 1, uid, gid: 1 }),
            delivered_by: None,
            via: via.map(Into::into),
            is_final: false,
            is_whole: false,
            end_source: EndSource::Client,
            message: info.encode_to_vec().into(),
        }
    }

    /// How many of these find room, each held when it does.
    fn held(shares: &mut HeldShares, entries: impl IntoIterator<Item = Entry>) -> usize {
        let one = |entry: &Entry| {
            let has_room = shares.has_room(entry);
            if has_room {
                shares.add(entry);
            }
            has_room
        };
        entries.into_iter().filter(one).count()
    }

    #[test]
    fn who_has_much_waiting_leaves_room_for_others() {
        let mut shares = HeldShares::new(160, 1 << 20);
        let many = |user: &'static str, proved| (0..1000).map(move |_| entry(user, proved));
        assert_eq!(held(&mut shares, many("flood", None)), 80);
        assert!(shares.sender_with_much(&entry("flood", None)).is_some());
        assert_eq!(shares.sender_with_much(&entry("ann", None)), None);
        // Another who claims a name, and then very many names.
        assert_eq!(held(&mut shares, many("ann", None)), 10);
        assert_eq!(held(&mut shares, (0..1000).map(|n| entry(&format!("u{n}"), None))), 30);
        // A name that is claimed takes nothing from the user who is proved.
        assert_eq!(held(&mut shares, many("flood", Some(7))), 10);
        assert_eq!(held(&mut shares, (0..1000).map(|uid| entry("", Some(uid + 10)))), 30);
        assert_eq!(shares.len(), 160);
        for _ in 0..80 {
            shares.remove(&entry("flood", None));
        }
        assert_eq!((shares.len(), shares.of.len()), (80, 62));
        assert!(shares.has_room(&entry("flood", None)));
    }

    #[test]
    fn a_relay_that_invents_users_leaves_room_for_others() {
        let mut shares = HeldShares::new(160, 1 << 20);
        // A user who floods behind an honest relay leaves room for the others behind it.
        let of = |relay, uid| by_relay("", Some(uid), Some(relay));
        assert_eq!(held(&mut shares, (0..1000).map(|_| of("rack1", 1))), 80);
        assert_eq!(held(&mut shares, (0..1000).map(|uid| of("liar", uid))), 20);
        assert_eq!(held(&mut shares, (0..1000).map(|_| of("rack1", 2))), 10);
        assert_eq!(held(&mut shares, (0..1000).map(|_| of("rack2", 1))), 10);
        assert_eq!(held(&mut shares, (0..1000).map(|_| entry("", Some(1)))), 10);
        assert_eq!((shares.behind.len(), shares.len()), (3, 130));
        (0..20).for_each(|uid| shares.remove(&of("liar", uid)));
        (0..80).for_each(|_| shares.remove(&of("rack1", 1)));
        assert_eq!((shares.behind.len(), shares.len(), shares.behind[&b"rack1"[..]].events), (2, 30, 10));
    }

    #[test]
    fn bytes_are_shared_as_numbers_are() {
        let size = entry("flood", None).message.len();
        let mut shares = HeldShares::new(1_000_000, 160 * size);
        assert_eq!(held(&mut shares, (0..1000).map(|_| entry("flood", None))), 80);
        assert_eq!(
            held(&mut shares, (0..1000).map(|_| entry("x", Some(7)))),
            160 * size / 16 / entry("x", None).message.len()
        );
    }
}
