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
    queue::{Entry, Kind},
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
            None if event.username.is_empty() => {
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

/// Starts that were dropped.
#[derive(Default)]
pub struct DroppedStarts {
    young: HashSet<[u8; 16]>,
    old: HashSet<[u8; 16]>,
}

impl DroppedStarts {
    /// Tells whether the filter drops this event, or has dropped its start.
    pub fn takes(&mut self, filter: &Filter, joiner: &Joiner, entry: &Entry, event: &Event<'_>) -> bool {
        let id = event.event_id.unwrap_or_default();
        match entry.kind {
            Kind::Summary => false,
            Kind::End => self.young.remove(&id) || self.old.remove(&id),
            Kind::Start if filter.drops(joiner, entry, event) => {
                if self.young.len() >= GENERATION {
                    self.old = take(&mut self.young);
                }
                if event.event_id.is_some() {
                    self.young.insert(id);
                }
                true
            }
            Kind::Start => false,
        }
    }
}
