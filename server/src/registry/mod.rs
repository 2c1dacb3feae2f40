//! The registry: who built what, and what is in what. The first registration of a signature stands.
//!
//! [`Registry`] is what the server asks of it, [`embedded`] keeps it in the server's own database, [`postgres`] in one that
//! several servers may share. What both backends agree on is beside them: what a build is found by ([`found_by`]) and when two records are one build
//! ([`same_build`]). [`summaries`] is the memory in front of it that the join uses.

mod embedded;
mod error;
pub mod found_by;
mod installations;
mod lru_map;
mod packed_rows;
mod postgres;
mod same_build;
mod summaries;
pub mod transfer;
mod visited;

use embedded::Embedded;
pub use error::RegistryError;
use error::Result;
pub use found_by::Part;
pub use installations::{InstallationFilter, InstallationId, Installations};
pub use lru_map::LruMap;
use postgres::Postgres;
pub use summaries::{Summaries, Summary};

use crate::{
    config::{RegistryBackend, RegistryConfig},
    database::Store,
    metrics::Metrics,
};
use bytes::Bytes;
use found_by::Term;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tracing::info;

/// Most builds in an answer about what contains something.
pub const CONTAINING_MAX: usize = 2_000_000;

/// Longest chain of links that is followed.
pub const DEPTH_MAX: u32 = 64;

/// Most further builds of one reproducible signature that are kept.
pub const MADE_AGAIN_MAX: usize = 999;

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

/// What became of a registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// It is the first of its signature.
    New(Signature),
    /// The same build was registered before.
    Known(Signature),
    /// Another build has the signature; this one was not kept.
    Conflict(Signature),
    /// It is durable, and on its way to the registry's own database; the number names it.
    Accepted(Signature, u64),
    /// It cannot be decoded, or has no signature.
    #[default]
    Malformed,
}

/// A build whole.
#[derive(Clone, Debug)]
pub struct Build {
    /// As it was registered.
    pub record: Bytes,
    /// When, by the server's clock.
    pub registered_ns: i64,
    /// It is reproducible, and was made again: who, when, where, in the order of time.
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
    /// From what is kept for lists.
    pub fn of(brief: &BuildRecord) -> Self {
        ListedBuild { time_ns: brief.time_ns(), build: BuildSummary::from(brief) }
    }
}

/// Which builds to list; all of it must fit.
#[derive(Clone, Debug, Default)]
pub struct BuildFilter {
    /// What they are found by.
    pub terms: Vec<Term>,
    /// Of what contains this, however deep.
    pub containing: Option<Part>,
    /// Linked at or after this time, nanoseconds of Unix time.
    pub since_ns: Option<i64>,
    /// Linked before this time.
    pub until_ns: Option<i64>,
    /// Most builds in the answer.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<ListCursor>,
}

/// A place in a list: lists are in descending order of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    /// Time of the link; lists that name nothing but times are ordered by it.
    pub time_ns: i64,
    /// Grows with every registration; other lists are ordered by it alone.
    pub number: u64,
}

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The newest first.
    pub builds: Vec<ListedBuild>,
    /// Where to go on, if there may be more.
    pub next: Option<ListCursor>,
    /// What contains the part in question is more than was looked at.
    pub is_cut: bool,
}

/// What contains a part.
#[derive(Clone, Debug, Default)]
pub struct ContainingBuilds {
    /// The builds that the part is, or came out of.
    pub itself: Vec<Signature>,
    /// Builds that have it in them, with the number of links in between; nearest first, then the newest.
    pub builds: Vec<(Signature, u32)>,
    /// A bound was reached: there are more.
    pub is_cut: bool,
    /// It is a registered build, came out of one, or went into one.
    pub is_known: bool,
}

/// May a build go? Its signature, and when it was registered or made last.
pub type RetentionRule<'a> = &'a dyn Fn(Signature, i64) -> Result<bool>;

/// What became of a slice of builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetiredSlice {
    /// Removed.
    pub deleted: u64,
    /// The last that was looked at; `None` when there is none after it.
    pub last: Option<u64>,
}

/// Where builds are kept.
pub trait Registry: Send + Sync {
    /// Registers records in order. They are durable when the queue is synchronised next.
    fn register(&self, records: &[Bytes]) -> Result<Vec<Registration>>;

    /// What became of a registration that was accepted, if that is known within the time.
    fn outcome(&self, _ticket: u64, _within: Duration) -> Option<Registration> {
        None
    }

    /// May more be registered?
    fn has_room(&self) -> bool {
        true
    }

    /// The whole build.
    fn build(&self, signature: Signature) -> Result<Option<Build>>;

    /// What is joined.
    fn summary(&self, signature: Signature) -> Result<Option<BuildSummary>>;

    /// Of each of the signatures, no two of which are the same, in their order; none of one that is not registered.
    fn listed(&self, signatures: &[Signature]) -> Result<Vec<Option<ListedBuild>>>;

    /// Builds that fit.
    fn list(&self, filter: &BuildFilter) -> Result<Page>;

    /// Every build with the part in it, at most `depth_max` links deep.
    fn containing(&self, part: Part, depth_max: u32) -> Result<ContainingBuilds>;

    /// Builds in the order of registration, after the one with this number, each with its own.
    fn export(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Build)>>;

    /// Registers builds with all that an export tells of them; durable when it returns.
    fn import(&self, builds: &[Build]) -> Result<Vec<Registration>>;

    /// Removes builds that `may_delete` lets go, the oldest first: looks at those after `after`, at most `limit`. Never
    /// removes what was linked into a build that stays.
    fn retire(&self, after: Option<u64>, limit: usize, may_delete: RetentionRule<'_>)
    -> Result<RetiredSlice>;

    /// How many builds there are.
    fn len(&self) -> Result<u64>;
}
