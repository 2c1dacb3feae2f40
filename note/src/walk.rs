//! The bounded walk over the notes of one PT_NOTE segment or SHT_NOTE section.
//!
//! Linkers disagree about alignment: the gABI says 8 in ELF64, everybody writes 4, and gold puts
//! both into one segment that says 8. So a segment is walked with the alignment it declares, and,
//! where that walk finds none of our notes, once more with the other one. Our note reads the same
//! in both.

use crate::{ByteOrder, Note};

/// The walk of one segment ends after this many notes. Real segments hold fewer than ten.
pub const NOTES_MAX: usize = 4096;

/// One note of any owner as it stands in the segment; only its sizes are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawNote<'a> {
    /// The owner with its NULs: `namesz` bytes.
    pub owner: &'a [u8],
    /// The type; its meaning belongs to the owner.
    pub kind: u32,
    /// The descriptor without padding: `descsz` bytes.
    pub descriptor: &'a [u8],
}

/// Iterator over the notes of a segment. It ends at the first header that does not fit in it.
#[derive(Clone, Debug)]
pub struct RawNotes<'a> {
    segment: &'a [u8],
    order: ByteOrder,
    alignment: usize,
    offset: usize,
    left: usize,
}

impl<'a> RawNotes<'a> {
    /// Walks `segment` with the alignment that it declares (`p_align`); anything but 8 is taken as
    /// 4.
    pub fn new(segment: &'a [u8], order: ByteOrder, alignment: u64) -> Self {
        RawNotes { segment, order, alignment: if alignment == 8 { 8 } else { 4 }, offset: 0, left: NOTES_MAX }
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.segment.get(at..at.checked_add(4)?)?;
        Some(self.order.u32(bytes.try_into().ok()?))
    }

    fn read(&self) -> Option<(RawNote<'a>, usize)> {
        let owner_len = self.word(self.offset)? as usize;
        let descriptor_len = self.word(self.offset.checked_add(4)?)? as usize;
        let kind = self.word(self.offset.checked_add(8)?)?;
        let owner_at = self.offset.checked_add(12)?;
        let owner_end = owner_at.checked_add(owner_len)?;
        let descriptor_at = owner_end.checked_next_multiple_of(self.alignment)?;
        let descriptor_end = descriptor_at.checked_add(descriptor_len)?;
        let note = RawNote {
            owner: self.segment.get(owner_at..owner_end)?,
            kind,
            descriptor: self.segment.get(descriptor_at..descriptor_end)?,
        };
        Some((note, descriptor_end.checked_next_multiple_of(self.alignment)?))
    }
}

impl<'a> Iterator for RawNotes<'a> {
    type Item = RawNote<'a>;

    fn next(&mut self) -> Option<RawNote<'a>> {
        self.left = self.left.checked_sub(1)?;
        match self.read() {
            Some((note, next)) => {
                self.offset = next;
                Some(note)
            }
            None => {
                self.left = 0;
                None
            }
        }
    }
}

/// Our notes in a segment, in file order; a file can hold several.
///
/// `alignment` is the segment's `p_align` or the section's `sh_addralign`.
pub fn notes(segment: &[u8], order: ByteOrder, alignment: u64) -> impl Iterator<Item = Note<'_>> + Clone {
    let walk = move |alignment| {
        RawNotes::new(segment, order, alignment).filter_map(move |raw| Note::from_raw(&raw, order))
    };
    let (declared, other) = if alignment == 8 { (8, 4) } else { (4, 8) };
    let alignment = if walk(declared).next().is_some() { declared } else { other };
    walk(alignment)
}

/// The GNU build-id in a segment (owner `GNU`, type 3), if it has 1 to 64 bytes.
pub fn build_id(segment: &[u8], order: ByteOrder, alignment: u64) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let walk = |alignment| {
        RawNotes::new(segment, order, alignment)
            .find(|note| note.owner == b"GNU\0" && note.kind == NT_GNU_BUILD_ID)
            .map(|note| note.descriptor)
            .filter(|id| (1..=64).contains(&id.len()))
    };
    walk(alignment).or_else(|| walk(if alignment == 8 { 4 } else { 8 }))
}
