//! The processes of a job, put together from its events: each start once, with its own end.
//!
//! An event's id alone does not say what belongs together, because everybody who has read it may
//! send events under it. So a start and an end are one process if the sender of the end may end
//! that start ([`Sender::may_end`]); of several ends, the one counts that is proved best. What is
//! proved replaces the same claim, and a claim never replaces what is proved. A claimed end of a
//! process that is proved is shown apart, as `claimed_end`.

use crate::{
    join::EventHead,
    queue::{Kind, Sender},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// See the module. `D` is what stands for an event: its document, or where it is found.
pub struct Processes<D> {
    starts: Vec<Start<D>>,
    /// Indexes of the starts with an id: more than one only where somebody forges.
    starts_by_id: HashMap<[u8; 16], Vec<usize>>,
    ends: Vec<End<D>>,
    ends_by_id: HashMap<[u8; 16], Vec<Sender>>,
}

struct Start<D> {
    sender: Sender,
    claimed_uid: Option<u32>,
    document: D,
    end: Option<End<D>>,
    claimed_end: Option<End<D>>,
}

struct End<D> {
    id: [u8; 16],
    sender: Sender,
    document: D,
}

/// What the end of a process is to its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// An end as good as the start.
    Own,
    /// A proof, where the start is only claimed.
    Proof,
    /// A claim about a process that is proved.
    Claim,
}

/// One process: its start and its end, or an end whose start is unknown.
pub struct Process<D> {
    pub first: D,
    pub end: Option<(D, EndKind)>,
}

impl<D> Default for Processes<D> {
    fn default() -> Self {
        Processes {
            starts: Vec::new(),
            starts_by_id: HashMap::new(),
            ends: Vec::new(),
            ends_by_id: HashMap::new(),
        }
    }
}

impl<D> Processes<D> {
    /// True if an event is among them that tells the same.
    pub fn has(&self, event: &EventHead) -> bool {
        match event.kind {
            Kind::Start => self.starts_by_id.get(&event.id).is_some_and(|starts| {
                starts.iter().any(|start| self.starts[*start].sender.covers(event.sender, event.claimed_uid))
            }),
            Kind::End => self
                .ends_by_id
                .get(&event.id)
                .is_some_and(|senders| senders.iter().any(|known| known.covers(event.sender, None))),
            Kind::Summary => false,
        }
    }

    /// Takes a start or an end.
    pub fn insert(&mut self, event: &EventHead, document: D) {
        let EventHead { id, sender, claimed_uid, .. } = *event;
        if event.kind != Kind::Start {
            self.ends_by_id.entry(id).or_default().push(sender);
            self.ends.push(End { id, sender, document });
            return;
        }
        let same_id = self.starts_by_id.entry(id).or_default();
        // The same process, of which less was proved so far.
        let is_weaker = |start: &Start<D>, uid: u32| {
            let is_users = start.sender == Sender::Local(uid) || start.claimed_uid == Some(uid);
            sender.is_stronger_than(start.sender) && is_users
        };
        if let Sender::Process(uid) | Sender::Local(uid) = sender
            && let Some(at) = same_id.iter().copied().find(|at| is_weaker(&self.starts[*at], uid))
        {
            let claim = &mut self.starts[at];
            (claim.sender, claim.claimed_uid, claim.document) = (sender, claimed_uid, document);
            return;
        }
        same_id.push(self.starts.len());
        self.starts.push(Start { sender, claimed_uid, document, end: None, claimed_end: None });
    }

    /// Each process, in the order of the starts; then the ends whose starts are unknown.
    pub fn into_each(mut self) -> Vec<Process<D>> {
        let mut orphans = Vec::new();
        for end in self.ends {
            let Some(same_id) = self.starts_by_id.get(&end.id) else {
                orphans.push(Process { first: end.document, end: None });
                continue;
            };
            let may_end = |start: &Start<D>| end.sender.may_end(start.sender, start.claimed_uid);
            let known = |start: &Start<D>| {
                start.end.as_ref().is_some_and(|known| !end.sender.is_stronger_than(known.sender))
            };
            // Of several starts the one that is proved best: a forged one may have come first.
            let of = |fits: &dyn Fn(&Start<D>) -> bool| {
                let fitting = same_id.iter().copied().filter(|at| self.starts.get(*at).is_some_and(fits));
                fitting.reduce(|best, at| {
                    if self.starts[at].sender.is_stronger_than(self.starts[best].sender) { at } else { best }
                })
            };
            // A better end takes the place of another, which then was a claim.
            if let Some(at) = of(&|start| may_end(start) && !known(start)) {
                let start = &mut self.starts[at];
                let claim = start.end.replace(end);
                start.claimed_end = start.claimed_end.take().or(claim);
            } else if let Some(at) = of(&|start| start.claimed_end.is_none() && start.sender != end.sender) {
                self.starts[at].claimed_end = Some(end);
            }
        }
        let mut processes: Vec<_> = self.starts.into_iter().map(Start::into_process).collect();
        processes.append(&mut orphans);
        processes
    }
}

impl<D> Start<D> {
    fn into_process(self) -> Process<D> {
        let end = match (self.end, self.claimed_end) {
            (Some(end), _) => Some((end.document, EndKind::of(end.sender, self.sender))),
            (None, Some(end)) => Some((end.document, EndKind::Claim)),
            (None, None) => None,
        };
        Process { first: self.document, end }
    }
}

