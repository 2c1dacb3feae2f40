//! The registry in a PostgreSQL database, which several servers may share.
//!
//! No event waits for the database. A registration is acknowledged when it is on the server's own
//! disk ([`waiting`]), and a thread carries it over; a question gives up after a time. A record
//! that waits is found by its signature already. `server/tests/server/postgres.rs` holds that.

mod connections;
mod index;
mod inquiries;
mod installations;
pub mod lease;
mod links;
mod list;
mod listener;
mod migrate;
mod names;
mod news;
mod read;
mod schema;
mod servers;
mod tokens;
mod values;
mod waiting;
mod withdraw;
mod write;

use super::{
    Build, BuildFilter, ContainingBuilds, InstallationFilter, InstallationPage, ListedBuild, Page, Part,
    Registration, Registry, RegistryError, RetentionRule, RetiredSlice, Summaries, UsedElsewhere, Withdrawal,
    error::Result, installations::Installations, same_build,
};
use crate::{
    clock::now_ns,
    config::{Acknowledge, RegistryConfig},
    database::WaitingStore,
    metrics::Metrics,
    tokens::{StoredToken, TokensOfServer},
};
use anyhow::Context;
use bytes::Bytes;
use connections::Connections;
pub use connections::{Connections as DatabaseConnections, Session as DatabaseSession, SessionWork};
pub use listener::Listener as DatabaseListener;
pub use migrate::{TableList, Tables};
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary, Installation};
use prost::Message;
use servers::Presence;
pub use servers::{KnownServer, ServersOfRegistry};
use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tokens::TokensOfRegistry;
use tokio::sync::watch;
use tracing::{error, warn};
use waiting::{Ticket, WaitingRecords};

/// How many connections to the database a server has.
const CONNECTIONS: usize = 4;

/// How long a lookup may take; a list or a walk; the registration of a group.
const LOOKUP: Duration = Duration::from_secs(2);
const WALK: Duration = Duration::from_secs(60);
const WRITE: Duration = Duration::from_secs(60);

/// The pause after a failure to carry registrations over.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module.
pub struct Postgres {
    connections: Arc<Connections>,
    waiting: Arc<WaitingRecords>,
    /// Installations that wait here.
    installations: Arc<Installations>,
    summaries: Arc<Summaries>,
    metrics: Arc<Metrics>,
    /// This server's number among those of the registry.
    server: i64,
    /// What the others know of it.
    presence: Mutex<Presence>,
    /// Counts what other servers write.
    news: watch::Sender<u64>,
    /// Registrations are acknowledged when the database has them.
    acknowledges_commits: bool,
}

/// The tokens of the registry, and the server's own, for whoever changes them.
pub fn token_store(config: &RegistryConfig, own: TokensOfServer) -> anyhow::Result<TokensOfRegistry> {
    Ok(TokensOfRegistry { connections: Connections::new(&config.database(), Tables::Registry, 1)?, own })
}

impl Postgres {
    /// Opens the registry. A database that is away may come later; one that cannot be used is an
    /// error.
    pub fn open(
        config: &RegistryConfig,
        store: WaitingStore,
        summaries: Arc<Summaries>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let connections = Arc::new(Connections::new(&config.database(), Tables::Registry, CONNECTIONS)?);
        // This only connects. Counting the builds would take seconds.
        match connections.ask(LOOKUP, |_| Box::pin(async { Ok(()) })) {
            Ok(()) | Err(RegistryError::Away(_)) => {}
            Err(problem) => return Err(problem.into()),
        }
        let server = store.server()? as i64;
        let installations = Arc::new(Installations::new(store.installations.clone()));
        let waiting = Arc::new(WaitingRecords::open(store, metrics.clone(), config.waiting_bytes_max.0)?);
        let (presence, news) = (Mutex::default(), watch::Sender::new(0));
        let acknowledges_commits = config.acknowledge == Acknowledge::Commit;
        let registry = Postgres {
            connections,
            waiting,
            installations,
            summaries,
            metrics,
            server,
            presence,
            news,
            acknowledges_commits,
        };
        let carrier = Postgres {
            connections: registry.connections.clone(),
            waiting: registry.waiting.clone(),
            installations: registry.installations.clone(),
            summaries: registry.summaries.clone(),
            metrics: registry.metrics.clone(),
            server,
            presence: Mutex::default(),
            news: registry.news.clone(),
            acknowledges_commits,
        };
        thread::Builder::new()
            .name("registrations".into())
            .spawn(move || carrier.carry())
            .context("cannot start the thread that writes build records to the registry's database")?;
        registry.carry_installations().context("cannot start the thread that carries installations")?;
        registry.follow_news().context("cannot start the thread that looks for new builds")?;
        Ok(registry)
    }

