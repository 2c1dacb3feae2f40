//! Brings a database that an older server made up to the tables of this one.

use super::{
    index, links,
    schema::{ADDITIONS, LOCK, STEPS},
};
use crate::registry::{
    RegistryError,
    error::{OrDamaged, Result},
};
use ogrt_proto::BuildRecord;
use prost::Message;
use tokio_postgres::{Client, GenericClient, Transaction};
use tracing::info;

/// The first version with runs, whose index is made from the records.
const WITH_RUNS: i64 = 2;

/// The table that counts the registry's additions.
const ADDITION_COUNTER: &str = "ogrt_additions";

/// How many builds are read at once while the index is made.
const AT_ONCE: i64 = 2000;

/// Tables beside those of the registry: steps that are only additions, so that servers of several
/// versions may use them.
#[derive(Debug)]
pub struct TableList {
    /// The table that counts the steps that are made.
    pub counter: &'static str,
    /// The steps, in order; one that was released is never changed.
    pub steps: &'static [&'static str],
    /// The part of the server that has them, for messages.
    pub owner: &'static str,
    /// The consequence of the database being away, for messages.
    pub what_waits: &'static str,
    /// Channels of notifications.
    pub channels: &'static [&'static str],
}

/// The tables that a connection needs.
#[derive(Clone, Copy, Debug)]
pub enum Tables {
    /// Those of the registry.
    Registry,
    /// Others.
    Others(&'static TableList),
}

impl Tables {
    /// The part of the server that has them.
    pub fn owner(self) -> &'static str {
        match self {
            Tables::Registry => "registry",
            Tables::Others(list) => list.owner,
        }
    }

    /// The consequence of the database being away.
    pub fn what_waits(self) -> &'static str {
        match self {
            Tables::Registry => "Registrations wait on this server's disk, and the database is asked again",
            Tables::Others(list) => list.what_waits,
        }
    }

    /// The name of threads.
    pub fn thread_name(self) -> &'static str {
        match self {
            Tables::Registry => "postgres",
            Tables::Others(list) => list.owner,
        }
    }

    /// Channels of notifications.
    pub fn channels(self) -> &'static [&'static str] {
        match self {
            Tables::Registry => &["ogrt_builds", "ogrt_news"],
            Tables::Others(list) => list.channels,
        }
    }
}

/// Are the tables those of this server? Mostly they are, and then no lock is needed.
pub async fn is_up_to_date(client: &Client, tables: Tables) -> Result<bool> {
    if let Tables::Others(list) = tables {
        return Ok(made(client, list.counter).await? >= list.steps.len() as i64);
    }
    let is_known = version(client).await? == Some(STEPS.len() as i64);
    Ok(is_known && made(client, ADDITION_COUNTER).await? >= ADDITIONS.len() as i64)
}

/// How many additions are made, by the table that counts them; a newer server makes more.
async fn made(client: &impl GenericClient, counter: &str) -> Result<i64> {
    let is_made = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&counter]).await?;
    if !is_made.get::<_, bool>(0) {
        return Ok(0);
    }
    let select = format!("SELECT count FROM {counter}");
    Ok(client.query_opt(&select, &[]).await?.map_or(0, |row| row.get(0)))
}

/// Makes the additions that are missing.
async fn make_additions(transaction: &Transaction<'_>, counter: &str, steps: &[&str]) -> Result<()> {
    let (from, known) = (made(transaction, counter).await?, steps.len() as i64);
    for step in steps.iter().skip(usize::try_from(from).or_damaged(|| "the number of additions")?) {
        transaction.batch_execute(step).await?;
    }
    if from < known {
        transaction
            .batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS {counter} (count bigint NOT NULL); DELETE FROM {counter}"
            ))
            .await?;
        transaction.execute(&format!("INSERT INTO {counter} VALUES ($1)"), &[&known]).await?;
    }
    Ok(())
}

async fn version(client: &impl GenericClient) -> Result<Option<i64>> {
    let is_made = client.query_one("SELECT to_regclass('ogrt_format') IS NOT NULL", &[]).await?;
    if !is_made.get::<_, bool>(0) {
        return Ok(None);
    }
    let version = client.query_opt("SELECT version FROM ogrt_format", &[]).await?;
    Ok(version.map(|row| row.get(0)))
}

/// Makes the tables, or what is missing of them, however long it takes.
pub async fn bring_up_to_date(client: &mut Client, tables: Tables) -> Result<()> {
    let known = STEPS.len() as i64;
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await?;
    if let Tables::Others(list) = tables {
        make_additions(&transaction, list.counter, list.steps).await?;
        return Ok(transaction.commit().await?);
    }
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS ogrt_format (version bigint NOT NULL)").await?;
    let from = match version(&transaction).await? {
        Some(version) if version > known => {
            return Err(RegistryError::NewerFormat { format: version as u64, known: known as u64 });
        }
        Some(version) => version,
        None => {
            transaction.execute("INSERT INTO ogrt_format VALUES (0)", &[]).await?;
            0
        }
    };
    for step in STEPS.iter().skip(usize::try_from(from).or_damaged(|| "the number of the format")?) {
        transaction.batch_execute(step).await?;
    }
    if (1..WITH_RUNS).contains(&from) {
        let builds = make_index(&transaction).await?;
        info!("the registry's database was migrated from format {from} to format {known}: {builds} builds");
    }
    if from < known {
        transaction.execute("UPDATE ogrt_format SET version = $1", &[&known]).await?;
    }
    make_additions(&transaction, ADDITION_COUNTER, ADDITIONS).await?;
    Ok(transaction.commit().await?)
}

/// Makes the index of all builds, and returns how many there are.
async fn make_index(transaction: &Transaction<'_>) -> Result<usize> {
    let (mut after, mut count) = (-1i64, 0);
    loop {
        let select = "SELECT number, record FROM builds WHERE number > $1 ORDER BY number LIMIT $2";
        let mut records = Vec::new();
        for row in transaction.query(select, &[&after, &AT_ONCE]).await? {
            let record = BuildRecord::decode(row.get::<_, &[u8]>(1)).or_damaged(|| "a build record")?;
            records.push((row.get::<_, i64>(0), record));
        }
        let Some((last, _)) = records.last() else { return Ok(count) };
        after = *last;
        count += records.len();
        let builds: Vec<(i64, &BuildRecord)> = records.iter().map(|(n, record)| (*n, record)).collect();
        index::add(transaction, &builds).await?;
        links::note(transaction, &links::behind(transaction, &builds).await?.unresolved).await?;
    }
}
