//! Why a link was not marked, or not registered. Only `decisions` of a saved link and strict builds
//! show it.

use ogrt_wrap::deliver::spool::SpoolError;
use ogrt_wrap::note::note_object::NoteObjectError;
use std::io;
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
    #[error("cannot write the note's object to a file that the linker can read: {0}")]
    NoteFile(io::Error),
    #[error("ogrt-ld has a fault (it panicked)")]
    Panic,
    #[error("the build record is lost: {0}")]
    Spool(#[from] SpoolError),
    #[error("cannot remove the note's object from the dependency file {path}: {source}", path = path.display())]
    DependencyFile { path: PathBuf, source: io::Error },
    #[error("cannot read the output {path}: {source}", path = path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("the linker left the note out of {path}", path = .0.display())]
    Lost(PathBuf),
}
