//! The bytes of `.note.ogrt`: how it is written, and how it is found again.
//!
//! It is one ELF note (gABI, "Note Section") with owner `OGRT`, padded with NUL to twelve bytes,
//! and type [`TYPE`]. With that owner the descriptor starts on an 8-byte boundary, and its length
//! is kept a multiple of eight, so a parser that aligns to 4 and one that aligns to 8 agree on
//! every byte (gold puts both kinds into one segment).
//!
//! Policy: this crate runs inside every process of a site. It allocates nothing, depends on
//! nothing, and has no `unsafe`. It believes nothing that it reads: sizes are checked against the
//! segment before use, and the number of notes is bounded. Damaged bytes make it find less and
//! never panic (`damage_is_survived` in `tests/note.rs`, the fuzz target `note_walk`). It knows
//! nothing of files or memory maps: callers bring bytes.
//!
//! The metadata inside a note is a protobuf `BuildMetadata` (see `proto/ogrt.proto`); here it is
//! opaque.
#![no_std]
#![forbid(unsafe_code)]

mod descriptor;
mod signature;
mod walk;

pub use descriptor::{EncodeError, Note, encode, encoded_len};
pub use signature::{ParseSignatureError, Signature};
pub use walk::{NOTES_MAX, RawNote, RawNotes, build_id, notes};

/// Name of the section that holds the note.
pub const SECTION: &str = ".note.ogrt";

/// Owner of a version 2 note: `OGRT`, NUL-padded so that `(12 + namesz) % 8 == 0`.
pub const OWNER: [u8; 12] = *b"OGRT\0\0\0\0\0\0\0\0";

/// Owner of a version 1 note, as OGRT 0.5 wrote it.
pub const OWNER_V1: [u8; 5] = *b"OGRT\0";

/// Type of the note in both versions: the letters `OGRT` read as a big-endian number.
pub const TYPE: u32 = 0x4F47_5254;

/// Version that [`encode`] writes.
pub const VERSION: u8 = 2;

/// Alignment of the section and of its segment, in bytes.
pub const ALIGNMENT: u64 = 4;

/// Longest metadata of a note, in bytes. [`encode`] refuses longer metadata, and the walk skips
/// such a note.
pub const METADATA_MAX: usize = 16 * 1024;

/// Order of the bytes in a number: that of the target, not of the machine that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first (`ELFDATA2LSB`).
    Little,
    /// Most significant byte first (`ELFDATA2MSB`).
    Big,
}

impl ByteOrder {
    /// The order of the machine this code was compiled for.
    pub const NATIVE: ByteOrder =
        if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

    pub(crate) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(crate) fn u32_bytes(self, value: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }
}
