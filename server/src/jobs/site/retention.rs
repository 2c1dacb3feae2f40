//! What goes from the site's database: days that are too old, and the oldest of senders with more
//! than their share. One server at a time does it, by a lease.

use super::{
    Site,
    chunk::{ROW_BYTES, day_of, day_of_table, table_of},
    write::DAY_LOCK,
};
use crate::{
    clock::{now_ns, oldest_kept_ns},
    config::JobsConfig,
    fair_shares::{ShareHolder, Shares},
    jobs::PRUNE_EVERY,
    ledger::LedgerError,
    metrics::Metrics,
    registry::{DatabaseSession, RegistryError, lease},
};
use anyhow::Result;
use lease::Lease;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio_postgres::Transaction;

/// The lease of whoever deletes.
const LEASE: &str = "job chunks";

/// How long one step may take.
const STEP: Duration = Duration::from_secs(60);

/// Values that are deleted in one transaction.
const AT_ONCE: i64 = 20_000;

impl Site {
    /// Deletes what is too old or too much, where it is this server's turn.
    pub(super) fn prune(&self, config: &JobsConfig, metrics: &Metrics) -> Result<()> {
        let server = self.ledger.server();
        let lease = self.ledger.look(move |session| {
            Box::pin(async move { lease::take(session, LEASE, server, PRUNE_EVERY).await })
        })?;
        if let Some(lease) = lease {
            self.delete_old_days(lease, oldest_kept_ns(config.keep.0))?;
            self.delete_beyond_shares(lease, config.bytes_max.0, metrics)?;
            self.ledger.look(move |session| {
                Box::pin(async move { lease::give_back(session, LEASE, lease).await })
            })?;
        }
        metrics.jobs_bytes.set(self.bytes_of_senders()?.total());
        Ok(())
    }

    /// Deletes days before this time. What has more on later days is marked.
    fn delete_old_days(&self, lease: Lease, oldest: i64) -> Result<(), LedgerError> {
        let until = day_of(oldest);
        let tables: Vec<String> = self.ledger.look(|session| {
            Box::pin(async move {
                let select = "SELECT inhrelid::regclass::text FROM pg_inherits
                    WHERE inhparent = 'job_chunks'::regclass";
                Ok(session.query(select, &[]).await?.iter().map(|row| row.get(0)).collect())
            })
        })?;
        let mut days: Vec<i32> = tables.iter().filter_map(|table| day_of_table(table)).collect();
        days.sort_unstable();
        let today = day_of(now_ns());
        for day in days.into_iter().filter(|day| *day < until) {
            self.ledger.ask(STEP, move |session| {
                Box::pin(async move {
                    let transaction = session.transaction().await?;
                    transaction.batch_execute(DAY_LOCK).await?;
                    lease::check(&transaction, LEASE, lease).await?;
                    let table = table_of(day);
                    let is_there = "SELECT to_regclass($1::text) IS NOT NULL";
                    if transaction.query_one(is_there, &[&table]).await?.get::<_, bool>(0) {
                        let mark = format!(
                            "INSERT INTO job_losses (job, cluster, day)
                            SELECT DISTINCT job, cluster, $1::integer FROM {table} AS old
                            WHERE EXISTS (SELECT 1 FROM job_chunks AS later
                                WHERE later.job = old.job AND later.cluster = old.cluster AND later.day > {day})
                            ON CONFLICT (job, cluster) DO UPDATE SET day = excluded.day"
                        );
                        transaction.execute(&mark, &[&today]).await?;
                        // Who reads old days is not waited for longer.
                        let delete = format!("SET LOCAL lock_timeout = '5s'; DROP TABLE {table}");
                        transaction.batch_execute(&delete).await?;
                    }
                    transaction.execute("DELETE FROM job_bytes WHERE day <= $1", &[&day]).await?;
                    Ok(transaction.commit().await?)
                })
            })?;
        }
        self.ledger.ask(STEP, move |session| {
            Box::pin(async move {
                let forget = "DELETE FROM job_losses AS mark WHERE day < $1 AND NOT EXISTS (
                    SELECT 1 FROM job_chunks AS left_over
                    WHERE left_over.job = mark.job AND left_over.cluster = mark.cluster)";
                session.execute(forget, &[&until]).await?;
                Ok(())
            })
        })
    }

    /// Bytes of each sender.
    fn bytes_of_senders(&self) -> Result<Shares, LedgerError> {
        let rows = self.ledger.ask(STEP, |session| {
            Box::pin(async move {
                let select = "SELECT holder, sum(bytes)::bigint FROM job_bytes GROUP BY holder";
                Ok(session.query(select, &[]).await?)
            })
        })?;
        let mut shares = Shares::default();
        for row in rows {
            shares.set(ShareHolder::read(row.get(0)), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0));
        }
        Ok(shares)
    }

    /// Deletes the oldest of senders with more than their share where there is too much.
    fn delete_beyond_shares(&self, lease: Lease, bytes_max: u64, metrics: &Metrics) -> Result<()> {
        let shares = self.bytes_of_senders()?;
        if shares.total() <= bytes_max {
            return Ok(());
        }
        // A little less, so that this is not done for each event.
        let capacity = bytes_max - bytes_max / 16;
        let allowance = shares.allowance(capacity);
        let mut total = shares.total();
        for (sender, before) in shares.over(&allowance) {
            let excess = total.saturating_sub(capacity);
            let least = allowance.of(&sender).max(before.saturating_sub(excess));
            let gone = self.delete_oldest(lease, &sender, before.saturating_sub(least))?;
            total = total.saturating_sub(gone);
            metrics.sender_over("jobs.bytes_max", &sender, gone);
        }
        Ok(())
    }

    /// Deletes the oldest values of a sender until so many bytes are free; how many are.
    fn delete_oldest(&self, lease: Lease, sender: &ShareHolder, bytes: u64) -> Result<u64, LedgerError> {
        let holder: Arc<[u8]> = sender.as_bytes().into();
        let days: Vec<i32> = self.ledger.look({
            let holder = holder.clone();
            move |session| {
                let holder = holder.clone();
                Box::pin(async move {
                    let select =
                        "SELECT DISTINCT day FROM job_bytes WHERE holder = $1 AND bytes > 0 ORDER BY day";
                    Ok(session.query(select, &[&&*holder]).await?.iter().map(|row| row.get(0)).collect())
                })
            }
        })?;
        let mut gone = 0;
        for day in days {
            while gone < bytes {
                let (holder, excess) = (holder.clone(), (bytes - gone) as i64);
                let freed = self.ledger.ask(STEP, move |session| {
                    let holder = holder.clone();
                    Box::pin(async move { delete_of_day(session, lease, day, &holder, excess).await })
                })?;
                if freed == 0 {
                    break;
                }
                gone += freed;
            }
        }
        Ok(gone)
    }
}

