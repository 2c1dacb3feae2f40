//! The places of starts that have no end yet, shared among users.
//!
//! The rule is that of [`FairRoom`]. So whoever makes very many processes has half of them, and
//! there is always room for somebody else's
//! (`who_has_very_many_processes_leaves_places_for_others`). A start that is over, and whose end is
//! about to be told, has a place still, and takes it from nobody. A start of an earlier run of the
//! server, whose process is gone, does not count: these have their own bound.

use crate::{fair_shares::FairRoom, queue::Credentials};
use std::collections::HashMap;

/// See the module.
#[derive(Default)]
pub struct Places {
    starts: HashMap<[u8; 16], Occupant>,
    /// The number of starts by pid.
    by_pid: HashMap<u32, u32>,
    /// The number of starts that are not over, and the same by user.
    living: usize,
    by_uid: HashMap<u32, usize>,
    /// Starts of an earlier run of the server whose processes are gone.
    lost: usize,
}

/// The process of a start.
struct Occupant {
    pid: u32,
    uid: u32,
    is_over: bool,
    is_lost: bool,
}

/// The answer to a user who wants a place more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceOffer {
    /// There is one.
    Free,
    /// There is none.
    Full,
    /// There is one, for somebody who has fewer.
    OverShare,
}

impl Places {
    /// The number of places that are taken.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The place that a user may have more, where there are so many for all.
    pub fn offer(&self, uid: u32, max: usize) -> PlaceOffer {
        if self.count() - self.lost >= max {
            return PlaceOffer::Full;
        }
        let own = self.by_uid.get(&uid).copied().unwrap_or(0);
        match (FairRoom { max, used: self.living }).fits(1, own, 0) {
            true => PlaceOffer::Free,
            false => PlaceOffer::OverShare,
        }
    }

    /// Gives a place to a start.
    pub fn take(&mut self, event_id: [u8; 16], Credentials { pid, uid, .. }: Credentials) {
        self.leave(&event_id);
        self.starts.insert(event_id, Occupant { pid, uid, is_over: false, is_lost: false });
        *self.by_pid.entry(pid).or_default() += 1;
        self.living += 1;
        *self.by_uid.entry(uid).or_default() += 1;
    }

    /// Notes that a start is over.
    pub fn is_over(&mut self, event_id: &[u8; 16]) {
        let Some(start) = self.starts.get_mut(event_id) else { return };
        if std::mem::replace(&mut start.is_over, true) {
            return;
        }
        self.living -= 1;
        if let Some(starts) = self.by_uid.get_mut(&start.uid) {
            *starts -= 1;
            if *starts == 0 {
                self.by_uid.remove(&start.uid);
            }
        }
    }

    /// Notes that the process of a start was gone when this run of the server began.
    pub fn is_lost(&mut self, event_id: &[u8; 16]) {
        self.is_over(event_id);
        if let Some(start) = self.starts.get_mut(event_id) {
            self.lost += usize::from(!std::mem::replace(&mut start.is_lost, true));
        }
    }

    /// Takes a place back.
    pub fn leave(&mut self, event_id: &[u8; 16]) {
        self.is_over(event_id);
        let Some(Occupant { pid, is_lost, .. }) = self.starts.remove(event_id) else { return };
        self.lost -= usize::from(is_lost);
        if let Some(starts) = self.by_pid.get_mut(&pid) {
            *starts -= 1;
            if *starts == 0 {
                self.by_pid.remove(&pid);
            }
        }
    }

    /// True if the start with this event id has a place.
    pub fn is_taken(&self, event_id: &[u8; 16]) -> bool {
        self.starts.contains_key(event_id)
    }

    /// The pid of the process of a start that has a place.
    pub fn pid_of(&self, event_id: &[u8; 16]) -> Option<u32> {
        self.starts.get(event_id).map(|occupant| occupant.pid)
    }

    /// True if a start of the process with this pid has a place.
    pub fn has_pid(&self, pid: u32) -> bool {
        self.by_pid.contains_key(&pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_very_many_processes_leaves_places_for_others() {
        const MAX: usize = 1000;
        let mut places = Places::default();
        let mut next = 0u128;
        let mut take = |places: &mut Places, uid| {
            let mut taken = 0;
            while places.offer(uid, MAX) == PlaceOffer::Free {
                next += 1;
                places.take(next.to_be_bytes(), Credentials { pid: next as u32, uid, gid: 1 });
                taken += 1;
            }
            taken
        };
        assert_eq!([1, 2, 1, 3].map(|uid| take(&mut places, uid)), [501, 250, 0, 125]);
        assert_eq!(places.offer(1, MAX), PlaceOffer::OverShare);
        // A newcomer always has one, as long as there is one.
        let more = (4..100).map(|uid| take(&mut places, uid)).sum::<usize>();
        assert_eq!((more, places.count()), (124, MAX));
        assert_eq!(places.offer(100, MAX), PlaceOffer::Full);
        // Who has ended has no place any more, and his user has room again.
        (1..=400u128).for_each(|id| places.is_over(&id.to_be_bytes()));
        assert_eq!((places.offer(1, MAX), places.offer(1, MAX + 1)), (PlaceOffer::Full, PlaceOffer::Free));
        // Nor who had gone before this run of the server: there is a place for each of them.
        (401..=501u128).for_each(|id| places.is_lost(&id.to_be_bytes()));
        assert_eq!((places.offer(1, MAX), places.count()), (PlaceOffer::Free, MAX));
        (1..=501u128).for_each(|id| places.leave(&id.to_be_bytes()));
        assert_eq!(places.lost, 0);
        assert!(!places.has_pid(1) && places.has_pid(502) && !places.by_uid.contains_key(&1));
        assert_eq!(places.offer(1, MAX), PlaceOffer::Free);
    }
}
