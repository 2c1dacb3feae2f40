//! Why the store's database could not do what it was asked to.

use crate::registry::RegistryError;

/// What the ledger answers with.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be asked now; this passes.
    #[error("the store's database is away: {0}")]
    Away(String),
    /// It answered with an error.
    #[error("the store's database refuses: {0}")]
    Refused(String),
    /// Anything else.
    #[error("{0}")]
    Other(RegistryError),
}

impl From<RegistryError> for LedgerError {
    fn from(cause: RegistryError) -> Self {
        match cause {
            RegistryError::Away(why) => LedgerError::Away(why),
            RegistryError::Refused { message, code } => LedgerError::Refused(format!("{message} ({code})")),
            other => LedgerError::Other(other),
        }
    }
}
