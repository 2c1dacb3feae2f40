//! Who has how many programs and rows, so that nobody takes the room of others.
//!
//! A program belongs to the first sender who ran it, until a second one does. Then it is several
//! senders', and goes only when the others have too little left. A row belongs to its user. These
//! figures are written together with what they count.

use crate::{
    config::UsesConfig,
    database::{UsesStore, Writes, number},
    fair_shares::{Allowance, ShareHolder, Shares},
};
use std::collections::HashMap;

/// The name of several senders, on disk.
const SEVERAL: &[u8] = b"s";

/// The owner of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Nobody else has run it.
    One(ShareHolder),
    #[default]
    Several,
}

impl Owner {
    /// The owner with these bytes.
    pub fn read(bytes: &[u8]) -> Owner {
        match bytes {
            SEVERAL | b"" => Owner::Several,
            one => Owner::One(ShareHolder::read(one)),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Owner::One(holder) => holder.as_bytes(),
            Owner::Several => SEVERAL,
        }
    }

    /// The owner when this sender has run the program too. A claim changes nothing about what is
    /// proved, and gives way to it.
    pub fn with(&self, holder: &ShareHolder) -> Owner {
        match self {
            Owner::Several => Owner::Several,
            Owner::One(one) if one == holder => self.clone(),
            Owner::One(one) => match (one.is_claimed(), holder.is_claimed()) {
                (false, true) => self.clone(),
                (true, false) => Owner::One(holder.clone()),
                (true, true) => Owner::One(ShareHolder::others()),
                // Of one relay, it stays with the relay.
                (false, false) => match (one.relay_name(), holder.relay_name()) {
                    (Some(relay), Some(same)) if relay == same => Owner::One(ShareHolder::relay(relay)),
                    _ => Owner::Several,
                },
            },
        }
    }
}

/// Who has how many programs, objects and rows.
pub struct UseShares {
    pub programs: KeptShares,
    pub objects: KeptShares,
    pub rows: KeptShares,
    /// Rows of sums.
    pub sums: KeptShares,
    /// The senders of whom something is missing, and when it last ran: [`super::forgotten`].
    pub forgotten: Shares,
}

/// Objects for each program that there may be.
const OBJECTS_FOR_EACH: usize = 4;

impl UseShares {
    /// Reads what is on disk.
    pub fn open(store: &UsesStore, config: &UsesConfig) -> fjall::Result<Self> {
        let programs = KeptShares::open(store, b'p', config.programs_max, store.program_count.get()?)?;
        let objects_max = config.programs_max.saturating_mul(OBJECTS_FOR_EACH);
        let objects = KeptShares::open(store, b'o', objects_max, store.object_count.get()?)?;
        let rows = KeptShares::open(store, b'r', config.rows_max, store.row_count.get()?)?;
        let sums = KeptShares::open(store, b's', config.sums_max, store.sums.row_count.get()?)?;
        let mut forgotten = Shares::default();
        for entry in store.senders.prefix(b"f") {
            let (key, last) = entry.into_inner()?;
            match key.get(1..) {
                Some([]) | None => {}
                Some(holder) => forgotten.set(ShareHolder::read(holder), number(&last)),
            }
        }
        Ok(UseShares { programs, objects, rows, sums, forgotten })
    }
}

/// Who has how much of what one key of the configuration bounds.
pub struct KeptShares {
    /// The letter in front of the senders' names, on disk.
    letter: u8,
    max: u64,
    shares: Shares,
    several: u64,
    /// What is not on disk yet; and by relays.
    fresh: HashMap<ShareHolder, u64>,
    fresh_of_relay: HashMap<Vec<u8>, u64>,
    allowance: Allowance,
    /// What each relay had when there were so many that some are removed.
    when_full: Option<HashMap<Vec<u8>, u64>>,
}

/// Changes on their way to the disk.
#[derive(Default)]
pub struct ShareChanges(HashMap<Vec<u8>, i64>);

impl ShareChanges {
    /// Adds to what an owner has.
    pub fn add(&mut self, owner: &Owner, more: i64) {
        match self.0.get_mut(owner.as_bytes()) {
            Some(known) => *known += more,
            None => drop(self.0.insert(owner.as_bytes().to_vec(), more)),
        }
    }

