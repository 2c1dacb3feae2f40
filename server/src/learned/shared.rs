//! Learned files of all servers of a site, in the registry's PostgreSQL.
//!
//! A row has a number, which grows with each change of any row. A server takes over the rows behind
//! the last number that it has seen, and keeps that number with them. Writers take turns, so that
//! no row with a lower number comes later.

use super::{
    file::{FileNames, LearnedFile, entry_key, read_key},
    table::FileTable,
};
use crate::{
    config::RegistryConfig,
    registry::{DatabaseConnections, RegistryError, Tables},
};
use ogrt_sketch::Sketch;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// How long a question may take, and how long a write.
const LOOKUP: Duration = Duration::from_secs(2);
const WRITE: Duration = Duration::from_secs(60);

/// Rows that are taken over in one step.
const AT_ONCE: i64 = 2000;

/// See the module.
pub struct SharedFiles {
    connections: DatabaseConnections,
}

impl SharedFiles {
    /// Connects when it is first needed.
    pub fn new(config: &RegistryConfig) -> anyhow::Result<Self> {
        Ok(SharedFiles { connections: DatabaseConnections::new(&config.database(), Tables::Registry, 1)? })
    }

    /// Writes entries, durable when this returns.
    pub fn write(&self, files: Vec<LearnedFile>) -> Result<(), RegistryError> {
        if files.is_empty() {
            return Ok(());
        }
        let (mut digests, mut entries, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut sketches = Vec::new();
        // A statement changes a row once.
        let mut keys = std::collections::BTreeSet::new();
        for file in files.into_iter().rev() {
            let key = file.key();
            if keys.insert(key.clone()) {
                // An index entry has less room than a path may take.
                digests.push(Sha256::digest(&key).to_vec());
                entries.push(key);
                names.push(serde_json::to_string(&file.names).unwrap_or_default());
                sketches.push(file.sketch.map(|sketch| sketch.encode()));
            }
        }
        let rows = Arc::new((digests, entries, names, sketches));
        self.connections.ask(WRITE, move |session| {
            let rows = rows.clone();
            Box::pin(async move {
                let transaction = session.transaction().await?;
                transaction.batch_execute("SELECT pg_advisory_xact_lock(7232910)").await?;
                let upsert = "INSERT INTO learned (digest, number, entry, names, sketch)
                    SELECT digest, nextval('learned_numbers'), entry, names, sketch
                        FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bytea[])
                            AS rows (digest, entry, names, sketch)
                    ON CONFLICT (digest) DO UPDATE SET number = EXCLUDED.number, names = EXCLUDED.names,
                        sketch = COALESCE(EXCLUDED.sketch, learned.sketch)";
                transaction.execute(upsert, &[&rows.0, &rows.1, &rows.2, &rows.3]).await?;
                Ok(transaction.commit().await?)
            })
        })
    }

    /// Takes over what was written since the last time.
    pub fn follow(&self, table: &FileTable) -> Result<(), RegistryError> {
        loop {
            let seen = i64::try_from(table.store.followed_until.get()?).unwrap_or(i64::MAX);
            let (last, rows) = self.connections.ask(LOOKUP, move |session| {
                Box::pin(async move {
                    let last = "SELECT COALESCE(max(number), 0) FROM learned";
                    let last: i64 = session.ask_again(last, &[]).await?.first().map_or(0, |row| row.get(0));
                    // Another database has begun anew.
                    let seen = if last < seen { 0 } else { seen };
                    let select = "SELECT number, entry, names, sketch FROM learned WHERE number > $1
                        ORDER BY number LIMIT $2";
                    let rows = match last > seen {
                        true => session.ask_again(select, &[&seen, &AT_ONCE]).await?,
                        false => Vec::new(),
                    };
                    let row = |row: &tokio_postgres::Row| {
                        let sketch: Option<Vec<u8>> = row.get(3);
                        (row.get::<_, i64>(0), row.get::<_, Vec<u8>>(1), row.get::<_, String>(2), sketch)
                    };
                    Ok((last, rows.iter().map(row).collect::<Vec<_>>()))
                })
            })?;
            let Some((until, ..)) = rows.last() else { return Ok(()) };
            let (until, is_all) = (*until, *until >= last);
            let files: Result<Vec<LearnedFile>, RegistryError> =
                rows.into_iter().map(|(_, entry, names, sketch)| read(&entry, &names, sketch)).collect();
            table.put(&files?, Some(u64::try_from(until).unwrap_or(0)))?;
            if is_all {
                return Ok(());
            }
        }
    }
}

fn read(entry: &[u8], names: &str, sketch: Option<Vec<u8>>) -> Result<LearnedFile, RegistryError> {
    let damaged = |why: String| RegistryError::damaged("the table of learned files", why);
    let (build_id, path) = read_key(entry).ok_or_else(|| damaged("a key is cut".into()))?;
    let names: FileNames = serde_json::from_str(names).map_err(|why| damaged(why.to_string()))?;
    debug_assert_eq!(entry_key(build_id, path), entry);
    // One of another version says nothing.
    let sketch = sketch.and_then(|bytes| Sketch::decode(&bytes));
    Ok(LearnedFile { build_id: build_id.to_vec(), path: path.to_vec(), names, sketch })
}
