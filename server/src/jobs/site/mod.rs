//! What jobs ran at a site with several servers: all of them write into one PostgreSQL database,
//! and each answers from it.
//!
//! A server packs the events of its own log by job and sender. It writes them, with its place in
//! the log, in one transaction ([`crate::ledger`]). So each event is there once, whatever server
//! dies in the midst: the tests in `server/tests/server/cluster.rs`. While the database is away,
//! events wait in the queue, and questions are refused.

mod chunk;
mod commits;
mod retention;
mod stage;
mod values;
mod write;

use super::CONSUMER;
use crate::{
    config::{RegistryConfig, StoreBackend, StoreConfig},
    database::Store,
    fair_shares::Shares,
    ledger::{Ledger, LedgerError, Log},
    metrics::Metrics,
    queue::Queue,
};
use anyhow::Result;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

/// How long a question waits until all servers have written what they have.
const CATCH_UP: Duration = Duration::from_secs(2);

/// See the module.
pub struct Site {
    ledger: Arc<Ledger>,
    log: Mutex<Log>,
    write_every: Duration,
    /// The newest question that wants everything written.
    asked: watch::Sender<i64>,
    /// Days that have their partition.
    days: Mutex<HashSet<i32>>,
    /// What this server has written of each sender since it began.
    shares: Mutex<Shares>,
}

impl Site {
    /// Opens the store that is configured; `None` where it is the server's own database.
    pub fn open(
        config: &StoreConfig,
        registry: &RegistryConfig,
        store: &Store,
        queue: &Queue,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>> {
        if config.backend == StoreBackend::Embedded {
            return Ok(None);
        }
        let server = store.waiting().server()? as i64;
        let log = Log::open(store.ledger(), queue.offset(CONSUMER), queue.tail().borrow().next)?;
        let ledger = Arc::new(Ledger::open(&config.database(registry), config.connections, server, metrics)?);
        Ok(Some(Site {
            ledger,
            log: Mutex::new(log),
            write_every: config.write_every.0,
            asked: watch::Sender::new(0),
            days: Mutex::default(),
            shares: Mutex::default(),
        }))
    }

    /// Has all servers write what they have, and waits for it, at most two seconds. Where that
    /// takes longer: the time of receipt from which on events may lack.
    pub async fn catch_up(&self, queue: &Queue) -> Result<Option<i64>, LedgerError> {
        let own = queue.tail().borrow().next;
        let counted_until_ns = self.ask_all().await?;
        // A server that could never write has no place, and nobody else knows of what it has.
        let next = queue.offset(CONSUMER);
        let own = if next < own { queue.received_ns(next) } else { None };
        Ok(counted_until_ns.into_iter().chain(own).min())
    }

    async fn ask_all(&self) -> Result<Option<i64>, LedgerError> {
        let deadline = Instant::now() + CATCH_UP;
        let ledger = self.ledger.clone();
        let question = blocking(move || ledger.ask_servers()).await?;
        let mut pause = Duration::from_millis(4);
        loop {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(60));
            let ledger = self.ledger.clone();
            let answers = blocking(move || ledger.answers(CONSUMER, question)).await?;
            if answers.silent == 0 || Instant::now() >= deadline {
                return Ok(answers.counted_until_ns);
            }
        }
    }
}

/// Asks in a thread that may wait.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    // It fails only where the server stops.
    let stops = |_| Err(LedgerError::Away("ogrt-server is stopping".into()));
    spawn_blocking(ask).await.unwrap_or_else(stops)
}
