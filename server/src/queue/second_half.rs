//! What each sender has in the second half of the queue.
//!
//! The first half takes whatever comes. In the second, nobody may have more than there is left: the
//! first sender fills half of it, the next a quarter, and so on. So one sender with very many
//! events, and an output that is down, keep out nobody else
//! (`a_flood_that_no_output_takes_refuses_nobody_else`). A sender is a user whom the kernel proves,
//! or a relay that has authenticated itself. All that is only claimed is one sender more. A queue
//! that drops its oldest events refuses none, whoever sends them.

use super::{Entries, Entry, Sender, entry::EndSource};
use crate::{
    config::{QueueConfig, WhenFull},
    fair_shares::{ShareHolder, Shares},
    metrics::Metrics,
};
use std::collections::HashMap;

/// See the module.
pub struct SecondHalf {
    /// The bytes of the whole queue; `None` where it drops its oldest events.
    bytes_max: Option<u64>,
    /// The bytes that are left; `None` as long as less than half of the queue is used.
    left: Option<u64>,
    /// The bytes of each sender since half of the queue was used.
    taken: Shares,
    /// The bytes that each adds to the next batch, before they are compressed.
    added: HashMap<ShareHolder, u64>,
}

impl SecondHalf {
    /// The second half of this queue.
    pub fn of(config: &QueueConfig) -> Self {
        let bytes_max = (config.when_full == WhenFull::Refuse).then_some(config.bytes_max.0);
        SecondHalf { bytes_max, left: None, taken: Shares::default(), added: HashMap::new() }
    }

    /// Learns how many bytes the queue has.
    pub fn look(&mut self, queue_bytes: u64) {
        let in_second_half = self.bytes_max.filter(|bytes_max| queue_bytes > bytes_max / 2);
        self.left = in_second_half.map(|bytes_max| bytes_max.saturating_sub(queue_bytes));
        if self.left.is_none() {
            self.taken = Shares::default();
            self.added.clear();
        }
    }

    /// The entries whose senders may have more; the others are refused.
    pub fn admit(&mut self, entries: Entries, metrics: &Metrics) -> Entries {
        let Some(left) = self.left else { return entries };
        let mut admitted = Entries::default();
        let mut refused: HashMap<ShareHolder, u64> = HashMap::new();
        let bytes = entries.into_bytes();
        let mut rest = &bytes[..];
        loop {
            let before = rest.len();
            let Some(entry) = Entry::borrowed(&mut rest) else { break };
            let holder = holder(&entry);
            // An end that the kernel told: its start is in the queue already.
            if entry.end_source != EndSource::Kernel && self.taken.get(&holder) > left {
                *refused.entry(holder).or_default() += 1;
                continue;
            }
            *self.added.entry(holder).or_default() += (before - rest.len()) as u64;
            admitted.push(&entry);
        }
        for (holder, events) in refused {
            metrics.events_refused.add(events);
            let consequence = "its events are refused until the outputs have caught up";
            metrics.over("queue.bytes_max", &holder, events, consequence);
        }
        admitted
    }

    /// Notes that a batch of what was admitted has so many bytes, and had so many before it was
    /// compressed.
    pub fn wrote(&mut self, compressed: usize, plain: usize) {
        for (holder, bytes) in self.added.drain() {
            let share = u128::from(bytes) * compressed as u128 / plain.max(1) as u128;
            let taken = self.taken.get(&holder) + share as u64;
            self.taken.set(holder, taken);
        }
    }
}

/// The sender to whose share an entry counts.
fn holder(entry: &Entry<&[u8]>) -> ShareHolder {
    match (entry.relay(), entry.sender()) {
        (Some(relay), _) => ShareHolder::relay(relay),
        (None, Sender::Process(uid) | Sender::Local(uid)) => ShareHolder::proved_uid(uid),
        (None, Sender::Anybody) => ShareHolder::others(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Size,
        queue::{Credentials, Kind},
    };

    fn entries(of: &[(Option<u32>, Option<&'static [u8]>)]) -> Entries {
        let mut entries = Entries::default();
        for (uid, via) in of {
            entries.push(&Entry {
                kind: Kind::Start,
                received_ns: 1,
                assigned_id: None,
                credentials: uid.map(|uid| Credentials { pid: 7, uid, gid: 1 }),
                delivered_by: None,
                via: *via,
                is_final: false,
                is_whole: false,
                end_source: EndSource::Client,
                message: &[b'x'; 1000][..],
            });
        }
        entries
    }

    #[test]
    fn nobody_has_more_than_is_left_and_a_newcomer_has_room() {
        const ANN: (Option<u32>, Option<&[u8]>) = (Some(1), None);
        let metrics = Metrics::default();
        let config = QueueConfig { bytes_max: Size(100_000), ..QueueConfig::default() };
        let mut half = SecondHalf::of(&config);
        let mut queue_bytes = 0;
        let mut write = |half: &mut SecondHalf, of| {
            half.look(queue_bytes);
            let admitted = half.admit(entries(&[of]), &metrics);
            half.wrote(admitted.bytes().len(), admitted.bytes().len());
            queue_bytes += admitted.bytes().len() as u64;
            admitted.count() == 1
        };
        let mut wrote = |of| (0..1000).take_while(|_| write(&mut half, of)).count();
        // All of the first half, and half of the second.
        assert!((73..77).contains(&wrote(ANN)));
        // Half of what is left, each; claims are one sender, whatever they came by.
        for (of, least) in [((Some(2), None), 11), ((None, None), 5), ((Some(1), Some(&b"a,rack"[..])), 2)] {
            assert!((least..=least + 2).contains(&wrote(of)), "{of:?}");
        }
        assert_eq!(wrote(ANN), 0);
        assert_eq!(wrote((Some(3), Some(b"rack"))), 0, "of the same relay");
        assert_eq!(metrics.events_refused.get(), 6);
        // The outputs have caught up.
        half.look(50_000);
        assert_eq!(half.admit(entries(&[ANN, ANN]), &metrics).count(), 2);
    }
}
