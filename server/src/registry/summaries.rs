//! Summaries in memory, as the JSON that documents carry, in front of the registry.
//!
//! Two generations of a bounded number: a hit in the older one moves to the younger, and when the younger is
//! full the older is forgotten. That keeps what is used, for one lookup and no bookkeeping. That a signature is
//! *not* registered is remembered as well; a registration overwrites it.

use super::Registry;
use anyhow::Result;
use ogrt_note::Signature;
use ogrt_proto::BuildSummary;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
};

/// A build's summary as JSON.
pub type Summary = Arc<RawValue>;

/// See the module.
pub struct Summaries {
    generations: Mutex<Generations>,
    generation_max: usize,
    registered: Sender<Signature>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Signature, Option<Summary>>,
    old: HashMap<Signature, Option<Summary>>,
}

impl Summaries {
    /// Keeps about `summaries_max`; the receiver hears of each registration.
    pub fn new(summaries_max: usize) -> (Self, Receiver<Signature>) {
        let (registered, hears) = channel();
        let generation_max = (summaries_max / 2).max(1);
        (Summaries { generations: Mutex::default(), generation_max, registered }, hears)
    }

    /// The summary of a signature; `None` when nobody registered it.
    pub fn get(&self, registry: &dyn Registry, signature: Signature) -> Result<Option<Summary>> {
        if let Some(known) = self.lock().get(&signature, self.generation_max) {
            return Ok(known);
        }
        let summary = registry.summary(signature)?.as_ref().and_then(json);
        // Registered in between: what that left here is newer than what we read.
        let mut generations = self.lock();
        if let Some(newer) = generations.get(&signature, self.generation_max) {
            return Ok(newer);
        }
        generations.insert(signature, summary.clone(), self.generation_max);
        Ok(summary)
    }

    /// A build was registered, and is in the registry by now.
    pub fn registered(&self, signature: Signature, summary: &BuildSummary) {
        self.lock().insert(signature, json(summary), self.generation_max);
        // Nobody listens while the server stops.
        let _ = self.registered.send(signature);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, signature: &Signature, max: usize) -> Option<Option<Summary>> {
        if let Some(summary) = self.young.get(signature) {
            return Some(summary.clone());
        }
        let summary = self.old.remove(signature)?;
        self.insert(*signature, summary.clone(), max);
        Some(summary)
    }

    fn insert(&mut self, signature: Signature, summary: Option<Summary>, max: usize) {
        if self.young.len() >= max {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&signature);
        self.young.insert(signature, summary);
    }
}

fn json(summary: &BuildSummary) -> Option<Summary> {
    serde_json::value::to_raw_value(summary).ok().map(Arc::from)
}
