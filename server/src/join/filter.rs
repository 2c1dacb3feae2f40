//! The filter: which events go on, by the rules of the configuration.
//!
//! An end event does not tell its program, so the ids of starts that were dropped are remembered
//! for their ends: a bounded number, in two generations. An end that comes later than that goes out
//! without its start.

use super::{
    Joiner,
    decode_event::Event,
    document::{uid, user_name},
};
use crate::{
    config::{FilterAction, FilterRule},
    queue::{Entry, Kind, Sender},
};
use std::{collections::HashSet, mem::take};

/// Ids of one generation.
const GENERATION: usize = 100_000;

/// The rules.
pub struct Filter(Vec<FilterRule>);

impl Filter {
    /// A filter by these rules.
    pub fn new(rules: &[FilterRule]) -> Self {
        Filter(rules.to_vec())
    }

    /// Tells that there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn drops(&self, joiner: &Joiner, entry: &Entry, event: &Event<'_>) -> bool {
        let user = || match user_name(joiner, entry, event) {
            Some(name) => name.as_bytes().to_vec(),
            // A process that is proved is not known by the name that it claims.
            None if event.username.is_empty() || (entry.credentials.is_some() && entry.via.is_none()) => {
                uid(entry, event).map(|uid| uid.to_string().into_bytes()).unwrap_or_default()
            }
            None => event.username.to_vec(),
        };
        let decides = self.0.iter().find(|rule| {
            rule.path.fits(event.binpath)
                && rule.host.fits(event.hostname)
                && (rule.user.fits_all() || rule.user.fits(&user()))
        });
        decides.is_some_and(|rule| rule.action == FilterAction::Drop)
    }
}

/// The senders whose start the end of a sender may belong to, as far as both are one user.
fn own_starts(end: Sender) -> Vec<Sender> {
    match end {
        Sender::Anybody => vec![end],
        Sender::Local(uid) | Sender::Process(uid) => vec![Sender::Process(uid), Sender::Local(uid)],
    }
}

/// Starts that were dropped.
#[derive(Default)]
pub struct DroppedStarts {
    young: HashSet<SentStart>,
    old: HashSet<SentStart>,
}

/// The id of a start, and its sender: whoever else tells an end under the id is not its process.
type SentStart = ([u8; 16], Sender);

impl DroppedStarts {
    /// Tells whether the filter drops this event, or has dropped its start.
    pub fn takes(&mut self, filter: &Filter, joiner: &Joiner, entry: &Entry, event: &Event<'_>) -> bool {
        let id = event.event_id.unwrap_or_default();
        match entry.kind {
            Kind::Summary => false,
            Kind::End => own_starts(entry.sender())
                .into_iter()
                .any(|sender| self.young.remove(&(id, sender)) || self.old.remove(&(id, sender))),
            Kind::Start if filter.drops(joiner, entry, event) => {
                if self.young.len() >= GENERATION {
                    self.old = take(&mut self.young);
                }
                if event.event_id.is_some() {
                    self.young.insert((id, entry.sender()));
                }
                true
            }
            Kind::Start => false,
        }
    }
}
