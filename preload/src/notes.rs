//! The notes of a loaded object as they stand in an event.

use crate::{encoder::Encoder, field_numbers::note, linkage::IS_STATIC, loaded_object::LoadedObject};
use ogrt_note::{ByteOrder, Note, RawNote, RawNotes};

/// Most notes of one object that are sent. An object linked from many marked archives has a few.
const NOTES_MAX: usize = 256;
/// Most notes of one object that are sent with their metadata, which can be 16 KiB each: an object
/// must fit into a datagram.
const METADATA_MAX: usize = 3;
/// Bytes of the longest build-id.
const BUILD_ID_MAX: usize = 64;

/// What has been written and found of an object so far.
struct Findings {
    written: usize,
    build_id: &'static [u8],
}

/// Writes the notes of an object as `field`, and its build-id as `build_id_field`.
pub fn write_notes(out: &mut Encoder, field: u32, build_id_field: u32, object: &LoadedObject) {
    let mut findings = Findings { written: 0, build_id: &[] };
    for segment in object.note_segments() {
        let before = findings.written;
        // Linkers write other alignments than they declare, and not the same one for all notes.
        findings.walk(out, Some(field), segment.bytes, segment.alignment);
        if findings.written == before || findings.build_id.is_empty() {
            let other = if segment.alignment == 8 { 4 } else { 8 };
            let field = (findings.written == before).then_some(field);
            findings.walk(out, field, segment.bytes, other);
        }
    }
    out.field_unless_empty(build_id_field, findings.build_id);
}

impl Findings {
    /// Walks a segment once. Our notes are written if there is a `field` for them.
    #[inline(never)]
    fn walk(&mut self, out: &mut Encoder, field: Option<u32>, segment: &'static [u8], alignment: u64) {
        for raw in RawNotes::new(segment, ByteOrder::NATIVE, alignment) {
            if self.build_id.is_empty() && is_build_id(&raw) {
                self.build_id = raw.descriptor;
            }
            let Some(field) = field.filter(|_| self.written < NOTES_MAX) else { continue };
            // A static program has the note that its own link has given it, and no older one.
            let found = match IS_STATIC {
                true => Note::current(&raw, ByteOrder::NATIVE),
                false => Note::from_raw(&raw, ByteOrder::NATIVE),
            };
            let Some(found) = found else { continue };
            out.message(field, |out| {
                out.field(note::SIGNATURE, found.signature.as_bytes());
                if self.written < METADATA_MAX {
                    out.field_unless_empty(note::METADATA, found.metadata);
                }
                out.varint(note::VERSION, found.version.into());
            });
            self.written += 1;
        }
    }
}

/// The note is a GNU build-id.
fn is_build_id(raw: &RawNote) -> bool {
    const NT_GNU_BUILD_ID: u32 = 3;
    raw.kind == NT_GNU_BUILD_ID && raw.owner == b"GNU\0" && (1..=BUILD_ID_MAX).contains(&raw.descriptor.len())
}