/// Deletes the oldest values of a sender on a day, and marks their jobs.
async fn delete_of_day(
    session: &mut DatabaseSession,
    lease: Lease,
    day: i32,
    holder: &[u8],
    excess: i64,
) -> Result<u64, RegistryError> {
    let transaction = session.transaction().await?;
    lease::check(&transaction, LEASE, lease).await?;
    let delete = format!(
        "WITH sizes AS (
            SELECT partition, first, number,
                length(body) + length(job) + length(cluster) + length(holder) + {ROW_BYTES} AS bytes,
                row_number() OVER oldest AS row,
                sum(length(body) + length(job) + length(cluster) + length(holder) + {ROW_BYTES}) OVER oldest AS all_bytes
            FROM job_chunks WHERE day = $1 AND holder = $2
            WINDOW oldest AS (ORDER BY received_ns, partition, first, number)
        )
        DELETE FROM job_chunks AS gone USING sizes
        WHERE gone.day = $1 AND gone.partition = sizes.partition AND gone.first = sizes.first
            AND gone.number = sizes.number AND sizes.all_bytes - sizes.bytes < $3 AND sizes.row <= $4
        RETURNING gone.job, gone.cluster, gone.partition, sizes.bytes"
    );
    let rows = transaction.query(&delete, &[&day, &holder, &excess, &AT_ONCE]).await?;
    let mut freed: HashMap<i64, i64> = HashMap::new();
    let (mut jobs, mut clusters) = (Vec::new(), Vec::new());
    for row in &rows {
        *freed.entry(row.get(2)).or_default() += i64::from(row.get::<_, i32>(3));
        jobs.push(row.get::<_, &[u8]>(0));
        clusters.push(row.get::<_, &[u8]>(1));
    }
    mark(&transaction, &jobs, &clusters).await?;
    for (partition, bytes) in &freed {
        let count =
            "UPDATE job_bytes SET bytes = bytes - $4 WHERE day = $1 AND partition = $2 AND holder = $3";
        transaction.execute(count, &[&day, partition, &holder, bytes]).await?;
    }
    if rows.is_empty() {
        // The count was wrong: there is nothing.
        let count = "DELETE FROM job_bytes WHERE day = $1 AND holder = $2";
        transaction.execute(count, &[&day, &holder]).await?;
    }
    transaction.commit().await?;
    Ok(freed.values().sum::<i64>() as u64)
}

/// Marks jobs of which something was deleted.
async fn mark(
    transaction: &Transaction<'_>,
    jobs: &[&[u8]],
    clusters: &[&[u8]],
) -> Result<(), RegistryError> {
    let mark = "INSERT INTO job_losses (job, cluster, day)
        SELECT DISTINCT job, cluster, $3::integer FROM unnest($1::bytea[], $2::bytea[]) AS gone (job, cluster)
        ON CONFLICT (job, cluster) DO UPDATE SET day = excluded.day";
    transaction.execute(mark, &[&jobs, &clusters, &day_of(now_ns())]).await?;
    Ok(())
}
