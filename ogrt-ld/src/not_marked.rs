//! Why a link was not marked, or not registered. Only `decisions` of a saved link and strict builds
//! show it.

use ogrt_wrap::deliver::connection::DeliverError;
use ogrt_wrap::deliver::spool::SpoolError;
use ogrt_wrap::note::note_object::NoteObjectError;
use std::io;
use std::path::PathBuf;

/// Why a link was not marked, or not registered.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    #[error("{0}")]
    Special(&'static str),
    #[error("no input is an ELF object or archive")]
    NoElfInput,
    #[error("{path} is an object of another format than ELF", path = .0.display())]
    ForeignObject(PathBuf),
    #[error("{path} neither runs our linker nor takes an object by its name", path = .0.display())]
    UnknownDriver(PathBuf),
    #[error("{path} does not link the note in a trial", path = .0.display())]
    UnknownLinker(PathBuf),
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
    #[error("the build is not registered: {0}; its record waits in the spool")]
    Unregistered(DeliverError),
    #[error("cannot remove the note's object from the dependency file {path}: {source}", path = path.display())]
    DependencyFile { path: PathBuf, source: io::Error },
    #[error("cannot read the output {path}: {source}", path = path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Refused(&'static str),
    #[error("the linker left the note out of {path}", path = .0.display())]
    Lost(PathBuf),
    #[error("cannot write the signature into {path}: {source}", path = path.display())]
    Unsealed { path: PathBuf, source: io::Error },
}

impl MarkError {
    /// The output is one that gets no note, so that a strict build goes on.
    pub fn is_intended(&self) -> bool {
        matches!(self, MarkError::Special(_) | MarkError::ForeignObject(_))
    }
}
