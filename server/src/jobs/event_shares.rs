//! Shares of what is answered of one job: of its events, and of the senders that are told apart.
//!
//! Whoever knows the id of a job may send events under it, also before the job has begun. All
//! claims are one sender. Where a job has more events than are answered, each sender has its share
//! of them ([`EventHolders::limits`]).
//!
//! The room for senders that are told apart is shared by the rule of [`FairRoom`].

use crate::{
    fair_shares::{FairRoom, ShareHolder, Shares},
    queue::Entry,
};
use bytes::Bytes;
use std::collections::HashMap;

/// Most senders that are told apart here; further ones of a relay are the relay, others are claims.
const HOLDERS_MAX: usize = 1 << 16;

/// A sender's number, and that of the relay that it stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventHolder {
    pub own: usize,
    relay: Option<usize>,
}

/// A user whom a kernel proved, and the relay that told it; neither of a claim. A relay without a
/// user is all further users behind it.
type HolderName = (Option<u32>, Bytes);

/// The senders of the events of one job.
#[derive(Default)]
pub struct EventHolders {
    numbers: HashMap<HolderName, EventHolder>,
    relays: HashMap<Bytes, usize>,
    last: Option<(HolderName, EventHolder)>,
}

impl EventHolders {
    /// The sender of an event.
    pub fn of(&mut self, entry: &Entry<impl AsRef<[u8]>>) -> EventHolder {
        let uid = entry.credentials.map(|credentials| credentials.uid);
        let relay = uid.and_then(|_| entry.relay()).unwrap_or_default();
        if let Some(((last_uid, last_relay), holder)) = &self.last
            && (*last_uid, &last_relay[..]) == (uid, relay)
        {
            return *holder;
        }
        let name = (uid, Bytes::copy_from_slice(relay));
        let holder = self.number(&name);
        self.last = Some((name, holder));
        holder
    }

    /// How much each sender may have, by its number, where all together may have so much.
    pub fn limits(&self, amounts: &[usize], max: usize) -> Vec<usize> {
        let holder = |(uid, relay): &HolderName| match (uid, relay.is_empty()) {
            (Some(uid), true) => ShareHolder::proved_uid(*uid),
            (Some(uid), false) => ShareHolder::uid_by(Some(relay), *uid),
            (None, true) => ShareHolder::others(),
            (None, false) => ShareHolder::relay(relay),
        };
        let amount = |number: usize| amounts.get(number).copied().unwrap_or(0) as u64;
        let mut shares = Shares::default();
        for (name, number) in &self.numbers {
            shares.set(holder(name), amount(number.own));
        }
        let allowance = shares.allowance(max as u64);
        let mut limits = vec![0; self.numbers.len()];
        for (name, number) in &self.numbers {
            limits[number.own] = usize::try_from(allowance.of(&holder(name))).unwrap_or(usize::MAX);
        }
        limits
    }

    fn number(&mut self, name: &HolderName) -> EventHolder {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        if self.numbers.len() >= HOLDERS_MAX && name.0.is_some() {
            return self.number(&(None, name.1.clone()));
        }
        let fresh = self.relays.len();
        let relay = (!name.1.is_empty()).then(|| *self.relays.entry(name.1.clone()).or_insert(fresh));
        let holder = EventHolder { own: self.numbers.len(), relay };
        self.numbers.insert(name.clone(), holder);
        holder
    }
}

/// Room for so much of something.
pub struct SharedRoom {
    max: usize,
    used: usize,
    own: Vec<usize>,
    of_relay: Vec<usize>,
}

impl SharedRoom {
    /// Room without anything in it.
    pub fn new(max: usize) -> Self {
        SharedRoom { max, used: 0, own: Vec::new(), of_relay: Vec::new() }
    }

    /// Tells whether the sender may have more.
    pub fn has_room(&self, holder: EventHolder) -> bool {
        let own = self.own.get(holder.own).copied().unwrap_or(0);
        let of_relay = holder.relay.and_then(|relay| self.of_relay.get(relay)).copied().unwrap_or(0);
        FairRoom { max: self.max, used: self.used }.fits(1, own, of_relay)
    }

    /// Gives the sender one more.
    pub fn take(&mut self, holder: EventHolder) {
        self.used += 1;
        add(&mut self.own, holder.own, 1);
        if let Some(relay) = holder.relay {
            add(&mut self.of_relay, relay, 1);
        }
    }
}

/// Adds to the amount with this number, and returns what it is then.
pub fn add(amounts: &mut Vec<usize>, at: usize, amount: usize) -> usize {
    if amounts.len() <= at {
        amounts.resize(at + 1, 0);
    }
    amounts[at] += amount;
    amounts[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Credentials, EndSource, Kind};

    fn entry(uid: Option<u32>, via: Option<&'static str>) -> Entry {
        Entry {
            kind: Kind::Start,
            received_ns: 1,
            assigned_id: None,
            credentials: uid.map(|uid| Credentials { pid: 1, uid, gid: 1 }),
            delivered_by: None,
            via: via.map(Into::into),
            is_final: false,
            is_whole: false,
            end_source: EndSource::Client,
            message: Bytes::new(),
        }
    }

    #[test]
    fn who_has_very_many_senders_leaves_room_for_those_of_others() {
        let (mut holders, mut room) = (EventHolders::default(), SharedRoom::new(1000));
        let mut all = |uid, via| {
            let holder = holders.of(&entry(uid, via));
            let fits = |room: &mut SharedRoom| {
                let has_room = room.has_room(holder);
                if has_room {
                    room.take(holder);
                }
                has_room
            };
            (0..2000).take_while(|_| fits(&mut room)).count()
        };
        assert_eq!([all(None, None), all(None, Some("rack"))], [501, 0]);
        assert_eq!(all(Some(7), None), 250);
        // A relay that invents users has no more than one sender, and leaves something.
        let liar: usize = (0..300).map(|uid| all(Some(uid), Some("liar"))).sum();
        assert!((100..=130).contains(&liar), "{liar}");
        assert!(all(Some(8), Some("rack")) > 35);
        assert!(all(Some(9), Some("rack")) > 5, "another user behind the same relay");
    }

    #[test]
    fn a_job_with_too_many_events_has_a_share_of_each_sender() {
        let mut holders = EventHolders::default();
        let mut amounts = Vec::new();
        let of = [
            (None, None, 9000),
            (Some(7), None, 100),
            (Some(8), Some("rack"), 50),
            (Some(9), Some("rack"), 900),
        ];
        let numbers = of.map(|(uid, via, amount)| {
            let holder = holders.of(&entry(uid, via));
            add(&mut amounts, holder.own, amount);
            holder.own
        });
        let limits = holders.limits(&amounts, 1000);
        assert_eq!(numbers.map(|number| limits[number]), [450, 450, 400, 400]);
        assert!(holders.limits(&amounts, 20_000).iter().all(|limit| *limit == usize::MAX));
    }

    #[test]
    fn senders_are_bounded() {
        let mut holders = EventHolders::default();
        for uid in 0..HOLDERS_MAX as u32 + 100 {
            holders.of(&entry(Some(uid), Some("liar")));
        }
        assert!(holders.numbers.len() <= HOLDERS_MAX + 1);
        assert_eq!(holders.of(&entry(Some(u32::MAX), Some("liar"))).relay, Some(0));
    }
}
