//! The registry: who built what, and what is in what. The first registration of a signature stands.
//!
//! [`Registry`] is what the server asks of it. [`embedded`] keeps it in the server's own database,
//! [`postgres`] in one that several servers may share. What both backends agree on stands beside
//! them: what a build is found by ([`found_by`]), and when two records describe one build
//! ([`same_build`]). [`summaries`] is the cache that the join uses.

mod embedded;
mod error;
pub mod found_by;
mod installations;
mod lru_map;
mod packed_rows;
mod postgres;
mod registrar;
mod same_build;
mod summaries;
pub mod transfer;
mod visited;

use embedded::Embedded;
pub use error::RegistryError;
use error::Result;
pub use found_by::Part;
pub use installations::{InstallationFilter, InstallationId, InstallationPage, read_installation};
pub use lru_map::LruMap;
use postgres::Postgres;
pub use postgres::lease;
pub use postgres::{DatabaseConnections, DatabaseListener, DatabaseSession, SessionWork, TableList, Tables};
pub use postgres::{KnownServer, ServersOfRegistry};
pub use registrar::{RecordSender, stamp};
pub use summaries::{RegisteredBuilds, Summaries, Summary};

use crate::{
    config::{Config, RegistryBackend, RegistryConfig},
    database::Store,
    metrics::Metrics,
    tokens::{StoredToken, TokenStore, TokensOfServer},
};
use bytes::Bytes;
use found_by::Term;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary, Installation};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::info;

/// Most builds in an answer about what contains something.
pub const CONTAINING_MAX: usize = 2_000_000;

/// Longest chain of links that a walk follows.
pub const DEPTH_MAX: u32 = 64;

/// Most rebuilds of one reproducible signature that are kept.
pub const MADE_AGAIN_MAX: usize = 999;

/// Most bytes that one page of whole records or installations has, but for its first. Each of them
/// may have as many as a message.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

/// Opens the registry that is configured.
pub fn open(
    config: &RegistryConfig,
    store: &Store,
    summaries: Arc<Summaries>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Arc<dyn Registry>> {
    match config.backend {
        RegistryBackend::Embedded => {
            info!("registry: embedded");
            Ok(Arc::new(Embedded::open(store.registry(), summaries, metrics)?))
        }
        RegistryBackend::Postgres => {
            info!("registry: postgres");
            Ok(Arc::new(Postgres::open(config, store.waiting(), summaries, metrics)?))
        }
    }
}

/// The tokens that a server knows with this configuration, for whoever changes them.
pub fn token_store(config: &Config) -> anyhow::Result<Box<dyn TokenStore>> {
    let own = TokensOfServer { path: config.tokens_file() };
    Ok(match config.registry.backend {
        RegistryBackend::Embedded => Box::new(own),
        RegistryBackend::Postgres => Box::new(postgres::token_store(&config.registry, own)?),
    })
}

/// The servers that share the registry of this configuration.
pub fn servers(config: &Config) -> anyhow::Result<ServersOfRegistry> {
    match config.registry.backend {
        RegistryBackend::Embedded => {
            anyhow::bail!("the registry is embedded (registry.backend), so no other server shares it")
        }
        RegistryBackend::Postgres => ServersOfRegistry::new(&config.registry),
    }
}

/// The outcome of a registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// The build is the first with its signature.
    New(Signature),
    /// The same build was registered before.
    Known(Signature),
    /// Another build has the signature; this record was not kept.
    Conflict(Signature),
    /// The record is durable, and on its way to the registry's own database. The number is its
    /// ticket.
    Accepted(Signature, u64),
    /// The record cannot be decoded, or has no signature.
    #[default]
    Malformed,
}

/// A whole build.
#[derive(Clone, Debug)]
pub struct Build {
    /// The build record, as it was registered.
    pub record: Bytes,
    /// Time of registration, by the server's clock.
    pub registered_ns: i64,
    /// Rebuilds of a reproducible build, in the order of time: who, when, where.
    pub made_again: Vec<BuildRecord>,
}

