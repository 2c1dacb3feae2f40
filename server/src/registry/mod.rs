//! The registry: who built what. The first registration of a signature stands.
//!
//! [`Registry`] is what the server asks of it, [`embedded`] keeps it in the server's own database, and
//! [`summaries`] is the memory in front of it that the join uses.

mod embedded;
mod installations;
mod summaries;

pub use embedded::Embedded;
pub use installations::{InstallationFilter, InstallationId, Installations};
pub use summaries::{Summaries, Summary};

use anyhow::Result;
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary};

/// What became of a registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// It is the first of its signature.
    New(Signature),
    /// The same build was registered before.
    Known(Signature),
    /// Another build has the signature; this one was not kept.
    Conflict(Signature),
    /// It cannot be decoded, or has no signature.
    #[default]
    Malformed,
}

/// Which builds to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of software with this name.
    pub name: Option<String>,
    /// By this user (name or uid).
    pub user: Option<String>,
    /// Linked at or after this time, nanoseconds of Unix time.
    pub since_ns: Option<i64>,
    /// Most builds in the answer.
    pub limit: usize,
}

/// Where builds are kept.
pub trait Registry: Send + Sync {
    /// Registers records in order. They are durable when the queue is synchronised next.
    fn register(&self, records: &[Bytes]) -> Result<Vec<Registration>>;

    /// The whole record.
    fn record(&self, signature: Signature) -> Result<Option<BuildRecord>>;

    /// What is joined.
    fn summary(&self, signature: Signature) -> Result<Option<BuildSummary>>;

    /// Builds, the newest first, with the time of their links in nanoseconds.
    fn list(&self, filter: &Filter) -> Result<Vec<(i64, BuildSummary)>>;
}
