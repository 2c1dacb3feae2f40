//! How far each consumer is in each server's log, in a PostgreSQL database that servers share.
//!
//! ```text
//! places  (consumer, partition) -> next, epoch, owner, until
//! ```
//! A partition is one server's log ([`Log`]). What a consumer makes of a part of it is written in
//! the same transaction in which its place moves on ([`Ledger::commit`]), so it is there once. Who
//! takes a place has a new epoch. Another server that still believes it has the place is fenced:
//! nothing of its transaction is written. `server/tests/server/cluster.rs` holds that.

mod ear;
mod error;
mod log;
mod tables;

pub use ear::Ear;
pub use error::LedgerError;
pub use log::Log;

use crate::{
    config::DatabaseAddress,
    metrics::Metrics,
    registry::{DatabaseConnections, DatabaseSession, RegistryError, SessionWork, Tables},
};
use error::Result;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tables::{FLUSH, TABLES};
use tokio_postgres::Transaction;

/// How long a look may take, and a write of some megabytes.
const LOOKUP: Duration = Duration::from_millis(1500);
const WRITE: Duration = Duration::from_secs(60);

/// How long a server counts as there that says nothing.
const HOLDS_S: f64 = 15.0;

/// How long a server that is gone, with events in its log that nobody has, is waited for.
const MISSED_DAYS: f64 = 30.0;

/// A place that this server has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub consumer: &'static str,
    pub partition: i64,
    pub epoch: i64,
    /// The batch where the consumer goes on.
    pub next: u64,
}

/// What became of the wish to take a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// This server has it.
    Taken(Place),
    /// The log is not the one that the ledger knows by its number, from this batch on.
    Diverged(u64),
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// All of it is written.
    Committed,
    /// Another server has the place; nothing is written.
    Fenced,
}

/// What a server tells with its place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// All that was there at the question with this number is written.
    pub asked: i64,
    /// All that was received before this time is written.
    pub counted_ns: i64,
    /// The server stops, and nothing is left in its log.
    pub is_closed: bool,
}

/// What the servers say to a question that wants everything written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Servers that are there and have not answered.
    pub silent: i64,
    /// All that was received before this time is written, where there is a server that lacks some.
    pub counted_until_ns: Option<i64>,
}

/// The writes of a transaction beside the place.
pub type WriteFuture<'a> = Pin<Box<dyn Future<Output = std::result::Result<(), RegistryError>> + 'a>>;

/// See the module.
pub struct Ledger {
    connections: Arc<DatabaseConnections>,
    server: i64,
    host: String,
    metrics: Arc<Metrics>,
}

impl Ledger {
    /// Opens the ledger; a database that is away may come later.
    pub fn open(
        address: &DatabaseAddress<'_>,
        connections: usize,
        server: i64,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let connections = Arc::new(DatabaseConnections::new(address, Tables::Others(&TABLES), connections)?);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let ledger = Ledger { connections, server, host: host.trim().to_owned(), metrics };
        match ledger.ask(LOOKUP, |_| Box::pin(async { Ok(()) })) {
            Ok(()) | Err(LedgerError::Away(_)) => Ok(ledger),
            Err(problem) => Err(problem.into()),
        }
    }

    /// This server's number.
    pub fn server(&self) -> i64 {
        self.server
    }

