//! Why a job cannot be answered.

use crate::{ledger::LedgerError, registry::RegistryError};
use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub enum JobError {
    #[error("too many large jobs are asked for at once: ask again")]
    Busy,
    #[error("what is kept of a job is damaged: {0}")]
    Damaged(#[from] lz4_flex::block::DecompressError),
    #[error("{0}")]
    Store(#[from] fjall::Error),
    #[error("{0}")]
    Site(#[from] LedgerError),
    #[error("names of programs cannot be read: {0}")]
    Names(RegistryError),
}
