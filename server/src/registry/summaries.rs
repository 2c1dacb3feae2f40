//! A cache of summaries in front of the registry, as the JSON that documents hold.
//!
//! Sites use the same builds again and again, and a cache that is slightly too small must not
//! forget them in turns. So when it is full, a clock's hand goes round and replaces the first
//! summary that nobody asked for since its last visit. The cache also knows which signatures are
//! *not* registered; a registration overwrites that. Where several servers share a registry, it
//! asks again after some seconds.

use super::{Registry, RegistryError, error::Result};
use ogrt_note::Signature;
use ogrt_proto::BuildSummary;
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A build's summary as JSON.
pub type Summary = Arc<RawValue>;

/// See the module.
pub struct Summaries {
    kept: Mutex<SummaryCache>,
    registered: Sender<Signature>,
    news: Arc<Notify>,
    unknown_for: Option<Duration>,
}

/// The builds that the registry has had of late, for whoever waits for one.
pub struct RegisteredBuilds {
    signatures: Receiver<Signature>,
    news: Arc<Notify>,
}

impl RegisteredBuilds {
    /// The next one, if there is one already.
    pub fn next(&self) -> Option<Signature> {
        self.signatures.try_recv().ok()
    }

    /// Returns after an [`Summaries::announce`].
    pub async fn announced(&self) {
        self.news.notified().await;
    }
}

struct SummaryCache {
    slot_numbers: HashMap<Signature, u32>,
    slots: Vec<Slot>,
    slots_max: usize,
    /// The slot to look at next when one must be replaced.
    hand: usize,
    /// Signatures for which the registry was away.
    unanswered: HashSet<Signature>,
}

/// Most signatures of which is remembered that the registry was away.
const UNANSWERED_MAX: usize = 100_000;

struct Slot {
    signature: Signature,
    summary: Option<Summary>,
    since: Instant,
    /// Somebody asked for it since the hand was here.
    is_used: bool,
}

impl Summaries {
    /// Keeps at most `summaries_max` summaries. That a signature is not registered is believed for
    /// `unknown_for` (`None`: until it is registered). Each registration is among the builds that
    /// come with it.
    pub fn new(summaries_max: usize, unknown_for: Option<Duration>) -> (Self, RegisteredBuilds) {
        let (registered, signatures) = channel();
        let news = Arc::new(Notify::new());
        let slots_max = summaries_max.clamp(1, u32::MAX as usize);
        let builds = RegisteredBuilds { signatures, news: news.clone() };
        let kept = Mutex::new(SummaryCache::new(slots_max));
        (Summaries { kept, registered, news, unknown_for }, builds)
    }

    /// The summary of a signature; `None` when nobody registered it.
    pub fn get(&self, registry: &dyn Registry, signature: Signature) -> Result<Option<Summary>> {
        if let Some(known) = self.lock().get(&signature, self.unknown_for) {
            return Ok(known);
        }
        let answer = registry.summary(signature);
        if let Err(RegistryError::Away(_)) = answer {
            self.lock().note_unanswered(signature);
        }
        let summary = answer?.as_ref().and_then(json);
        // A registration in between left a newer summary than the one we read.
        let mut kept = self.lock();
        if let Some(newer) = kept.get(&signature, self.unknown_for) {
            return Ok(newer);
        }
        kept.insert(signature, summary.clone());
        Ok(summary)
    }

    /// Keeps the summary of a build that the registry has by now.
    pub fn registered(&self, signature: Signature, summary: &BuildSummary) {
        self.lock().insert(signature, json(summary));
        // Nobody listens while the server stops.
        let _ = self.registered.send(signature);
    }

    /// Wakes who waits for registrations. A group of them needs this once.
    pub fn announce(&self) {
        self.news.notify_one();
    }

    /// True of a signature that somebody asked for, and nobody had registered then.
    pub fn was_missed(&self, signature: Signature) -> bool {
        let kept = self.lock();
        let number = kept.slot_numbers.get(&signature);
        number.and_then(|number| kept.slots.get(*number as usize)).is_some_and(|slot| slot.summary.is_none())
    }

    /// The signatures that somebody asked for while the registry was away. They are handed over
    /// once.
    pub fn take_unanswered(&self) -> Vec<Signature> {
        std::mem::take(&mut self.lock().unanswered).into_iter().collect()
    }

    /// Gives back what is still unanswered.
    pub fn give_back_unanswered(&self, signatures: &[Signature]) {
        let mut kept = self.lock();
        signatures.iter().for_each(|signature| kept.note_unanswered(*signature));
    }

    /// Notes that nobody has registered this signature, unless somebody did meanwhile.
    pub fn missed(&self, signature: Signature) {
        let mut kept = self.lock();
        if !kept.slot_numbers.contains_key(&signature) {
            kept.insert(signature, None);
        }
    }

    /// Notes that a build was deleted.
    pub fn removed(&self, signature: Signature) {
        self.lock().insert(signature, None);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SummaryCache> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SummaryCache {
    fn new(slots_max: usize) -> Self {
        SummaryCache {
            slot_numbers: HashMap::new(),
            slots: Vec::new(),
            slots_max,
            hand: 0,
            unanswered: HashSet::new(),
        }
    }

    fn note_unanswered(&mut self, signature: Signature) {
        if self.unanswered.len() < UNANSWERED_MAX {
            self.unanswered.insert(signature);
        }
    }

    fn get(&mut self, signature: &Signature, unknown_for: Option<Duration>) -> Option<Option<Summary>> {
        let slot = self.slots.get_mut(*self.slot_numbers.get(signature)? as usize)?;
        if slot.summary.is_none() && unknown_for.is_some_and(|long| slot.since.elapsed() > long) {
            return None;
        }
        slot.is_used = true;
        Some(slot.summary.clone())
    }

    fn insert(&mut self, signature: Signature, summary: Option<Summary>) {
        let fresh = Slot { signature, summary, since: Instant::now(), is_used: false };
        if let Some(number) = self.slot_numbers.get(&signature) {
            self.slots[*number as usize] = fresh;
        } else if self.slots.len() < self.slots_max {
            self.slot_numbers.insert(signature, self.slots.len() as u32);
            self.slots.push(fresh);
        } else {
            while std::mem::take(&mut self.slots[self.hand].is_used) {
                self.hand = (self.hand + 1) % self.slots.len();
            }
            let gone = std::mem::replace(&mut self.slots[self.hand], fresh);
            self.slot_numbers.remove(&gone.signature);
            self.slot_numbers.insert(signature, self.hand as u32);
            self.hand = (self.hand + 1) % self.slots.len();
        }
    }
}

fn json(summary: &BuildSummary) -> Option<Summary> {
    serde_json::value::to_raw_value(summary).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(number: u32) -> Signature {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Signature::from_bytes(bytes)
    }

    #[test]
    fn what_is_asked_for_stays_and_the_bound_holds() {
        let mut kept = SummaryCache::new(100);
        for number in 0..100 {
            kept.insert(signature(number), None);
        }
        assert_eq!(kept.slot_numbers.len(), 100);
        for number in 1000..1090 {
            // Three are used all the time, the others never again.
            assert!((0..3).all(|number| kept.get(&signature(number), None).is_some()), "{number}");
            kept.insert(signature(number), None);
        }
        assert_eq!((kept.slots.len(), kept.slot_numbers.len()), (100, 100));
        assert!(
            kept.slot_numbers
                .iter()
                .all(|(signature, number)| kept.slots[*number as usize].signature == *signature)
        );
        assert!(kept.get(&signature(1089), None).is_some());
    }
}
