//! The servers of a registry: each is known to the others, and they ask each other what ran there.
//!
//! A server writes into the table `servers` all the time that it is there. One that was not seen
//! for 30 days is left out, and so is one whose row an administrator removes
//! ([`ServersOfRegistry`]).

use super::{
    LOOKUP, Postgres,
    connections::Connections,
    inquiries,
    lease::{self, Lease},
    migrate::Tables,
    values::signature_uuid,
};
use crate::{
    config::RegistryConfig,
    registry::{UsedElsewhere, error::Result},
};
use ogrt_note::Signature;
use std::{
    sync::{Arc, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tracing::warn;
use uuid::Uuid;

/// How often a server says that it is there.
const SEEN_EVERY: Duration = Duration::from_secs(20);

/// A server that was seen within this time is there, and cannot be removed.
const IS_THERE: Duration = Duration::from_secs(300);

/// The time between two looks for the answers of others.
const ANSWERS_EVERY: Duration = Duration::from_millis(100);

/// What the other servers know of this one.
#[derive(Default)]
pub struct Presence {
    /// The time when it said that it is there.
    said: Option<Instant>,
    /// It deletes old builds.
    lease: Option<Lease>,
    /// The log has said that builds are acknowledged too early.
    warned: bool,
}

impl Postgres {
    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease to delete old builds, where this server had it when it asked last.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.presence().lease
    }

    pub(super) fn take_lease(&self, every: Duration) -> Result<bool> {
        let server = self.server;
        let lease = self.connections.ask(LOOKUP, move |client| {
            Box::pin(async move { lease::take(client, lease::RETENTION, server, every).await })
        })?;
        self.presence().lease = lease;
        Ok(lease.is_some())
    }

    pub(super) fn give_back_lease(&self) -> Result<()> {
        let Some(lease) = self.presence().lease.take() else { return Ok(()) };
        self.connections.ask(LOOKUP, move |client| {
            Box::pin(async move { lease::give_back(client, lease::RETENTION, lease).await })
        })
    }

    /// Asks all other servers, and adds what those said that are gone.
    pub(super) fn ask_servers(&self, signatures: &[Signature], within: Duration) -> Result<UsedElsewhere> {
        let (server, builds) = (self.server, signatures.len());
        let asked: Arc<[Uuid]> = signatures.iter().map(|build| signature_uuid(*build)).collect();
        let signatures = asked.clone();
        let inquiry = self.connections.ask(LOOKUP, move |client| {
            let signatures = signatures.clone();
            Box::pin(async move { inquiries::ask(client, server, &signatures).await })
        })?;
        let deadline = Instant::now() + within;
        let mut used = loop {
            let used = self.connections.ask(LOOKUP, move |client| {
                Box::pin(async move { inquiries::answers(client, server, inquiry, builds).await })
            })?;
            if used.silent.is_empty() || Instant::now() >= deadline {
                break used;
            }
            thread::sleep(ANSWERS_EVERY);
        };
        let gone = self.connections.ask(LOOKUP, move |client| {
            let asked = asked.clone();
            Box::pin(async move { inquiries::left_behind(client, server, inquiry, &asked).await })
        })?;
        for (known, last) in used.last_used.iter_mut().zip(gone) {
            *known = (*known).max(last);
        }
        self.connections
            .ask(LOOKUP, move |client| Box::pin(async move { inquiries::settle(client, inquiry).await }))?;
        Ok(used)
    }

    pub(super) fn next_inquiry(&self) -> Result<Option<(i64, Vec<Signature>)>> {
        let server = self.server;
        if self.presence().said.is_none_or(|said| said.elapsed() >= SEEN_EVERY) {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let others = self.connections.ask(LOOKUP, move |client| {
                let name = name.trim().to_owned();
                Box::pin(async move { inquiries::join(client, server, &name).await })
            })?;
            let mut presence = self.presence();
            presence.said = Some(Instant::now());
            if others > 0 && !self.acknowledges_commits && !std::mem::replace(&mut presence.warned, true) {
                warn!(
                    "other servers share the registry's database, and registry.acknowledge is \"disk\": a build that \
                     waits here is lost if this server's disk is lost. \"commit\" avoids that"
                );
            }
        }
        let inquiry = self
            .connections
            .ask(LOOKUP, move |client| Box::pin(async move { inquiries::next(client, server).await }))?;
        Ok(inquiry.map(|inquiry| (inquiry.id, inquiry.signatures)))
    }

    pub(super) fn answer_server(&self, inquiry: i64, last_used: Vec<Option<i64>>) -> Result<()> {
        let server = self.server;
        self.connections.ask(LOOKUP, move |client| {
            let last_used = last_used.clone();
            Box::pin(async move { inquiries::answer(client, server, inquiry, &last_used).await })
        })
    }

    pub(super) fn note_used_here(&self, last_used: &[(Signature, i64)]) -> Result<()> {
        let server = self.server;
        let last_used: Arc<[(Uuid, i64)]> =
            last_used.iter().map(|(signature, last_ns)| (signature_uuid(*signature), *last_ns)).collect();
        self.connections.ask(LOOKUP, move |client| {
            let last_used = last_used.clone();
            Box::pin(async move { inquiries::note(client, server, &last_used).await })
        })
    }
}

/// A server as the others know it.
#[derive(Clone, Debug)]
pub struct KnownServer {
    /// Its number, which its data directory holds.
    pub number: i64,
    /// The name of its machine.
    pub name: String,
    /// Seconds since it was seen.
    pub seen_s: i64,
}

/// The servers of a registry, for whoever administers them.
pub struct ServersOfRegistry {
    connections: Connections,
}

impl ServersOfRegistry {
    /// Connects when it is first needed.
    pub fn new(config: &RegistryConfig) -> anyhow::Result<Self> {
        Ok(ServersOfRegistry { connections: Connections::new(&config.database(), Tables::Registry, 1)? })
    }

    /// All of them, by their names.
    pub fn list(&self) -> anyhow::Result<Vec<KnownServer>> {
        Ok(self.connections.ask(LOOKUP, |client| {
            Box::pin(async move {
                let select = "SELECT server, name, EXTRACT(EPOCH FROM now() - seen)::bigint FROM servers
                    ORDER BY name, server";
                let rows = client.query(select, &[]).await?;
                let server = |row: &tokio_postgres::Row| KnownServer {
                    number: row.get(0),
                    name: row.get(1),
                    seen_s: row.get(2),
                };
                Ok(rows.iter().map(server).collect())
            })
        })?)
    }

    /// Removes a server by its name or number. One that is there cannot be removed.
    pub fn remove(&self, which: &str) -> anyhow::Result<()> {
        let fits = |server: &KnownServer| server.name == which || server.number.to_string() == which;
        let (there, gone): (Vec<_>, Vec<_>) = self
            .list()?
            .into_iter()
            .filter(fits)
            .partition(|server| server.seen_s < IS_THERE.as_secs() as i64);
        if let (Some(server), true) = (there.first(), gone.is_empty()) {
            anyhow::bail!(
                "the server {which} was seen {} seconds ago: stop it, and remove it after {} seconds",
                server.seen_s,
                IS_THERE.as_secs()
            );
        }
        if gone.is_empty() {
            anyhow::bail!("there is no server {which}: `ogrt-server servers list` shows all");
        }
        for KnownServer { number, .. } in gone {
            self.connections.ask(LOOKUP, move |client| {
                Box::pin(async move {
                    Ok(client.execute("DELETE FROM servers WHERE server = $1", &[&number]).await?)
                })
            })?;
        }
        Ok(())
    }
}
