//! Where an interpreter keeps what: a table for 2.7 and 3.6 to 3.12, and what 3.13 and later say of
//! themselves. docs/howto/add-a-python-version.md tells how to add one.
//!
//! The numbers are `offsetof` of CPython's own headers. They are the same on all machines of 64
//! bits, and for all releases of a version. What is read with them is checked, so that a build of
//! another layout gives no names, never wrong ones.

use super::{
    memory::{Obstacle, Reader, long},
    version::PythonVersion,
};

/// The places of fields, in bytes from the beginning of their structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The first interpreter, in the state of the runtime. 2.7 and 3.6 have a variable of its own.
    pub head: Option<u64>,
    /// The next interpreter, in an interpreter.
    pub next: u64,
    /// Its threads, in an interpreter.
    pub threads: u64,
    /// The dictionary `sys.modules`, in an interpreter.
    pub modules: u64,
    /// The interpreter, in a thread.
    pub owner: u64,
    /// The size of the head of each object, which ends with its type.
    pub object_head: u64,
    /// The form of dictionaries.
    pub table: TableForm,
    /// The form of texts.
    pub text: TextForm,
}

/// The forms of a dictionary's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableForm {
    /// One open table of hashes, keys and values (2.7).
    Open,
    /// A table of indices and a list of hashes, keys and values (3.6 to 3.10).
    Compact,
    /// The same with a shorter head, and without hashes where all keys are texts (3.11 and later).
    CompactByKind,
}

/// The forms of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// Bytes behind a head (2.7).
    Bytes,
    /// Characters of one width behind a head: its size for ASCII, and for all others.
    Characters { ascii: u64, other: u64 },
}

/// A version, and where its interpreter keeps what: head, next, threads, modules, owner.
type Row = (u8, Option<u64>, u64, u64, u64, u64);

const ROWS: [Row; 7] = [
    (6, None, 0, 8, 16, 16),
    (7, Some(24), 0, 8, 40, 16),
    (8, Some(32), 0, 8, 56, 16),
    (9, Some(32), 0, 8, 856, 16),
    (10, Some(32), 0, 8, 856, 16),
    (11, Some(40), 0, 16, 888, 16),
    (12, Some(40), 0, 72, 944, 16),
];

/// The head of each object, and of one in an interpreter without the global lock.
const OBJECT_HEAD: u64 = 16;
const FREE_THREADED_OBJECT_HEAD: u64 = 32;

/// What a layout that describes itself begins with.
const COOKIE: &[u8; 8] = b"xdebugpy";

/// The structures of an interpreter are smaller than this.
const OFFSET_MAX: u64 = 16 << 20;

impl Layout {
    /// The layout of a version up to 3.12.
    pub fn of(version: PythonVersion) -> Option<Self> {
        if (version.major, version.minor) == (2, 7) {
            return Some(Layout {
                head: None,
                next: 0,
                threads: 8,
                modules: 16,
                owner: 8,
                object_head: OBJECT_HEAD,
                table: TableForm::Open,
                text: TextForm::Bytes,
            });
        }
        let row = ROWS.iter().find(|row| version.major == 3 && version.minor == row.0)?;
        let &(minor, head, next, threads, modules, owner) = row;
        Some(Layout {
            head,
            next,
            threads,
            modules,
            owner,
            object_head: OBJECT_HEAD,
            table: if minor < 11 { TableForm::Compact } else { TableForm::CompactByKind },
            text: TextForm::of(OBJECT_HEAD, minor),
        })
    }

    /// The version and layout that a runtime's state describes. The layout is `None` for a version
    /// that is not known here.
    pub fn described(reader: &Reader, state: u64) -> Result<Option<(PythonVersion, Option<Self>)>, Obstacle> {
        // Words: the cookie, the version, free threading; of the runtime three, the last its head;
        // of the interpreter its size, id, next, threads.
        let words: [u8; 13 * 8] = reader.array(state)?;
        let word = |index: usize| long(&words, index * 8);
        if !words.starts_with(COOKIE) {
            return Ok(None);
        }
        let version = PythonVersion::from_hex(word(1)?).ok_or(Obstacle::Nonsense)?;
        let modules = match (version.major, version.minor) {
            (3, 13) => word(11)?,
            // Behind the threads the main thread.
            (3, 14 | 15) => word(12)?,
            _ => return Ok(Some((version, None))),
        };
        let object_head = if word(2)? == 0 { OBJECT_HEAD } else { FREE_THREADED_OBJECT_HEAD };
        let layout = Layout {
            head: Some(word(5)?),
            next: word(8)?,
            threads: word(9)?,
            modules,
            owner: 16,
            object_head,
            table: TableForm::CompactByKind,
            text: TextForm::of(object_head, version.minor),
        };
        let is_plausible =
            [word(5)?, layout.next, layout.threads, modules].iter().all(|offset| *offset < OFFSET_MAX);
        if is_plausible { Ok(Some((version, Some(layout)))) } else { Err(Obstacle::Nonsense) }
    }

    /// The place of the type, in an object.
    pub fn kind(&self) -> u64 {
        self.object_head - 8
    }

    /// The place of the name, in a type.
    pub fn type_name(&self) -> u64 {
        self.object_head + 8
    }
}

impl TextForm {
    /// The form in 3.x. Up to 3.11 a text had another copy as wide characters.
    fn of(object_head: u64, minor: u8) -> Self {
        let has_wide_copy = minor < 12;
        let ascii = object_head + if has_wide_copy { 32 } else { 24 };
        TextForm::Characters { ascii, other: ascii + if has_wide_copy { 24 } else { 16 } }
    }
}
