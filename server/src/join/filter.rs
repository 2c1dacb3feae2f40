//! The filter: which events go on, by the rules of the configuration.
//!
//! An end event does not tell its program, so the ids of starts that were dropped are remembered for their ends: a
//! bounded number, in two generations. An end that comes later than that goes out without its start.

use super::{
    Joiner,
    decode_event::Event,
    document::{uid, user_name},
};
use crate::{
    config::{FilterAction, FilterRule},
    queue::{Entry, Kind},
};
use anyhow::{Context, Result};
use regex::bytes::Regex;
use std::{collections::HashSet, mem::take};

/// Ids of one generation.
const GENERATION: usize = 100_000;

/// The rules, ready for use.
pub struct Filter(Vec<Rule>);

struct Rule {
    action: FilterAction,
    path: Option<Regex>,
    user: Option<Regex>,
    host: Option<Regex>,
}

impl Filter {
    /// Compiles the expressions.
    pub fn new(rules: &[FilterRule]) -> Result<Self> {
        let rule = |(number, rule): (usize, &FilterRule)| {
            let compile = |key: &str, text: &str| {
                let given = Some(text).filter(|text| !text.is_empty());
                let regex = given.map(Regex::new).transpose();
                // The message shows the expression over several lines, the last of which says what is wrong.
                regex.map_err(|problem| {
                    let problem = problem.to_string();
                    let last =
                        problem.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    anyhow::anyhow!("filter {}: {key} = {text:?}: {last}", number + 1)
                })
            };
            Ok(Rule {
                action: rule.action,
                path: compile("path", &rule.path)?,
                user: compile("user", &rule.user)?,
                host: compile("host", &rule.host)?,
            })
        };
        rules.iter().enumerate().map(rule).collect::<Result<_>>().map(Filter).context("the filter")
    }

    /// Has it no rules?
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
        let is_match =
            |regex: &Option<Regex>, text: &[u8]| regex.as_ref().is_none_or(|regex| regex.is_match(text));
        let decides = self.0.iter().find(|rule| {
            is_match(&rule.path, event.binpath)
                && is_match(&rule.host, event.hostname)
                && (rule.user.is_none() || is_match(&rule.user, &user()))
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
    /// Does the filter, or what it did with the start, drop this event?
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