    /// Carries registrations over while the server runs. The next start goes on with what a stop
    /// interrupted.
    fn carry(self) {
        loop {
            let carried = self.waiting.group().and_then(|group| self.carry_group(&group));
            match carried {
                Ok(()) => continue,
                // The connection has logged that it is away.
                Err(RegistryError::Away(_)) => {}
                Err(problem) => {
                    error!(
                        "cannot write build records to the registry's database: {problem}. They wait here; trying again"
                    );
                }
            }
            thread::sleep(PAUSE);
        }
    }

    fn carry_group(&self, group: &[(Ticket, Build)]) -> Result<()> {
        let builds: Vec<Build> = group.iter().map(|(_, build)| build.clone()).collect();
        let outcomes = match self.write(builds) {
            Ok(outcomes) => outcomes,
            Err(problem @ RegistryError::Away(_)) => return Err(problem),
            // One by one, to find the record that the database refuses.
            Err(_) if group.len() > 1 => return group.chunks(1).try_for_each(|one| self.carry_group(one)),
            Err(problem) => {
                error!(
                    "the registry's database does not take a build record: {problem}. It stays on this server's disk and is \
                     tried again after the next start"
                );
                group.iter().for_each(|(ticket, _)| self.waiting.refuse(*ticket));
                return Ok(());
            }
        };
        self.waiting.settle(group, &outcomes)
    }

    /// Registers builds in the database, counts them, and puts new ones into the cache of
    /// summaries.
    fn write(&self, builds: Vec<Build>) -> Result<Vec<Registration>> {
        let builds = Arc::new(builds);
        let registered = self.connections.ask(WRITE, move |client| {
            let builds = builds.clone();
            Box::pin(async move { write::register(client, &builds).await })
        })?;
        for outcome in &registered.outcomes {
            match outcome {
                Registration::New(_) => self.metrics.builds_registered.add(1),
                Registration::Known(_) => self.metrics.builds_known.add(1),
                Registration::Conflict(_) => self.metrics.builds_conflicting.add(1),
                Registration::Malformed | Registration::Accepted(..) => self.metrics.builds_malformed.add(1),
            }
        }
        for (signature, summary) in &registered.summaries {
            self.summaries.registered(*signature, summary);
        }
        self.summaries.announce();
        Ok(registered.outcomes)
    }
}

impl Registry for Postgres {
    fn register(&self, records: &[Bytes]) -> Result<Vec<Registration>> {
        let mut outcomes = Vec::with_capacity(records.len());
        let mut accepted = Vec::new();
        for bytes in records {
            let record = BuildRecord::decode(bytes.clone()).ok();
            match record.and_then(|record| Signature::from_slice(record.signature())) {
                Some(signature) => {
                    accepted.push((signature, bytes.clone()));
                    outcomes.push(Registration::Accepted(signature, 0));
                }
                None => {
                    self.metrics.builds_malformed.add(1);
                    warn!("a build record is refused: it cannot be decoded, or has no signature of 16 bytes");
                    outcomes.push(Registration::Malformed);
                }
            }
        }
        let mut tickets = self.waiting.put(&accepted, now_ns())?.into_iter();
        for outcome in &mut outcomes {
            if let Registration::Accepted(_, ticket) = outcome {
                *ticket = tickets.next().unwrap_or_default();
            }
        }
        Ok(outcomes)
    }

    fn outcome(&self, ticket: u64, within: Duration) -> Option<Registration> {
        self.waiting.outcome(ticket, within)
    }

    fn acknowledges_commits(&self) -> bool {
        self.acknowledges_commits
    }

    fn may_acknowledge(&self) -> bool {
        !self.acknowledges_commits || !self.connections.is_away()
    }

