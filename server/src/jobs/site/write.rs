//! Rows of one write, in one transaction with the place in the log.

use super::{
    Site,
    chunk::{ROW_BYTES, day_of, table_of},
};
use crate::{
    clock::now_ns,
    fair_shares::ShareHolder,
    jobs::gather::Groups,
    ledger::{LedgerError, Outcome, Place, Progress},
    registry::RegistryError,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio_postgres::Transaction;

/// How long it may take to make the table of a day.
const MAKE_DAY: Duration = Duration::from_secs(10);

/// The lock that one server holds while it makes or deletes the table of a day.
pub const DAY_LOCK: &str = "SELECT pg_advisory_xact_lock(7232910)";

/// Rows by column, as the statement takes them.
#[derive(Default)]
struct Rows {
    jobs: Vec<Vec<u8>>,
    clusters: Vec<Vec<u8>>,
    received_ns: Vec<i64>,
    numbers: Vec<i32>,
    events: Vec<i32>,
    holders: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
    /// Bytes of each sender.
    bytes: BTreeMap<ShareHolder, i64>,
}

impl Rows {
    fn pack(groups: &Groups<'_>) -> Self {
        let mut rows = Rows::default();
        for ((job, cluster, sender), group) in &groups.by_job {
            let Some(holder) = groups.senders.get(*sender) else { continue };
            let body = lz4_flex::compress_prepend_size(&group.entries);
            let bytes = body.len() + job.len() + cluster.len() + holder.as_bytes().len() + ROW_BYTES;
            *rows.bytes.entry(holder.clone()).or_default() += bytes as i64;
            rows.jobs.push(job.to_vec());
            rows.clusters.push(cluster.to_vec());
            rows.received_ns.push(group.received_ns);
            rows.numbers.push(group.number as i32);
            rows.events.push(i32::try_from(group.events).unwrap_or(i32::MAX));
            rows.holders.push(holder.as_bytes().to_vec());
            rows.bodies.push(body);
        }
        rows
    }

    async fn write(&self, transaction: &Transaction<'_>, day: i32, place: &Place, to: u64) -> Written {
        if self.jobs.is_empty() {
            return Ok(());
        }
        let insert = "INSERT INTO job_chunks
                (day, job, cluster, received_ns, partition, first, number, next, events, holder, body)
            SELECT $1, job, cluster, received_ns, $2, $3, number, $4, events, holder, body
            FROM unnest($5::bytea[], $6::bytea[], $7::bigint[], $8::integer[], $9::integer[], $10::bytea[],
                    $11::bytea[])
                AS row (job, cluster, received_ns, number, events, holder, body)";
        let (first, next) = (place.next as i64, to as i64);
        transaction
            .execute(
                insert,
                &[
                    &day,
                    &place.partition,
                    &first,
                    &next,
                    &self.jobs,
                    &self.clusters,
                    &self.received_ns,
                    &self.numbers,
                    &self.events,
                    &self.holders,
                    &self.bodies,
                ],
            )
            .await?;
        let holders: Vec<&[u8]> = self.bytes.keys().map(ShareHolder::as_bytes).collect();
        let bytes: Vec<i64> = self.bytes.values().copied().collect();
        let count = "INSERT INTO job_bytes AS known (day, partition, holder, bytes)
            SELECT $1, $2, holder, bytes FROM unnest($3::bytea[], $4::bigint[]) AS more (holder, bytes)
            ON CONFLICT (day, partition, holder) DO UPDATE SET bytes = known.bytes + excluded.bytes";
        transaction.execute(count, &[&day, &place.partition, &holders, &bytes]).await?;
        Ok(())
    }
}

type Written = Result<(), RegistryError>;

impl Site {
    /// Writes what was gathered of the batches from the place on.
    pub(super) fn write(
        &self,
        groups: &Groups<'_>,
        place: &Place,
        to: u64,
        progress: Progress,
    ) -> Result<Outcome, LedgerError> {
        let rows = Arc::new(Rows::pack(groups));
        let day = day_of(now_ns());
        if !rows.jobs.is_empty() {
            self.make_day(day)?;
        }
        let (writing, at) = (rows.clone(), place.clone());
        let outcome = self.ledger.commit(place, to, progress, move |transaction| {
            let (rows, at) = (writing.clone(), at.clone());
            Box::pin(async move { rows.write(transaction, day, &at, to).await })
        })?;
        if outcome == Outcome::Committed {
            let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            for (holder, bytes) in &rows.bytes {
                let amount = shares.get(holder) + *bytes as u64;
                shares.set(holder.clone(), amount);
            }
        }
        Ok(outcome)
    }

    /// Makes the table of a day where there is none.
    fn make_day(&self, day: i32) -> Result<(), LedgerError> {
        if self.days.lock().unwrap_or_else(PoisonError::into_inner).contains(&day) {
            return Ok(());
        }
        self.ledger.ask(MAKE_DAY, move |session| {
            Box::pin(async move {
                let transaction = session.transaction().await?;
                transaction.batch_execute(DAY_LOCK).await?;
                let table = table_of(day);
                let is_made = "SELECT to_regclass($1::text) IS NOT NULL";
                if transaction.query_one(is_made, &[&table]).await?.get::<_, bool>(0) {
                    return Ok(());
                }
                // So made, it holds up nobody who reads or writes other days.
                let make = format!(
                    "SET LOCAL client_min_messages = warning;
                    CREATE TABLE {table} (LIKE job_chunks INCLUDING ALL);
                    ALTER TABLE job_chunks ATTACH PARTITION {table} FOR VALUES FROM ({day}) TO ({})",
                    day + 1
                );
                transaction.batch_execute(&make).await?;
                Ok(transaction.commit().await?)
            })
        })?;
        self.days.lock().unwrap_or_else(PoisonError::into_inner).insert(day);
        Ok(())
    }
}
