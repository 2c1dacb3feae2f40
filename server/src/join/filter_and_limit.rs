//! What is left out when a batch is joined for the first time: by the filter, and by the limit of
//! each job.
//!
//! Each event is looked at once. What was left out is marked on its batch, durably, so a batch that
//! is joined again shows the same; and how far this has come is written with it, because after a
//! crash batches are walked again that an output may have had already, and none of their events may
//! be counted then.

use super::{
    Joiner,
    decode_event::Event,
    filter::{DroppedStarts, Filter},
    held_events::Release,
    limit::Limiter,
};
use crate::{
    config::{Config, LimitConfig},
    metrics::Metrics,
    queue::{Entry, HeldKey},
};
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;

/// The part of the configuration that says so; it may change while the server runs.
pub struct Rules {
    filter: Filter,
    limit: LimitConfig,
}

impl Rules {
    /// The rules of a configuration.
    pub fn new(config: &Config) -> Self {
        Rules { filter: Filter::new(&config.filter), limit: config.limit.clone() }
    }

    fn is_empty(&self) -> bool {
        self.filter.is_empty() && self.limit.events_per_second == 0
    }
}

/// The state of the filter and of the limit.
pub struct FilterAndLimit {
    rules: watch::Receiver<Arc<Rules>>,
    dropped: DroppedStarts,
    limiter: Limiter,
    filtered_until: u64,
    metrics: Arc<Metrics>,
}

impl FilterAndLimit {
    /// Goes on with batch `filtered_until`.
    pub fn new(rules: watch::Receiver<Arc<Rules>>, filtered_until: u64, metrics: Arc<Metrics>) -> Self {
        FilterAndLimit {
            rules,
            dropped: DroppedStarts::default(),
            limiter: Limiter::default(),
            filtered_until,
            metrics,
        }
    }

    /// The rules for this batch; `None` where there are none, or it was filtered before.
    pub fn rules_for(&self, sequence: u64) -> Option<Arc<Rules>> {
        let rules = self.rules.borrow().clone();
        (sequence >= self.filtered_until && !rules.is_empty()).then_some(rules)
    }

    /// Tells whether the event is left out.
    pub fn takes(
        &mut self,
        rules: &Rules,
        joiner: &Joiner,
        entry: &Entry,
        event: &Event<'_>,
        key: HeldKey,
    ) -> bool {
        // What waited, or was put together, was looked at, or will be as a whole.
        if entry.is_final || (event.part_count > 1 && !entry.is_whole) {
            return false;
        }
        if !rules.filter.is_empty() && self.dropped.takes(&rules.filter, joiner, entry, event) {
            self.metrics.events_filtered.add(1);
            return true;
        }
        let is_over = self.limiter.takes(&rules.limit, entry, event, key);
        if let Some(sender) = self.limiter.take_unlimited() {
            self.metrics.over("limit.jobs_max", &sender, 1, "its further jobs are not limited");
        }
        if is_over {
            self.metrics.events_summarised.add(1);
        }
        is_over
    }

    /// The batch was filtered; the summaries that have changed, to be written with what is left out
    /// of it.
    pub fn done(&mut self, sequence: u64) -> Vec<(HeldKey, Entry)> {
        self.filtered_until = sequence + 1;
        self.limiter.changed()
    }

    /// Takes up a summary that was held.
    pub fn resume(&mut self, key: HeldKey, entry: &Entry) -> Option<Release> {
        let rules = self.rules.borrow().clone();
        self.limiter.resume(&rules.limit, key, entry)
    }

    /// The summaries that are due.
    pub fn due(&mut self) -> Vec<Release> {
        self.limiter.due()
    }

    /// The time when the next summary is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.limiter.next_due()
    }
}
