//! Entrances for the fuzz targets of `fuzz/`: what reads hostile bytes in here, without what stands
//! around it. Compiled for them alone.

pub use crate::run::fuzzing::Questions;

use crate::{
    config::{Config, RegistryConfig},
    database::Store,
    fields::Fields,
    join::Joiner,
    launches::Launches,
    metrics::Metrics,
    queue::Entry,
    registry::{self, Summaries},
    run::fuzzing::check_json,
    uses::{Program, UseEvent},
};
use bytes::Bytes;
use std::{path::Path, sync::Arc};

/// The readers of events as they are stored, with an empty registry.
pub struct StoredEntries {
    joiner: Joiner,
    _store: Store,
}

impl StoredEntries {
    /// Opens a store in this directory.
    pub fn new(directory: &Path) -> Self {
        let store = Store::open(directory).expect("a store");
        let (summaries, _) = Summaries::new(16, None);
        let (summaries, metrics) = (Arc::new(summaries), Arc::new(Metrics::default()));
        let registry = registry::open(&RegistryConfig::default(), &store, summaries.clone(), metrics)
            .expect("an embedded registry");
        StoredEntries { joiner: Joiner::new(registry, summaries), _store: store }
    }

    /// Reads a batch as join, jobs and uses do. An entry that is read is written as it was; its
    /// document is JSON; a program is read as it was written.
    pub fn read(&self, batch: &[u8]) {
        let mut rest = Bytes::copy_from_slice(batch);
        let (mut uses, mut launches) = (UseEvent::default(), Launches::default());
        let entries: Vec<Entry> = std::iter::from_fn(|| Entry::read(&mut rest)).collect();
        for entry in &entries {
            let mut written = Vec::new();
            entry.write(&mut written);
            let borrowed = Entry::borrowed(&mut &written[..]).expect("what we wrote");
            assert!(Entry::read(&mut Bytes::from(written.clone())).as_ref() == Some(entry));
            for field in Fields::of(&entry.message) {
                if field.is_err() {
                    break;
                }
            }
            if uses.read(&borrowed) {
                let (program, _) = uses.program();
                assert!(Program::read(&program.bytes()) == Some(program));
            }
            uses = UseEvent::default();
            let mut document = Vec::new();
            if self.joiner.document(entry, &mut document).is_some() {
                check_json(&document);
                launches.take(&document);
            }
        }
        serde_json::to_vec(&launches.into_list()).expect("launches are JSON");
    }
}

/// Reads a program as it is stored.
pub fn stored_program(bytes: &[u8]) {
    let _ = Program::read(bytes);
}

/// Reads a configuration. Where it is refused, the reason is one line.
pub fn configuration(text: &str) {
    match Config::parse(text) {
        Ok(config) => assert!(config.changed(&config).is_empty()),
        Err(reason) => assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}"),
    }
}
