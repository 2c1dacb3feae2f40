//! The tables, and how an older database comes to have them: one step for each version.

use anyhow::{Result, bail};
use tokio_postgres::Client;

/// The steps, in order; a step that was released is never changed.
const STEPS: &[&str] = &["
    CREATE TABLE builds (
        number bigint PRIMARY KEY,
        signature uuid NOT NULL UNIQUE,
        registered_ns bigint NOT NULL,
        time_ns bigint NOT NULL,
        output_digest bytea,
        terms uuid[] NOT NULL,
        brief bytea NOT NULL,
        record bytea NOT NULL
    );
    CREATE SEQUENCE build_numbers OWNED BY builds.number;
    CREATE INDEX builds_by_time ON builds (time_ns, number);
    CREATE INDEX builds_by_output ON builds (output_digest) WHERE output_digest IS NOT NULL;
    CREATE INDEX builds_by_term ON builds USING gin (terms);
    CREATE TABLE linked (
        dependency bigint NOT NULL,
        dependent bigint NOT NULL REFERENCES builds ON DELETE CASCADE,
        PRIMARY KEY (dependency, dependent)
    );
    CREATE INDEX linked_by_dependent ON linked (dependent);
    CREATE TABLE made_again (
        number bigint NOT NULL REFERENCES builds ON DELETE CASCADE,
        time_ns bigint NOT NULL,
        made bytea NOT NULL,
        PRIMARY KEY (number, time_ns, made)
    );
"];

/// Held while the tables are changed, and while builds are registered: one server at a time.
pub const LOCK: &str = "SELECT pg_advisory_xact_lock(7232909)";

/// Makes the tables, or what is missing of them.
pub async fn bring_up_to_date(client: &mut Client) -> Result<()> {
    // Mostly there is nothing to do, and nobody to wait for.
    let known = STEPS.len() as i64;
    let is_made = client.query_one("SELECT to_regclass('ogrt_format') IS NOT NULL", &[]).await?;
    if is_made.get(0) {
        let version = client.query_opt("SELECT version FROM ogrt_format", &[]).await?;
        if version.is_some_and(|row| row.get::<_, i64>(0) == known) {
            return Ok(());
        }
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS ogrt_format (version bigint NOT NULL)").await?;
    let version = transaction.query_opt("SELECT version FROM ogrt_format", &[]).await?;
    let version = version.map(|row| row.get::<_, i64>(0));
    let from = match version {
        Some(version) if version > known => bail!(
            "the registry's database is of format {version}, made by a newer ogrt-server; this one knows up to {known}"
        ),
        Some(version) => version,
        None => {
            transaction.execute("INSERT INTO ogrt_format VALUES (0)", &[]).await?;
            0
        }
    };
    for step in STEPS.iter().skip(usize::try_from(from)?) {
        transaction.batch_execute(step).await?;
    }
    if from < known {
        transaction.execute("UPDATE ogrt_format SET version = $1", &[&known]).await?;
    }
    Ok(transaction.commit().await?)
}
