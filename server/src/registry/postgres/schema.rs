//! The tables, and how an older database comes to have them: one step for each version.

use super::index;
use anyhow::{Result, bail};
use tokio_postgres::{Client, GenericClient};
use tracing::info;

/// The steps, in order; a step that was released is never changed.
const STEPS: &[&str] = &[
    "
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
    ",
    // An index over sixty terms of every build becomes sorted runs (index.rs), a row for every link one for each group
    // of them (links.rs). Records stay in their rows, compressed.
    "
    DROP INDEX builds_by_term;
    ALTER TABLE builds DROP COLUMN terms;
    ALTER TABLE builds ALTER COLUMN record SET STORAGE MAIN;
    DO $$ BEGIN
        EXECUTE 'ALTER TABLE builds ALTER COLUMN record SET COMPRESSION lz4';
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE 'this PostgreSQL has no LZ4';
    END $$;
    CREATE TABLE runs (
        first bigint PRIMARY KEY,
        last bigint NOT NULL,
        level integer NOT NULL,
        builds bigint NOT NULL
    );
    CREATE TABLE blocks (
        run bigint NOT NULL,
        first_row bytea NOT NULL,
        block bytea NOT NULL,
        PRIMARY KEY (run, first_row)
    );
    ALTER TABLE blocks ALTER COLUMN first_row SET STORAGE PLAIN, ALTER COLUMN block SET STORAGE PLAIN;
    CREATE TABLE dependents (
        dependency bigint NOT NULL,
        first bigint NOT NULL,
        numbers bigint[] NOT NULL,
        PRIMARY KEY (dependency, first)
    );
    INSERT INTO dependents
        SELECT dependency, min(dependent), array_agg(dependent ORDER BY dependent) FROM linked GROUP BY dependency;
    DROP TABLE linked;
    CREATE TABLE unresolved (term bytea PRIMARY KEY);
    ",
    // What a walk through hundreds of thousands of builds reads, in narrow tables: signatures by number (names.rs), and
    // which builds have dependents at all.
    "
    CREATE TABLE signatures (
        slice bigint NOT NULL,
        first bigint NOT NULL,
        signatures bytea NOT NULL,
        PRIMARY KEY (slice, first)
    );
    ALTER TABLE signatures ALTER COLUMN signatures SET STORAGE PLAIN;
    INSERT INTO signatures
        SELECT number / 400, min(number), string_agg(uuid_send(signature), ''::bytea ORDER BY number)
        FROM (SELECT number, signature, number - row_number() OVER (ORDER BY number) AS run FROM builds) AS b
        GROUP BY number / 400, run;
    CREATE TABLE libraries (number bigint PRIMARY KEY);
    INSERT INTO libraries SELECT DISTINCT dependency FROM dependents;
    ",
    // The database sends an array's numbers one by one, and bytes as they lie.
    "
    CREATE TABLE packed (
        dependency bigint NOT NULL,
        first bigint NOT NULL,
        offsets bytea NOT NULL,
        PRIMARY KEY (dependency, first)
    );
    INSERT INTO packed
        SELECT dependency, first,
            (SELECT string_agg(int4send((n - first)::int), ''::bytea ORDER BY n) FROM unnest(numbers) AS n)
        FROM dependents WHERE numbers <> '{}';
    DROP TABLE dependents;
    ALTER TABLE packed RENAME TO dependents;
    ALTER INDEX packed_pkey RENAME TO dependents_pkey;
    ",
    // At its own pace a vacuum reads as fast as the disk gives, and lookups wait for it. This is the pace that PostgreSQL
    // had before version 12.
    "
    ALTER TABLE builds SET (autovacuum_vacuum_cost_delay = 20, toast.autovacuum_vacuum_cost_delay = 20);
    ALTER TABLE blocks SET (autovacuum_vacuum_cost_delay = 20);
    ALTER TABLE dependents SET (autovacuum_vacuum_cost_delay = 20);
    ALTER TABLE signatures SET (autovacuum_vacuum_cost_delay = 20);
    ",
];

/// The version whose index is made from the records.
const WITH_RUNS: i64 = 2;

/// Held while the tables are changed, and while builds are registered: one server at a time.
pub const LOCK: &str = "SELECT pg_advisory_xact_lock(7232909)";

/// Are the tables as this server knows them? Mostly they are, and there is nobody to wait for.
pub async fn is_up_to_date(client: &Client) -> Result<bool> {
    Ok(version(client).await? == Some(STEPS.len() as i64))
}

async fn version(client: &impl GenericClient) -> Result<Option<i64>> {
    let is_made = client.query_one("SELECT to_regclass('ogrt_format') IS NOT NULL", &[]).await?;
    if !is_made.get::<_, bool>(0) {
        return Ok(None);
    }
    let version = client.query_opt("SELECT version FROM ogrt_format", &[]).await?;
    Ok(version.map(|row| row.get(0)))
}

/// Makes the tables, or what is missing of them. It takes the time that it takes.
pub async fn bring_up_to_date(client: &mut Client) -> Result<()> {
    let known = STEPS.len() as i64;
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS ogrt_format (version bigint NOT NULL)").await?;
    let from = match version(&transaction).await? {
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
    if (1..WITH_RUNS).contains(&from) {
        let builds = index::make(&transaction).await?;
        info!("{builds} builds in the registry's database were brought from format {from} to format {known}");
    }
    if from < known {
        transaction.execute("UPDATE ogrt_format SET version = $1", &[&known]).await?;
    }
    Ok(transaction.commit().await?)
}
