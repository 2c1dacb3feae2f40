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

/// How many builds are read at once while the index is made.
const AT_ONCE: i64 = 2000;

/// Are the tables those of this server? Mostly they are, and then no lock is needed.
pub async fn is_up_to_date(client: &Client) -> Result<bool> {
    let is_known = version(client).await? == Some(STEPS.len() as i64);
    Ok(is_known && additions(client).await? >= ADDITIONS.len() as i64)
}

/// How many additions are made; a newer server makes more.
async fn additions(client: &impl GenericClient) -> Result<i64> {
    let is_made = client.query_one("SELECT to_regclass('ogrt_additions') IS NOT NULL", &[]).await?;
    if !is_made.get::<_, bool>(0) {
        return Ok(0);
    }
    Ok(client.query_opt("SELECT count FROM ogrt_additions", &[]).await?.map_or(0, |row| row.get(0)))
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
pub async fn bring_up_to_date(client: &mut Client) -> Result<()> {
    let known = STEPS.len() as i64;
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await?;
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
    let (from, known) = (additions(&transaction).await?, ADDITIONS.len() as i64);
    for step in ADDITIONS.iter().skip(usize::try_from(from).or_damaged(|| "the number of additions")?) {
        transaction.batch_execute(step).await?;
    }
    if from < known {
        transaction
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS ogrt_additions (count bigint NOT NULL); DELETE FROM ogrt_additions",
            )
            .await?;
        transaction.execute("INSERT INTO ogrt_additions VALUES ($1)", &[&known]).await?;
    }
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
