//! The last stages: whatever reads the joined batches, each in a thread of its own, and what tends
//! the registry.

use super::{Shared, Stage};
use crate::{
    config::OutputConfig,
    follow::OpenStarts,
    metrics::OutputMetrics,
    outputs::{self, Output, RelayBuilds, Surroundings},
    retention,
};
use anyhow::Result;
use std::sync::Arc;

/// The outputs of the configuration, opened.
pub struct Consumers {
    outputs: Vec<(String, Box<dyn Output>, Arc<OutputMetrics>)>,
    relays_of_builds: Vec<RelayBuilds>,
}

impl Consumers {
    /// Opens each output.
    pub fn open(shared: &Shared) -> Result<Self> {
        let (mut opened, mut relays_of_builds) = (Vec::new(), Vec::new());
        for (name, output) in &shared.config.outputs {
            let counts = shared.metrics.output(name);
            let around = Surroundings {
                name,
                data_dir: &shared.config.data_dir,
                queue: &shared.queue,
                replay_until: shared.replay_until,
                condition: shared.store.condition(),
                metrics: counts.clone(),
            };
            opened.push((name.clone(), outputs::open(output, around)?, counts));
            if let OutputConfig::Ogrt(ogrt) = output
                && ogrt.builds
            {
                let (queue, registry) = (shared.queue.clone(), shared.registry.clone());
                relays_of_builds.push(RelayBuilds::new(name, ogrt, queue, registry, shared.metrics.clone())?);
            }
        }
        Ok(Consumers { outputs: opened, relays_of_builds })
    }

    /// Starts them, with jobs, uses and what is kept of followed processes; the stages whose end is
    /// to be waited for.
    pub fn start(self, shared: &Shared, open_starts: Option<OpenStarts>) -> Result<Vec<Stage>> {
        let (runtime, replay_until) = (&shared.runtime, shared.replay_until);
        let mut stages = Vec::new();
        for (name, output, counts) in self.outputs {
            let (queue, documents) = (shared.queue.clone(), shared.documents.clone());
            let give_up = shared.give_up.clone();
            stages.push(Stage::start_waiting(&format!("out {name}"), runtime, move || {
                outputs::drive(name, output, replay_until, queue, documents, counts, give_up)
            })?);
        }
        for builds in self.relays_of_builds {
            let give_up = shared.give_up.clone();
            stages.push(Stage::start_waiting("builds", runtime, move || builds.pass_on(give_up))?);
        }
        let (jobs, give_up) = (shared.jobs.clone(), shared.give_up.clone());
        stages.push(Stage::start_waiting("jobs", runtime, move || async move { jobs.keep(give_up).await })?);
        let (uses, give_up) = (shared.uses.clone(), shared.give_up.clone());
        stages.push(Stage::start_waiting("uses", runtime, move || async move { uses.count(give_up).await })?);
        if let Some(open_starts) = open_starts {
            let give_up = shared.give_up.clone();
            stages.push(Stage::start_waiting("followed", runtime, move || open_starts.keep(give_up))?);
        }
        // Ends by itself at the shutdown; nothing waits for it.
        let (registry, uses) = (shared.registry.clone(), shared.uses.clone());
        let (config, shutdown) = (shared.config.registry.clone(), shared.shutdown.clone());
        let metrics = shared.metrics.clone();
        Stage::start_waiting("retention", runtime, move || {
            retention::keep_bounded(registry, uses, config, metrics, shutdown)
        })?;
        if let Some(news) = shared.registry.news() {
            let (registry, uses) = (shared.registry.clone(), shared.uses.clone());
            let shutdown = shared.shutdown.clone();
            Stage::start_waiting("answers", runtime, move || {
                retention::answer_others(registry, uses, news, shutdown)
            })?;
            let (registry, uses) = (shared.registry.clone(), shared.uses.clone());
            let (look_every, shutdown) = (shared.config.registry.look_every.0, shared.shutdown.clone());
            Stage::start_waiting("notes", runtime, move || {
                retention::note_for_others(registry, uses, look_every, shutdown)
            })?;
        }
        Ok(stages)
    }
}
