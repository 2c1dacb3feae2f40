//! One note of ours: both versions of its descriptor are read, version 2 is written.
//!
//! Version 2: byte 0 version = 2, byte 1 flags, bytes 2 and 3 reserved (zero), u32 length of the
//! metadata, 16 bytes of UUID, metadata, zero padding to a multiple of eight. Version 1 (OGRT 0.5):
//! byte 0 version = 1, 36 characters of UUID, NUL.

use crate::{ByteOrder, METADATA_MAX, OWNER, OWNER_V1, RawNote, Signature, TYPE, VERSION};
use core::fmt;

const HEADER: usize = 12;
const FIXED: usize = 24;

/// The content of one note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// 1 in notes of OGRT 0.5, 2 in ours.
    pub version: u8,
    /// Reserved: zero in every note that was written so far.
    pub flags: u8,
    /// The UUID that names the build.
    pub signature: Signature,
    /// The bytes of a protobuf `BuildMetadata`, which are not checked; empty in version 1.
    pub metadata: &'a [u8],
}

/// Why a note could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The metadata is longer than [`METADATA_MAX`].
    MetadataTooLong {
        /// Length of the metadata in bytes.
        len: usize,
    },
    /// The buffer is shorter than [`encoded_len`].
    BufferTooShort {
        /// Length in bytes that the buffer must have.
        needed: usize,
    },
}

impl<'a> Note<'a> {
    /// Reads one of our notes; `None` when it is somebody else's or malformed.
    pub fn from_raw(raw: &RawNote<'a>, order: ByteOrder) -> Option<Self> {
        if raw.kind != TYPE {
            return None;
        }
        match raw.owner {
            owner if *owner == OWNER => Self::version_2(raw.descriptor, order),
            owner if *owner == OWNER_V1 => Self::version_1(raw.descriptor),
            _ => None,
        }
    }

    /// Reads a note of this version; `None` for every other.
    pub fn current(raw: &RawNote<'a>, order: ByteOrder) -> Option<Self> {
        let is_ours = raw.kind == TYPE && *raw.owner == OWNER;
        if is_ours { Self::version_2(raw.descriptor, order) } else { None }
    }

    fn version_2(descriptor: &'a [u8], order: ByteOrder) -> Option<Self> {
        let (fixed, rest) = descriptor.split_at_checked(FIXED)?;
        let &[version, flags, _, _, l0, l1, l2, l3, ..] = fixed else { return None };
        let metadata_len = order.u32([l0, l1, l2, l3]) as usize;
        if version != VERSION || metadata_len > METADATA_MAX {
            return None;
        }
        Some(Note {
            version,
            flags,
            signature: Signature::from_slice(fixed.get(8..)?)?,
            metadata: rest.get(..metadata_len)?,
        })
    }

    fn version_1(descriptor: &'a [u8]) -> Option<Self> {
        let (&version, rest) = descriptor.split_first()?;
        let text = rest.get(..Signature::TEXT_LEN)?;
        let signature = Signature::parse(text).ok()?;
        (version == 1).then_some(Note { version, flags: 0, signature, metadata: &[] })
    }
}

/// The number of bytes that [`encode`] writes for metadata of this length; a multiple of eight.
pub const fn encoded_len(metadata_len: usize) -> usize {
    HEADER + OWNER.len() + (FIXED + metadata_len).next_multiple_of(8)
}

/// Writes a whole version 2 note, header and owner included, to the start of `out`.
///
/// Returns the number of bytes written, [`encoded_len`]`(metadata.len())`.
pub fn encode(
    order: ByteOrder,
    signature: Signature,
    metadata: &[u8],
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    if metadata.len() > METADATA_MAX {
        return Err(EncodeError::MetadataTooLong { len: metadata.len() });
    }
    let needed = encoded_len(metadata.len());
    let note = out.get_mut(..needed).ok_or(EncodeError::BufferTooShort { needed })?;
    note.fill(0);
    let descriptor_len = needed - HEADER - OWNER.len();
    note[0..4].copy_from_slice(&order.u32_bytes(OWNER.len() as u32));
    note[4..8].copy_from_slice(&order.u32_bytes(descriptor_len as u32));
    note[8..12].copy_from_slice(&order.u32_bytes(TYPE));
    note[HEADER..HEADER + OWNER.len()].copy_from_slice(&OWNER);
    let descriptor = &mut note[HEADER + OWNER.len()..];
    descriptor[0] = VERSION;
    descriptor[4..8].copy_from_slice(&order.u32_bytes(metadata.len() as u32));
    descriptor[8..FIXED].copy_from_slice(signature.as_bytes());
    descriptor[FIXED..FIXED + metadata.len()].copy_from_slice(metadata);
    Ok(needed)
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::MetadataTooLong { len } => {
                write!(f, "the metadata has {len} bytes, and a note holds at most {METADATA_MAX}")
            }
            EncodeError::BufferTooShort { needed } => {
                write!(f, "the note needs {needed} bytes, and the buffer is shorter")
            }
        }
    }
}

impl core::error::Error for EncodeError {}
