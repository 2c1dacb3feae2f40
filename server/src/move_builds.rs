//! `ogrt-server export` and `import`: the registry as JSON lines, without the daemon.

use crate::{
    config::Config,
    database::Store,
    metrics::Metrics,
    registry::{self, Registry, Summaries, transfer},
};
use anyhow::Result;
use std::{
    io::{BufRead, BufWriter, Write},
    sync::Arc,
};

/// Writes all builds as JSON lines.
pub fn export(config: &Config, to: impl Write) -> Result<()> {
    let mut to = BufWriter::new(to);
    transfer::export(&*open(config)?, &mut to)?;
    Ok(to.flush()?)
}

/// Registers the builds of an export. Returns the counts as JSON.
pub fn import(config: &Config, from: impl BufRead) -> Result<String> {
    Ok(serde_json::to_string(&transfer::import(&*open(config)?, from, None)?)?)
}

fn open(config: &Config) -> Result<Arc<dyn Registry>> {
    let store = Store::open(&config.data_dir)?;
    let (summaries, _) = Summaries::new(1, None);
    registry::open(&config.registry, &store, Arc::new(summaries), Arc::new(Metrics::default()))
}