    /// Adds to what a sender has.
    pub fn add_one(&mut self, holder: ShareHolder, more: i64) {
        self.add(&Owner::One(holder), more);
    }
}

impl KeptShares {
    /// Reads what is on disk, where there are so many.
    pub fn open(store: &UsesStore, letter: u8, max: usize, there: u64) -> fjall::Result<Self> {
        let mut shares = Shares::default();
        for entry in store.senders.prefix([letter]) {
            let (key, amount) = entry.into_inner()?;
            if let Owner::One(holder) = Owner::read(key.get(1..).unwrap_or_default()) {
                shares.set(holder, number(&amount));
            }
        }
        // And what is from before there were shares.
        let several = there.saturating_sub(shares.total());
        let (fresh, fresh_of_relay) = (HashMap::new(), HashMap::new());
        let (max, allowance) = (max as u64, Allowance::default());
        let mut kept =
            KeptShares { letter, max, shares, several, fresh, fresh_of_relay, allowance, when_full: None };
        kept.look();
        Ok(kept)
    }

    /// The number that there may be when some have been removed.
    pub fn capacity(&self) -> u64 {
        self.max - self.max / 8
    }

    /// The number from which on some are removed, and a sender with more than its share gets no
    /// more.
    pub fn soft_max(&self) -> u64 {
        self.max - self.max / 16
    }

    /// The number up to which this sender may have more: the last ones are for those whom the
    /// kernel proves.
    fn max_for(&self, holder: &ShareHolder) -> u64 {
        if holder.is_claimed() { self.max - self.max / 32 } else { self.max }
    }

    /// The most that several senders' may be while others are over.
    fn several_max(&self) -> u64 {
        self.capacity() / 4 * 3
    }

    /// Finds out anew what each may have, from what all have now.
    pub fn look(&mut self) {
        self.allowance = self.shares.allowance(self.left());
        if self.shares.total() + self.several < self.soft_max() {
            self.when_full = None;
        } else if self.when_full.is_none() {
            self.when_full = Some(self.shares.of_relays());
        }
    }

    /// Tells whether somebody has more than may be, by what is on disk.
    pub fn is_limited(&self) -> bool {
        self.allowance.is_limited()
    }

    /// The sender under which something new counts.
    pub fn holder(&self, holder: ShareHolder) -> ShareHolder {
        self.shares.holder(holder)
    }

    /// Tells whether the sender may have one more where there are so many.
    pub fn has_room(&mut self, holder: &ShareHolder, there: u64) -> bool {
        if there < self.soft_max() {
            return true;
        }
        if self.when_full.is_none() {
            self.is_full_now();
        }
        let max = self.max_for(holder);
        there < max
            && self.has(holder) < self.allowance.of(holder).max(1)
            && self.of_relay_since_full(holder) < max - there
    }

    /// Finds out what each may have, from what all have now, on disk or not.
    fn is_full_now(&mut self) {
        let mut all = self.shares.clone();
        for (holder, more) in &self.fresh {
            all.set(holder.clone(), self.shares.get(holder) + more);
        }
        self.when_full = Some(all.of_relays());
        self.allowance = all.allowance(self.left());
    }

    fn left(&self) -> u64 {
        self.capacity().saturating_sub(self.several).max(self.capacity() / 4)
    }

    /// What the relay of this sender has more since some are removed. Of the last ones it gets no
    /// more than there are left, however many users it names.
    fn of_relay_since_full(&self, holder: &ShareHolder) -> u64 {
        let Some((relay, before)) = holder.relay_name().zip(self.when_full.as_ref()) else { return 0 };
        let has = self.shares.of_relay(relay) + self.fresh_of_relay.get(relay).copied().unwrap_or(0);
        has.saturating_sub(before.get(relay).copied().unwrap_or(0))
    }

    /// What a sender has, with what is not on disk yet.
    fn has(&self, holder: &ShareHolder) -> u64 {
        self.shares.get(holder) + self.fresh.get(holder).copied().unwrap_or(0)
    }

    /// Tells whether a sender has all of its share.
    pub fn has_share(&self, holder: &ShareHolder) -> bool {
        self.has(holder) >= self.allowance.of(holder)
    }

    /// Tells how much of an owner's is too much.
    pub fn excess(&self, owner: &Owner) -> u64 {
        match owner {
            Owner::One(holder) => self.get(owner).saturating_sub(self.allowance.of(holder)),
            Owner::Several => self.several.saturating_sub(self.several_max()),
        }
    }