impl EndKind {
    /// What an end is that a sender may tell of a start of another.
    pub fn of(end: Sender, start: Sender) -> Self {
        if end.is_proved() != start.is_proved() { EndKind::Proof } else { EndKind::Own }
    }
}

impl Process<Vec<u8>> {
    /// All that is known of it as one document.
    pub fn into_document(mut self) -> Vec<u8> {
        if let Some((end, kind)) = self.end {
            let key = if kind == EndKind::Claim { "claimed_end" } else { "end" };
            add(&mut self.first, key, &end, kind == EndKind::Proof);
        }
        self.first
    }
}

/// Puts the `end` of an end's document into its process's document, under a key; `as_proof` marks
/// it where the process itself is only claimed.
fn add(process: &mut Vec<u8>, key: &str, end: &[u8], as_proof: bool) {
    #[derive(Deserialize)]
    struct EndDocument<'a> {
        #[serde(borrow)]
        end: &'a RawValue,
    }
    if let (Ok(EndDocument { end }), Some(b'}')) = (serde_json::from_slice(end), process.last())
        && let Some(members) = end.get().strip_suffix('}')
    {
        process.pop();
        process.extend_from_slice(format!(",\"{key}\":{members}").as_bytes());
        if as_proof {
            process.extend_from_slice(if members == "{" { b"" } else { b"," });
            process.extend_from_slice(b"\"identity\":\"kernel\"");
        }
        process.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn head(kind: Kind, sender: Sender, claimed_uid: Option<u32>) -> EventHead {
        EventHead { id: [1; 16], kind, sender, claimed_uid }
    }

    /// The names of the events, `s1` for a start and so on, and the ends they have.
    fn answer(events: &[(Kind, Sender, Option<u32>)]) -> Vec<[Option<String>; 3]> {
        let mut processes = Processes::default();
        for (number, (kind, sender, uid)) in events.iter().enumerate() {
            let head = head(*kind, *sender, *uid);
            let document = match kind {
                Kind::End => format!("{{\"end\":{{\"name\":\"{number}\"}}}}"),
                _ => format!("{{\"name\":\"{number}\"}}"),
            };
            if !processes.has(&head) {
                processes.insert(&head, document.into_bytes());
            }
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let of = |document: Vec<u8>| {
            let json: Value = serde_json::from_slice(&document).unwrap();
            [text(&json["name"]), text(&json["end"]["name"]), text(&json["claimed_end"]["name"])]
        };
        processes.into_each().into_iter().map(Process::into_document).map(of).collect()
    }

    fn process(start: usize, end: Option<usize>, claimed_end: Option<usize>) -> [Option<String>; 3] {
        [Some(start), end, claimed_end].map(|number| number.map(|number| number.to_string()))
    }

    use Kind::{End as E, Start as S};
    const ANY: Sender = Sender::Anybody;
    const TRUE: Sender = Sender::Process(7);
    const OTHER: Sender = Sender::Process(8);

    #[test]
    fn a_foreign_end_is_not_the_processs_own() {
        for foreign in [ANY, OTHER, Sender::Local(8), Sender::Local(7), Sender::Local(0)] {
            let events = [(S, TRUE, None), (E, foreign, None), (E, TRUE, None)];
            assert_eq!(answer(&events), [process(0, Some(2), None)], "{foreign:?}");
            assert_eq!(answer(&events[..2]), [process(0, None, Some(1))], "{foreign:?}");
        }
        // Claims, too, are not all alike: what the kernel binds to a user is the user's.
        let delivered = Sender::Local(7);
        assert_eq!(
            answer(&[(S, delivered, None), (E, ANY, None), (E, delivered, None)]),
            [process(0, Some(2), None)]
        );
        assert_eq!(
            answer(&[(S, ANY, Some(7)), (E, OTHER, None), (E, ANY, None)]),
            [process(0, Some(2), None)]
        );
    }

    #[test]
    fn a_foreign_start_neither_takes_the_place_of_the_true_one_nor_is_one_with_it() {
        assert_eq!(
            answer(&[(S, TRUE, None), (S, ANY, Some(7)), (S, OTHER, None), (E, TRUE, None)]),
            [process(0, Some(3), None), process(2, None, None)]
        );
        let delivered = Sender::Local(7);
        assert_eq!(
            answer(&[(S, ANY, Some(7)), (S, delivered, Some(7)), (E, delivered, None)]),
            [process(1, Some(2), None)]
        );
        // What was claimed first is another user's.
        assert_eq!(
            answer(&[(S, ANY, Some(9)), (S, TRUE, None), (E, TRUE, None)]),
            [process(0, None, None), process(1, Some(2), None)]
        );
    }

    #[test]
    fn what_was_delivered_twice_is_one_process() {
        for spooled in [Sender::Local(7), Sender::Local(0), ANY] {
            assert_eq!(
                answer(&[(S, TRUE, None), (S, spooled, Some(7))]),
                [process(0, None, None)],
                "{spooled:?}"
            );
            assert_eq!(
                answer(&[(S, spooled, Some(7)), (S, TRUE, None)]),
                [process(1, None, None)],
                "{spooled:?}"
            );
            // A spooled start, and the end that the kernel told.
            assert_eq!(
                answer(&[(S, spooled, Some(7)), (E, TRUE, None)]),
                [process(0, Some(1), None)],
                "{spooled:?}"
            );
        }
        assert_eq!(answer(&[(E, ANY, None), (E, ANY, None)]), [[None, Some("0".to_owned()), None]]);
    }
}
