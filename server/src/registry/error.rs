//! Why the registry could not do what it was asked to. The variants say what follows from it.
//!
//! [`RegistryError::Away`] passes: the same question may have an answer a moment later. So an event
//! waits for its build, and HTTP answers 503. Every other error stays until somebody mends its
//! cause: the event goes out without its build, and HTTP answers 500.
//! `server/tests/server/steering.rs` holds both.

use std::fmt::Display;

/// What a registry answers with.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry's own database cannot be asked now.
    #[error("the registry's database is away: {0}")]
    Away(String),
    /// The registry's own database answered with an error.
    #[error("the registry's database refuses: {message} ({code})")]
    Refused {
        /// The database's own words.
        message: String,
        /// The SQLSTATE.
        code: String,
    },
    /// A newer server wrote the registry.
    #[error(
        "the registry has format {format}, made by a newer ogrt-server; this one knows up to {known}. Use the newer \
         one, or move builds by `ogrt-server export` and `ogrt-server import`"
    )]
    NewerFormat {
        /// The format of the registry.
        format: u64,
        /// The newest format that this server can read.
        known: u64,
    },
    /// This server was too slow: another one may do what it was about to do.
    #[error("this server took too long, so another server may delete old builds now")]
    LeaseLost,
    /// Something that the registry keeps cannot be read.
    #[error("{what} is damaged: {why}")]
    Damaged { what: String, why: String },
    /// The server's own database failed.
    #[error("the server's own database failed: {0}")]
    Store(fjall::Error),
}

impl RegistryError {
    /// `what` is damaged, and `why` says what is wrong with it.
    pub fn damaged(what: impl Display, why: impl Display) -> Self {
        RegistryError::Damaged { what: what.to_string(), why: why.to_string() }
    }
}

impl From<fjall::Error> for RegistryError {
    fn from(cause: fjall::Error) -> Self {
        RegistryError::Store(cause)
    }
}

/// Turns a failure to read what is kept into [`RegistryError::Damaged`].
pub trait OrDamaged<T> {
    /// `what` says what could not be read.
    fn or_damaged<W: Display>(self, what: impl FnOnce() -> W) -> Result<T>;
}

impl<T, E: Display> OrDamaged<T> for std::result::Result<T, E> {
    fn or_damaged<W: Display>(self, what: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|why| RegistryError::damaged(what(), why))
    }
}