/// One line of a list.
#[derive(Clone, Debug, Serialize)]
pub struct ListedBuild {
    /// Time of the link.
    pub time_ns: i64,
    /// The build.
    #[serde(flatten)]
    pub build: BuildSummary,
}

impl ListedBuild {
    /// The line of a list that belongs to this short record.
    pub fn of(brief: &BuildRecord) -> Self {
        ListedBuild { time_ns: brief.time_ns(), build: same_build::summary(brief) }
    }
}

/// The conditions of a list of builds; a build must fit all of them.
#[derive(Clone, Debug, Default)]
pub struct BuildFilter {
    /// Terms that the build is found by.
    pub terms: Vec<Term>,
    /// Builds that contain this part, however deep.
    pub containing: Option<Part>,
    /// Builds linked at or after this time, in nanoseconds of Unix time.
    pub since_ns: Option<i64>,
    /// Builds linked before this time.
    pub until_ns: Option<i64>,
    /// Most builds in the answer.
    pub limit: usize,
    /// The end of the page before.
    pub after: Option<ListCursor>,
}

/// The place in a list where the next page begins. Lists are in descending order of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    /// Time of the link. Lists that are narrowed by times alone are ordered by it.
    pub time_ns: i64,
    /// The build's number, which grows with every registration. Other lists are ordered by it
    /// alone.
    pub number: u64,
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The newest first.
    pub builds: Vec<ListedBuild>,
    /// The beginning of the next page, if there may be one.
    pub next: Option<ListCursor>,
    /// More builds contain the part than were looked at.
    pub is_cut: bool,
}

/// The builds that contain a part.
#[derive(Clone, Debug, Default)]
pub struct ContainingBuilds {
    /// The builds that the part is, or came out of.
    pub itself: Vec<Signature>,
    /// Builds that contain it, with the number of links between; the nearest first, then the
    /// newest.
    pub builds: Vec<(Signature, u32)>,
    /// A bound was reached: there are more builds.
    pub is_cut: bool,
    /// The part is a registered build, came out of one, or went into one.
    pub is_known: bool,
}

/// Decides whether a build may be deleted, from its signature and the time when it was registered
/// or made last.
pub type RetentionRule<'a> = &'a dyn Fn(Signature, i64) -> Result<bool>;

/// The outcome of [`Registry::retire`] for one slice of builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetiredSlice {
    /// How many builds were deleted.
    pub deleted: u64,
    /// The last build that was looked at; `None` if none comes after it.
    pub last: Option<u64>,
}

/// When builds last ran at the other servers of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedElsewhere {
    /// Nanoseconds of Unix time, in the order of the builds; `None` for one that did not run there.
    pub last_used: Vec<Option<i64>>,
    /// The names of servers that did not answer.
    pub silent: BTreeSet<String>,
}

/// A build that an administrator has withdrawn: what the registry keeps of that.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    /// The time of the withdrawal, by the server's clock.
    pub time_ns: i64,
    /// The name of the token that permitted it.
    pub withdrawn_by: String,
    /// The build as it was registered.
    pub build: Build,
}

/// A registry of builds.
pub trait Registry: Send + Sync {
    /// Registers records in order. They are durable when the queue is flushed next.
    fn register(&self, records: &[Bytes]) -> Result<Vec<Registration>>;

    /// The outcome of an accepted registration, if it is known within the time.
    fn outcome(&self, _ticket: u64, _within: Duration) -> Option<Registration> {
        None
    }

    /// Is a registration acknowledged only when it is in the registry's own database?
    fn acknowledges_commits(&self) -> bool {
        false
    }

    /// Can registrations be acknowledged now? If not, their clients keep them.
    fn may_acknowledge(&self) -> bool {
        true
    }

    /// Waits until an accepted registration is in the registry's own database; false where it is
    /// not there within the time, or the database is away.
    fn is_committed(&self, _ticket: u64, _within: Duration) -> bool {
        true
    }

