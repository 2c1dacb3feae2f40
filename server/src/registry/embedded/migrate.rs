//! The registry's format has a number. What an older server left is brought up to the newest.
//!
//! | format | what changed |
//! |---|---|
//! | 1 | records under their signatures (it wrote no number) |
//! | 2 | builds are numbered, and found by whatever they hold |
//! | 3 | what they are found by is in sorted runs, which are made from the records |
//!
//! A migration that is interrupted begins again at the next start. What was moved before is known
//! then, and stays.

use super::Embedded;
use crate::{
    database::{FIRST_FORMAT, RegistryStore},
    registry::{Build, Registry, RegistryError, error::Result},
};
use bytes::Bytes;
use ogrt_proto::BuildRecord;
use prost::Message;
use tracing::info;

/// The format that this server writes.
pub const FORMAT: u64 = 3;

/// Builds in one write.
const AT_ONCE: usize = 500;

/// Checks that this server can use the database's format.
pub fn check(store: &RegistryStore) -> Result<()> {
    let format = store.format.get()?;
    if format > FORMAT {
        return Err(RegistryError::NewerFormat { format, known: FORMAT });
    }
    if (FIRST_FORMAT + 1..FORMAT).contains(&format) {
        info!(
            "the registry is migrated from format {format} to format {FORMAT}; ten million builds take some minutes"
        );
    }
    Ok(())
}

/// Brings the registry up to this server's format.
pub fn migrate(registry: &Embedded) -> Result<()> {
    let store = &registry.store;
    if store.format.get()? == FORMAT {
        return Ok(());
    }
    if let Some(first) = store.first_format()? {
        let mut builds: Vec<Build> = Vec::new();
        let mut moved = 0;
        for entry in first.records() {
            let record = Bytes::copy_from_slice(&entry.value()?);
            // The first format does not tell when a build was registered; the time of the link is
            // near.
            let registered_ns = BuildRecord::decode(record.clone()).map_or(0, |record| record.time_ns());
            builds.push(Build { record, registered_ns, made_again: Vec::new() });
            moved += 1;
            if builds.len() >= AT_ONCE {
                registry.import(&std::mem::take(&mut builds))?;
            }
        }
        registry.import(&builds)?;
        store.remove_first_format(first)?;
        info!("the registry was migrated from format {FIRST_FORMAT} to format {FORMAT}: {moved} builds");
    }
    // The index is complete by now: opening it made the missing part.
    store.remove_second_format()?;
    let mut writes = store.database.writes();
    writes.set(&store.format, FORMAT);
    writes.commit()?;
    store.database.sync()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database::Store,
        metrics::Metrics,
        registry::{Summaries, found_by},
    };
    use ogrt_note::Signature;
    use std::sync::Arc;

    fn open(store: &RegistryStore) -> Result<Embedded> {
        let (summaries, _) = Summaries::new(16, None);
        Embedded::open(store.clone(), Arc::new(summaries), Arc::new(Metrics::default()))
    }

    #[test]
    fn builds_of_the_first_format_are_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let database = fjall::Database::builder(directory.path().join("store")).open().unwrap();
        let old = |name| database.keyspace(name, Default::default).unwrap();
        for byte in 1..=250u8 {
            let record = BuildRecord {
                signature: Some(vec![byte; 16].into()),
                time_ns: Some(i64::from(byte)),
                ..BuildRecord::default()
            };
            old("records").insert([byte; 16], record.encode_to_vec()).unwrap();
            old("builds").insert([byte; 16], record.encode_to_vec()).unwrap();
            old("builds_by_time").insert([byte; 24], []).unwrap();
        }
        drop(database);
        for _ in 0..2 {
            let store = Store::open(directory.path()).unwrap().registry();
            let registry = open(&store).unwrap();
            assert_eq!(registry.len().unwrap(), 250);
            let build = registry.build(Signature::from_bytes([7; 16])).unwrap().unwrap();
            assert_eq!(BuildRecord::decode(build.record).unwrap().time_ns(), 7);
            assert!(store.first_format().unwrap().is_none());
        }
    }

    #[test]
    fn what_builds_of_the_second_format_are_found_by_is_made_from_their_records() {
        let directory = tempfile::tempdir().unwrap();
        let builds = 5000u64;
        {
            let store = Store::open(directory.path()).unwrap().registry();
            let registry = open(&store).unwrap();
            let record = |number: u64| BuildRecord {
                signature: Some([&number.to_be_bytes()[..], &[7; 8]].concat().into()),
                username: Some(format!("user{}", number % 10)),
                ..BuildRecord::default()
            };
            let records: Vec<Bytes> = (0..builds).map(|n| record(n).encode_to_vec().into()).collect();
            registry.register(&records).unwrap();
            // As the second format left it: other lists, and no runs.
            let mut writes = store.database.writes();
            for row in store.terms.iter() {
                writes.remove(&store.terms, row.key().unwrap());
            }
            writes.set(&store.format, 2);
            writes.commit().unwrap();
        }
        let database = fjall::Database::builder(directory.path().join("store")).open().unwrap();
        database.keyspace("found_by", Default::default).unwrap().insert([1; 25], [1]).unwrap();
        drop(database);
        let store = Store::open(directory.path()).unwrap().registry();
        let registry = open(&store).unwrap();
        let found = registry.found_by(&found_by::user("user3")).unwrap();
        assert!(found.into_iter().eq((3..builds).step_by(10)));
        assert_eq!(store.format.get().unwrap(), FORMAT);
        drop((registry, store));
        let database = fjall::Database::builder(directory.path().join("store")).open().unwrap();
        assert!(!database.keyspace_exists("found_by"));
    }

    #[test]
    fn a_database_of_a_newer_server_is_refused_with_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().registry();
        drop(open(&store).unwrap());
        let mut writes = store.database.writes();
        writes.set(&store.format, 99);
        writes.commit().unwrap();
        let error = open(&store).err().unwrap().to_string();
        assert!(error.contains("format 99") && !error.contains('\n'), "{error}");
    }
}