    /// The percentage of an owner's that is too much, rounded up.
    pub fn excess_percent(&self, owner: &Owner) -> u64 {
        (self.excess(owner) * 100).div_ceil(self.get(owner).max(1))
    }

    /// Counts something new that is not on disk yet.
    pub fn add_fresh(&mut self, holder: ShareHolder) {
        if let Some(relay) = holder.relay_name() {
            *self.fresh_of_relay.entry(relay.to_vec()).or_default() += 1;
        }
        *self.fresh.entry(holder).or_default() += 1;
    }

    /// The changes by what is new.
    pub fn fresh(&self) -> ShareChanges {
        let mut changes = ShareChanges::default();
        self.fresh.iter().for_each(|(holder, more)| changes.add_one(holder.clone(), *more as i64));
        changes
    }

    /// Forgets what is new: it is on disk now, or is counted again.
    pub fn forget_fresh(&mut self) {
        self.fresh.clear();
        self.fresh_of_relay.clear();
    }

    /// Puts changes among the writes.
    pub fn put(&self, store: &UsesStore, changes: &ShareChanges, writes: &mut Writes) {
        for (owner, more) in &changes.0 {
            let key = [&[self.letter], &owner[..]].concat();
            match self.get(&Owner::read(owner)).saturating_add_signed(*more) {
                0 => writes.remove(&store.senders, key),
                amount => writes.insert(&store.senders, key, amount.to_be_bytes()),
            }
        }
    }

    /// Takes over changes that are on disk now.
    pub fn apply(&mut self, changes: ShareChanges) {
        for (owner, more) in changes.0 {
            let owner = Owner::read(&owner);
            let amount = self.get(&owner).saturating_add_signed(more);
            match owner {
                Owner::One(holder) => self.shares.set(holder, amount),
                Owner::Several => self.several = amount,
            }
        }
    }

    /// What an owner has on disk.
    pub fn get(&self, owner: &Owner) -> u64 {
        match owner {
            Owner::One(holder) => self.shares.get(holder),
            Owner::Several => self.several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;

    #[test]
    fn a_program_that_two_run_is_several_senders_and_a_claim_takes_nothing() {
        let [ann, bob] = ["ann", "bob"].map(|user| ShareHolder::proved(user.as_bytes()));
        let claim = ShareHolder::claimed(b"ann", b"node1");
        let of = Owner::One(ann.clone());
        assert_eq!(of.with(&ann), of);
        assert_eq!(of.with(&claim), of);
        assert_eq!(of.with(&bob), Owner::Several);
        assert_eq!(Owner::One(claim.clone()).with(&ann), of);
        let other = ShareHolder::claimed(b"x", b"y");
        assert_eq!(Owner::One(claim).with(&other), Owner::One(ShareHolder::others()));
        for owner in [of, Owner::Several] {
            assert_eq!(Owner::read(owner.as_bytes()), owner);
        }
    }

    #[test]
    fn who_has_more_than_its_share_gets_no_more_and_others_do() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().uses();
        let mut kept = KeptShares::open(&store, b'p', 160, 0).unwrap();
        let [ann, flood, new] = ["ann", "flood", "new"].map(|user| ShareHolder::proved(user.as_bytes()));
        let mut changes = ShareChanges::default();
        changes.add_one(ann.clone(), 20);
        changes.add_one(flood.clone(), 130);
        let mut writes = store.database.writes();
        kept.put(&store, &changes, &mut writes);
        writes.commit().unwrap();
        kept.apply(changes);
        kept.look();
        assert_eq!(kept.soft_max(), 150);
        assert!(kept.has_room(&flood, 149) && !kept.has_room(&flood, 150));
        assert!(kept.has_room(&ann, 159) && kept.has_room(&new, 159) && !kept.has_room(&ann, 160));
        let claim = ShareHolder::claimed(b"ann", b"n");
        assert!(kept.has_room(&claim, 154) && !kept.has_room(&claim, 155));
        assert_eq!([&flood, &ann].map(|one| kept.excess(&Owner::One(one.clone()))), [10, 0]);
        // It is the same after a restart.
        let kept = KeptShares::open(&store, b'p', 160, 150).unwrap();
        assert_eq!(kept.excess(&Owner::One(flood)), 10);
    }
}