    /// Is there room for more registrations?
    fn has_room(&self) -> bool {
        true
    }

    /// The whole build.
    fn build(&self, signature: Signature) -> Result<Option<Build>>;

    /// The part of a build record that documents show.
    fn summary(&self, signature: Signature) -> Result<Option<BuildSummary>>;

    /// The lines of a list for these signatures, in their order; `None` for one that is not
    /// registered. The signatures are distinct.
    fn listed(&self, signatures: &[Signature]) -> Result<Vec<Option<ListedBuild>>>;

    /// A page of the builds that fit.
    fn list(&self, filter: &BuildFilter) -> Result<Page>;

    /// Every build that contains the part, at most `depth_max` links deep.
    fn containing(&self, part: Part, depth_max: u32) -> Result<ContainingBuilds>;

    /// Builds with their numbers, in the order of registration, from the one after `after`: at most
    /// `limit`, and no more bytes than a page has. Only where there are none, there are no more.
    fn export(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Build)>>;

    /// Registers builds as an export holds them, durable when this returns.
    fn import(&self, builds: &[Build]) -> Result<Vec<Registration>>;

    /// Deletes old builds, the oldest first: looks at `limit` builds after `after`, and deletes
    /// those that `may_delete` allows. A build that another one contains stays.
    fn retire(&self, after: Option<u64>, limit: usize, may_delete: RetentionRule<'_>)
    -> Result<RetiredSlice>;

    /// When these builds last ran at the other servers of the registry, which are asked.
    fn used_elsewhere(&self, signatures: &[Signature], _within: Duration) -> Result<UsedElsewhere> {
        Ok(UsedElsewhere { last_used: vec![None; signatures.len()], silent: BTreeSet::new() })
    }

    /// A question of another server, with the builds of which it wants to know when they last ran
    /// here.
    fn inquiry(&self) -> Result<Option<(i64, Vec<Signature>)>> {
        Ok(None)
    }

    /// The answer to [`Registry::inquiry`], in the order of its builds.
    fn answer_inquiry(&self, _inquiry: i64, _last_used: Vec<Option<i64>>) -> Result<()> {
        Ok(())
    }

    /// Signatures of all builds, in pages: those after the page that ended here, and where they
    /// end. `None` after the last, and where no other server has this registry.
    fn signatures(&self, _after: Option<i64>) -> Result<Option<(i64, Vec<Signature>)>> {
        Ok(None)
    }

    /// Notes for the other servers when builds ran last here, in nanoseconds of Unix time.
    fn note_last_used(&self, _last_used: &[(Signature, i64)]) -> Result<()> {
        Ok(())
    }

    /// Takes or renews the lease to delete old builds; false where another server has it, or a pass
    /// ended within the time `every`.
    fn take_retention(&self, _every: Duration) -> Result<bool> {
        Ok(true)
    }

    /// Gives the lease back after a pass.
    fn end_retention(&self) -> Result<()> {
        Ok(())
    }

    /// Changes when other servers have written tokens or questions; `None` where no other server
    /// has this registry.
    fn news(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Deletes a build, whatever contains it, and keeps the withdrawal. The signature may be
    /// registered again. `None` where nobody registered it.
    fn withdraw(&self, signature: Signature, withdrawn_by: &str) -> Result<Option<Withdrawal>>;

    /// The last withdrawals, the newest first: at most `limit`, and no more bytes than a page has.
    /// True if there are more.
    fn withdrawals(&self, limit: usize) -> Result<(Vec<Withdrawal>, bool)>;

    /// Registers an installation, durable when this returns. The same one again changes nothing.
    fn register_installation(&self, installation: &Installation) -> Result<()>;

    /// A page of the installations that fit, the newest first.
    fn installations(&self, filter: &InstallationFilter) -> Result<InstallationPage>;

    /// The tokens that hold at every server of the registry.
    fn tokens(&self) -> Result<Vec<StoredToken>> {
        Ok(Vec::new())
    }

    /// How many builds there are.
    fn len(&self) -> Result<u64>;
}