    fn is_committed(&self, ticket: u64, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.waiting.is_carried(ticket, left.min(PAUSE)) {
                Some(carried) => return carried,
                None if left.is_zero() || self.connections.is_away() => return false,
                None => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.has_room()
    }

    fn build(&self, signature: Signature) -> Result<Option<Build>> {
        let known = self
            .connections
            .ask(LOOKUP, move |client| Box::pin(async move { read::build(client, signature).await }));
        // The database decides; a record that waits here is the answer where the database has none.
        match known {
            Ok(Some(build)) => Ok(Some(build)),
            without => match self.waiting.get(signature)? {
                Some(build) => Ok(Some(build)),
                None => without,
            },
        }
    }

    fn summary(&self, signature: Signature) -> Result<Option<BuildSummary>> {
        let known = self
            .connections
            .ask(LOOKUP, move |client| Box::pin(async move { read::briefs(client, &[signature]).await }));
        match known.map(|mut briefs| briefs.pop().flatten()) {
            Ok(Some(brief)) => Ok(Some(same_build::summary(&brief))),
            without => match self.waiting.get(signature)? {
                Some(build) => Ok(summary_of(&build)),
                None => without.map(|_| None),
            },
        }
    }

    fn listed(&self, signatures: &[Signature]) -> Result<Vec<Option<ListedBuild>>> {
        let signatures: Arc<[Signature]> = signatures.into();
        let briefs = self.connections.ask(LOOKUP, move |client| {
            let signatures = signatures.clone();
            Box::pin(async move { read::briefs(client, &signatures).await })
        })?;
        Ok(briefs.iter().map(|brief| brief.as_ref().map(ListedBuild::of)).collect())
    }

    fn list(&self, filter: &BuildFilter) -> Result<Page> {
        let filter = filter.clone();
        self.connections.ask(WALK, move |client| {
            let filter = filter.clone();
            Box::pin(async move { list::page(client, &filter).await })
        })
    }

    fn containing(&self, part: Part, depth_max: u32) -> Result<ContainingBuilds> {
        self.connections
            .ask(WALK, move |client| Box::pin(async move { read::containing(client, part, depth_max).await }))
    }

    fn export(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Build)>> {
        self.connections
            .ask(WALK, move |client| Box::pin(async move { read::export(client, after, limit).await }))
    }

    fn import(&self, builds: &[Build]) -> Result<Vec<Registration>> {
        self.write(builds.to_vec())
    }

    fn retire(
        &self,
        after: Option<u64>,
        limit: usize,
        may_delete: RetentionRule<'_>,
    ) -> Result<RetiredSlice> {
        let candidates = self
            .connections
            .ask(WALK, move |client| Box::pin(async move { read::candidates(client, after, limit).await }))?;
        let mut retired = RetiredSlice { deleted: 0, last: candidates.last().map(|last| last.number as u64) };
        if candidates.len() < limit {
            retired.last = None;
        }
        let mut going = Vec::new();
        for candidate in candidates.into_iter().filter(|candidate| !candidate.is_library) {
            if may_delete(candidate.signature, candidate.made_ns)? {
                going.push(candidate.number);
            }
        }
        if !going.is_empty() {
            let held = self.lease();
            let gone = self.connections.ask(WALK, move |client| {
                let going = going.clone();
                Box::pin(async move { read::remove(client, &going, held).await })
            })?;
            retired.deleted = gone.len() as u64;
            gone.into_iter().for_each(|signature| self.summaries.removed(signature));
        }
        Ok(retired)
    }

    fn used_elsewhere(&self, signatures: &[Signature], within: Duration) -> Result<UsedElsewhere> {
        self.ask_servers(signatures, within)
    }

    fn inquiry(&self) -> Result<Option<(i64, Vec<Signature>)>> {
        self.next_inquiry()
    }

    fn answer_inquiry(&self, inquiry: i64, last_used: Vec<Option<i64>>) -> Result<()> {
        self.answer_server(inquiry, last_used)
    }

    fn signatures(&self, after: Option<i64>) -> Result<Option<(i64, Vec<Signature>)>> {
        self.connections
            .ask(LOOKUP, move |client| Box::pin(async move { names::page(&**client, after).await }))
    }

    fn note_last_used(&self, last_used: &[(Signature, i64)]) -> Result<()> {
        self.note_used_here(last_used)
    }

    fn take_retention(&self, every: Duration) -> Result<bool> {
        self.take_lease(every)
    }

    fn end_retention(&self) -> Result<()> {
        self.give_back_lease()
    }

    fn news(&self) -> Option<watch::Receiver<u64>> {
        Some(self.news.subscribe())
    }

    fn withdraw(&self, signature: Signature, withdrawn_by: &str) -> Result<Option<Withdrawal>> {
        // A record that is on its way would come after its withdrawal.
        if !self.waiting.is_settled(signature, LOOKUP)? {
            let why = "the build record is still on its way to the database: ask again";
            return Err(RegistryError::Away(why.into()));
        }
        let (time_ns, withdrawn_by) = (now_ns(), withdrawn_by.to_owned());
        let withdrawal = self.connections.ask(WALK, move |client| {
            let withdrawn_by = withdrawn_by.clone();
            Box::pin(async move { withdraw::withdraw(client, signature, time_ns, &withdrawn_by).await })
        })?;
        self.summaries.removed(signature);
        Ok(withdrawal)
    }

    fn withdrawals(&self, limit: usize) -> Result<(Vec<Withdrawal>, bool)> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connections
            .ask(LOOKUP, move |client| Box::pin(async move { withdraw::last(client, limit).await }))
    }

    fn register_installation(&self, installation: &Installation) -> Result<()> {
        if self.acknowledges_commits {
            return self.commit_installation(installation);
        }
        self.installations.register(installation)?;
        // What does not arrive now arrives later.
        let _ = self.carry_waiting_installations();
        Ok(())
    }

    fn installations(&self, filter: &InstallationFilter) -> Result<InstallationPage> {
        self.installations_everywhere(filter)
    }

    fn tokens(&self) -> Result<Vec<StoredToken>> {
        self.all_tokens()
    }

    fn len(&self) -> Result<u64> {
        self.connections.ask(WALK, |client| Box::pin(read::count(client)))
    }
}

fn summary_of(build: &Build) -> Option<BuildSummary> {
    BuildRecord::decode(build.record.clone()).ok().map(|record| same_build::summary(&record))
}
