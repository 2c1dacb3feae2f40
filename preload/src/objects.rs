//! How a loaded object stands in an event.

use crate::{canonical::PathBuffer, canonical::Paths, encoder::Encoder, fields, loader::LoadedObject};
use ogrt_note::{ByteOrder, build_id, watermarks};

/// Watermarks of one object that are sent. An object linked from many watermarked archives has a few.
const WATERMARKS_MAX: usize = 256;
/// Of these, so many with their metadata, which can be 16 KiB each: an object must fit into a datagram.
const METADATA_MAX: usize = 3;

/// Writes the watermarks of an object as `field`.
pub fn write_watermarks(out: &mut Encoder, field: u32, object: &LoadedObject) {
    let found = object
        .note_segments()
        .flat_map(|segment| watermarks(segment.bytes, ByteOrder::NATIVE, segment.alignment));
    for (at, watermark) in found.take(WATERMARKS_MAX).enumerate() {
        out.message(field, |out| {
            out.field(fields::WATERMARK_SIGNATURE, watermark.signature.as_bytes());
            if at < METADATA_MAX {
                out.field_unless_empty(fields::WATERMARK_METADATA, watermark.metadata);
            }
            out.varint(fields::WATERMARK_VERSION, watermark.version.into());
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
            // One call for the file itself; its directory is mostly known.
            paths.allow(1);
            paths.canonical(object.name, &mut room)
        }
    };
    out.message(field, |out| {
        out.field(fields::SHARED_OBJECT_PATH, path);
        write_watermarks(out, fields::SHARED_OBJECT_WATERMARKS, object);
        write_build_id(out, fields::SHARED_OBJECT_BUILD_ID, object);
        if preloaded {
            out.varint(fields::SHARED_OBJECT_PRELOADED, 1);
        }
    });
}
