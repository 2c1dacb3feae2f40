//! The places of jobs that are watched, shared among senders.
//!
//! The rule is that of [`FairRoom`]: half of the places are anybody's
//! (`who_has_very_many_jobs_leaves_places_for_others`).

use crate::fair_shares::{FairRoom, ShareHolder, Shares};

/// See the module.
#[derive(Default)]
pub struct JobPlaces {
    taken: Shares,
    count: usize,
}

impl JobPlaces {
    /// Tells whether the sender may have one more, where there are so many for all.
    pub fn has_room(&self, holder: &ShareHolder, max: usize) -> bool {
        let (own, of_relay) = self.taken_by(holder);
        FairRoom { max, used: self.count }.fits(1, own, of_relay)
    }

    /// The sender, if he has more than there are left: that is why he has no more.
    pub fn sender_with_much(&self, holder: ShareHolder, max: usize) -> Option<ShareHolder> {
        let (own, of_relay) = self.taken_by(&holder);
        let has_much = FairRoom { max, used: self.count }.is_too_much(own + 1, of_relay);
        (own > 0 && has_much).then_some(holder)
    }

    /// The places of a sender, and of all behind its relay.
    fn taken_by(&self, holder: &ShareHolder) -> (usize, usize) {
        let own = self.taken.get(&self.taken.holder(holder.clone()));
        let of_relay = holder.relay_name().map_or(0, |relay| self.taken.of_relay(relay));
        (own as usize, of_relay as usize)
    }

    /// Gives the sender a place.
    pub fn take(&mut self, holder: &ShareHolder) {
        self.count += 1;
        let holder = self.taken.holder(holder.clone());
        let own = self.taken.get(&holder);
        self.taken.set(holder, own + 1);
    }

    /// Takes one back.
    pub fn leave(&mut self, holder: &ShareHolder) {
        self.count = self.count.saturating_sub(1);
        let holder = self.taken.holder(holder.clone());
        let own = self.taken.get(&holder);
        self.taken.set(holder, own.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_very_many_jobs_leaves_places_for_others() {
        const MAX: usize = 1000;
        let mut places = JobPlaces::default();
        let all = |places: &mut JobPlaces, holder: &ShareHolder| {
            let fits = |places: &mut JobPlaces| {
                let has_room = places.has_room(holder, MAX);
                if has_room {
                    places.take(holder);
                }
                has_room
            };
            (0..2 * MAX).take_while(|_| fits(places)).count()
        };
        let [ann, bob] = [1, 2].map(ShareHolder::proved_uid);
        let behind = |uid| ShareHolder::uid_by(Some(b"rack"), uid);
        assert_eq!(all(&mut places, &ShareHolder::others()), 501);
        assert_eq!([&ann, &ShareHolder::others()].map(|one| all(&mut places, one)), [250, 0]);
        assert_eq!(places.sender_with_much(ann.clone(), MAX), Some(ann.clone()));
        assert_eq!(places.sender_with_much(bob.clone(), MAX), None);
        // The users behind a relay share what the relay may have.
        let relayed: Vec<usize> = (1..100).map(|uid| all(&mut places, &behind(uid))).collect();
        assert!(relayed[0] > 60 && relayed[1] > 15, "{relayed:?}");
        assert!(relayed.iter().sum::<usize>() <= 170, "{relayed:?}");
        assert!(all(&mut places, &bob) >= 35, "{relayed:?}");
        (0..501).for_each(|_| places.leave(&ShareHolder::others()));
        assert!(all(&mut places, &ann) > 100);
    }
}
