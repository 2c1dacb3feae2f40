//! Why a link was not marked, or not registered: known to `decisions` of a saved link and to strict builds, and to nobody else.

use ogrt_wrap::deliver::spool::SpoolError;
use ogrt_wrap::note::note_object::NoteObjectError;
use std::path::PathBuf;

/// Why a link was not marked, or not registered.
#[derive(Debug, thiserror::Error)]
pub enum Unmarked {
    #[error("no input is an ELF object or archive")]
    NoElfInput,
    #[error("the driver can neither be led to us nor take an object")]
    UnknownDriver,
    #[error("there is no safe place for the note on the line")]
    NoPlace,
    #[error(transparent)]
    Object(#[from] NoteObjectError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a fault in ogrt-ld")]
    Panic,
    #[error("the record is lost: {0}")]
    Spool(#[from] SpoolError),
    #[error("the note is not in the output {0}")]
    Lost(PathBuf),
}