    /// Asks the store's database, and waits for the answer for at most `within`.
    pub fn ask<T: Send + 'static>(
        &self,
        within: Duration,
        question: impl for<'a> Fn(&'a mut DatabaseSession) -> SessionWork<'a, T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.connections.ask(within, question)?)
    }

    /// Asks for a look.
    pub fn look<T: Send + 'static>(
        &self,
        question: impl for<'a> Fn(&'a mut DatabaseSession) -> SessionWork<'a, T> + Send + 'static,
    ) -> Result<T> {
        self.ask(LOOKUP, question)
    }

    /// Takes the place of a consumer in this server's log. Who had it before is fenced.
    pub fn take(&self, consumer: &'static str, log: &Log) -> Result<Taking> {
        let (owner, server, log) = (self.host.clone(), self.server, log.clone());
        self.ask(LOOKUP, move |session| {
            let (owner, log) = (owner.clone(), log.clone());
            Box::pin(async move {
                let transaction = session.transaction().await?;
                let partition = log.partition();
                let make = "INSERT INTO places (consumer, partition, next, epoch, owner, server, until)
                    VALUES ($1, $2, $3, 0, $4, $5, now()) ON CONFLICT DO NOTHING";
                let begin = log.begin() as i64;
                transaction.execute(make, &[&consumer, &partition, &begin, &owner, &server]).await?;
                let known = "SELECT next, openings FROM places WHERE consumer = $1 AND partition = $2
                    FOR UPDATE";
                let known = transaction.query_one(known, &[&consumer, &partition]).await?;
                let next = known.get::<_, i64>(0) as u64;
                if let Some(place) = log.divergence(&known.get::<_, Vec<i64>>(1), next) {
                    return Ok(Taking::Diverged(place));
                }
                let take = "UPDATE places SET epoch = epoch + 1, owner = $3, server = $4, openings = $5,
                        closed = false, until = now() + $6::double precision * interval '1 second'
                    WHERE consumer = $1 AND partition = $2 RETURNING epoch";
                let openings = log.openings();
                let taken = transaction
                    .query_one(take, &[&consumer, &partition, &owner, &server, &openings, &HOLDS_S])
                    .await?;
                let place = Place { consumer, partition, epoch: taken.get(0), next };
                transaction.commit().await?;
                Ok(Taking::Taken(place))
            })
        })
    }

    /// Moves a place on to `to`, in one transaction with what was made of the batches before.
    pub fn commit(
        &self,
        place: &Place,
        to: u64,
        progress: Progress,
        made: impl for<'t, 'c> Fn(&'t Transaction<'c>) -> WriteFuture<'t> + Send + Sync + 'static,
    ) -> Result<Outcome> {
        let (place, made) = (place.clone(), Arc::new(made));
        let outcome = self.ask(WRITE, move |session| {
            let (place, made) = (place.clone(), made.clone());
            Box::pin(async move {
                let transaction = session.transaction().await?;
                let Place { consumer, partition, epoch, next } = place;
                let (next, to) = (next as i64, to as i64);
                let advance = "UPDATE places SET next = $5, asked = greatest(asked, $6), counted_ns = $7,
                        until = now() + $8::double precision * interval '1 second'
                    WHERE consumer = $1 AND partition = $2 AND epoch = $3 AND next = $4";
                let Progress { asked, counted_ns, .. } = progress;
                let moved = transaction
                    .execute(
                        advance,
                        &[&consumer, &partition, &epoch, &next, &to, &asked, &counted_ns, &HOLDS_S],
                    )
                    .await?;
                if moved == 0 {
                    // The connection may have ended before the answer, and this is the second try.
                    let known = "SELECT 1 FROM places
                        WHERE consumer = $1 AND partition = $2 AND epoch = $3 AND next = $4";
                    let done = transaction.query_opt(known, &[&consumer, &partition, &epoch, &to]).await?;
                    return Ok(if done.is_some() { Outcome::Committed } else { Outcome::Fenced });
                }
                made(&transaction).await?;
                transaction.commit().await?;
                Ok(Outcome::Committed)
            })
        })?;
        self.count(outcome);
        Ok(outcome)
    }

    /// Tells how far this server is, where there is nothing to write.
    pub fn tell(&self, place: &Place, progress: Progress) -> Result<Outcome> {
        let place = place.clone();
        let outcome = self.look(move |session| {
            let place = place.clone();
            Box::pin(async move {
                let tell = "UPDATE places SET asked = greatest(asked, $4), counted_ns = $5, closed = $6,
                        until = now() + $7::double precision * interval '1 second'
                    WHERE consumer = $1 AND partition = $2 AND epoch = $3";
                let Progress { asked, counted_ns, is_closed } = progress;
                let told = session
                    .execute(
                        tell,
                        &[
                            &place.consumer,
                            &place.partition,
                            &place.epoch,
                            &asked,
                            &counted_ns,
                            &is_closed,
                            &HOLDS_S,
                        ],
                    )
                    .await?;
                Ok(if told > 0 { Outcome::Committed } else { Outcome::Fenced })
            })
        })?;
        self.count(outcome);
        Ok(outcome)
    }

    /// The next batch of a consumer in a partition; `None` where it has none.
    #[expect(dead_code, reason = "whoever counts for the site asks it")]
    pub fn place(&self, consumer: &'static str, partition: i64) -> Result<Option<u64>> {
        self.look(move |session| {
            Box::pin(async move {
                let select = "SELECT next FROM places WHERE consumer = $1 AND partition = $2";
                let row = session.query_opt(select, &[&consumer, &partition]).await?;
                Ok(row.map(|row| row.get::<_, i64>(0) as u64))
            })
        })
    }

    /// All partitions of a consumer, each with the place of the consumer.
    pub fn partitions(&self, consumer: &'static str) -> Result<Vec<(i64, u64)>> {
        self.look(move |session| {
            Box::pin(async move {
                let select = "SELECT partition, next FROM places WHERE consumer = $1 ORDER BY partition";
                let rows = session.query(select, &[&consumer]).await?;
                Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as u64)).collect())
            })
        })
    }

    /// Has all servers write what they have; returns the number of the question.
    pub fn ask_servers(&self) -> Result<i64> {
        self.look(|session| {
            Box::pin(async move {
                let ask = "WITH asked AS (SELECT nextval('ogrt_questions') AS number)
                    SELECT number, pg_notify($1, number::text) IS NULL FROM asked";
                let rows = session.ask_again(ask, &[&FLUSH]).await?;
                Ok(rows.first().map_or(0, |row| row.get(0)))
            })
        })
    }

    /// What the servers have said to a question so far.
    pub fn answers(&self, consumer: &'static str, question: i64) -> Result<Answers> {
        self.look(move |session| {
            Box::pin(async move {
                let select = "SELECT count(*) FILTER (WHERE until > now()), min(counted_ns) FROM places
                    WHERE consumer = $1 AND asked < $2 AND NOT closed
                        AND until > now() - $3::double precision * interval '1 day'";
                let rows = session.ask_again(select, &[&consumer, &question, &MISSED_DAYS]).await?;
                let row = rows.first();
                Ok(Answers {
                    silent: row.map_or(0, |row| row.get(0)),
                    counted_until_ns: row.and_then(|row| row.get(1)),
                })
            })
        })
    }

    fn count(&self, outcome: Outcome) {
        self.metrics.ledger_fenced.add(u64::from(outcome == Outcome::Fenced));
    }
}
