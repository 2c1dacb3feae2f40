//! What the note's object is like, where it stands on a line, and in what kind of file.

use ogrt_wrap::elf_head::ElfIdentity;
use ogrt_wrap::line::link_line::NamedInput;
use ogrt_wrap::note::note_file::{Medium, NoteFile};
use ogrt_wrap::note::object_properties::ObjectProperties;
use std::ffi::OsString;
use std::fmt;
use std::io;

/// What the note's object will be like.
#[derive(Debug)]
pub struct NotePlan {
    /// The format of the object.
    pub identity: ElfIdentity,
    /// What the object says about itself as a whole.
    pub properties: ObjectProperties,
    /// The input whose format and properties it copies.
    pub like: NamedInput,
    /// The compiler of the project's own objects in a few words.
    pub compiler: Option<String>,
}

/// The position of the note's object on the line, and its kind of file.
#[derive(Debug)]
pub struct NotePlacement {
    /// The position on the line.
    pub position: NotePosition,
    /// The kind of file.
    pub medium: Medium,
    /// The tool was seen to take a note like this.
    pub is_tried: bool,
}

/// A position on the tool's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotePosition {
    /// The linker's argument with this index.
    Argument(usize),
    /// The front of a driver's line, where no option before it can say that it is something else.
    Front,
    /// The end of the line of a driver that tells files by their names.
    End,
}

impl NotePosition {
    /// Writes the object to a file that the tool can read, and puts that file's name among the
    /// arguments.
    pub fn put(
        self,
        object: &[u8],
        medium: Medium,
        arguments: &[OsString],
    ) -> io::Result<(NoteFile, Vec<OsString>)> {
        let file = NoteFile::create(object, medium)?;
        let name = OsString::from(file.path());
        let (at, words) = match self {
            NotePosition::Argument(index) => (index, vec![name]),
            NotePosition::Front => (0, vec!["-Xlinker".into(), name]),
            NotePosition::End => (arguments.len(), vec![name]),
        };
        let mut with_note = Vec::with_capacity(arguments.len() + words.len());
        with_note.extend_from_slice(&arguments[..at]);
        with_note.extend(words);
        with_note.extend_from_slice(&arguments[at..]);
        Ok((file, with_note))
    }
}

impl fmt::Display for NotePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotePosition::Argument(index) => write!(f, "as the linker's argument {index}"),
            NotePosition::Front => f.write_str("at the front of the driver's line"),
            NotePosition::End => f.write_str("at the end of the driver's line"),
        }
    }
}
