//! Why a link was not marked, or not registered: known to `decisions` of a saved link and to strict builds, and to nobody else.

use ogrt_wrap::deliver::spool::SpoolError;
use ogrt_wrap::note::note_object::NoteObjectError;
use std::path::PathBuf;

/// Why a link was not marked, or not registered.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    #[error("no input is an ELF object or archive")]
    NoElfInput,
    #[error("the compiler driver neither runs our linker nor takes an object by its name")]
    UnknownDriver,
    #[error("the command line has no safe position for the note")]
    NoPosition,
    #[error(transparent)]
    Object(#[from] NoteObjectError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("ogrt-ld has a fault (it panicked)")]
    Panic,
    #[error("the build record is lost: {0}")]
    Spool(#[from] SpoolError),
    #[error("the linker left the note out of {path}", path = .0.display())]
    Lost(PathBuf),
}
