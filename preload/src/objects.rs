//! A loaded object as it stands in an event.

use crate::{
    canonical::Paths,
    encoder::Encoder,
    field_numbers::{note, shared_object},
    loader::LoadedObject,
    path_buffer::PathBuffer,
};
use ogrt_note::{ByteOrder, build_id, notes};

/// Most notes of one object that are sent. An object linked from many marked archives has a few.
const NOTES_MAX: usize = 256;
/// Most notes of one object that are sent with their metadata, which can be 16 KiB each: an object
/// must fit into a datagram.
const METADATA_MAX: usize = 3;

/// Writes the notes of an object as `field`.
pub fn write_notes(out: &mut Encoder, field: u32, object: &LoadedObject) {
    let found =
        object.note_segments().flat_map(|segment| notes(segment.bytes, ByteOrder::NATIVE, segment.alignment));
    for (at, found) in found.take(NOTES_MAX).enumerate() {
        out.message(field, |out| {
            out.field(note::SIGNATURE, found.signature.as_bytes());
            if at < METADATA_MAX {
                out.field_unless_empty(note::METADATA, found.metadata);
            }
            out.varint(note::VERSION, found.version.into());
        });
    }
}

/// Writes the build-id of an object as `field`.
pub fn write_build_id(out: &mut Encoder, field: u32, object: &LoadedObject) {
    let found = object
        .note_segments()
        .find_map(|segment| build_id(segment.bytes, ByteOrder::NATIVE, segment.alignment));
    if let Some(id) = found {
        out.field(field, id);
    }
}

/// Writes a shared object as `field`.
pub fn write_object(
    out: &mut Encoder,
    field: u32,
    object: &LoadedObject,
    paths: &mut Paths,
    preloaded: bool,
) {
    let mut room = PathBuffer::new();
    let path = match object.is_interpreter {
        true => object.name,
        false => {
            // One call for the file itself; its directory is usually known.
            paths.allow(1);
            paths.canonical(object.name, &mut room)
        }
    };
    out.message(field, |out| {
        out.field(shared_object::PATH, path);
        write_notes(out, shared_object::NOTES, object);
        write_build_id(out, shared_object::BUILD_ID, object);
        if preloaded {
            out.varint(shared_object::PRELOADED, 1);
        }
    });
}
