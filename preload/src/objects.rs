//! The loaded objects as they stand in an event.

use crate::{
    canonical::Paths,
    encoder::Encoder,
    field_numbers::{process_info, shared_object},
    imports::is_sandbox_library,
    loaded_object::LoadedObject,
    loader::Loader,
    notes::write_notes,
    path_buffer::PathBuffer,
    preloaded::is_preloaded,
    process::Process,
    variables::Variables,
};

/// The outcome of the walk over the loaded objects.
#[derive(Clone, Copy, Default)]
pub struct ObjectSummary {
    /// Their number, the executable included.
    pub objects: usize,
    /// One of them installs system call filters.
    pub sandbox_library: bool,
}

/// Writes the executable's notes and the shared objects.
pub fn write_objects(
    out: &mut Encoder,
    loader: Loader,
    process: &Process,
    variables: &Variables,
    paths: &mut Paths,
) -> ObjectSummary {
    let mut summary = ObjectSummary::default();
    loader.each(process, &mut |object| {
        summary.objects += 1;
        summary.sandbox_library |= is_sandbox_library(object.name);
        if object.is_executable {
            write_notes(out, process_info::NOTES, process_info::BUILD_ID, object);
        } else {
            let preloaded = is_preloaded(variables, object.name);
            write_object(out, process_info::SHARED_OBJECTS, object, paths, preloaded);
        }
        true
    });
    summary
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
        write_notes(out, shared_object::NOTES, shared_object::BUILD_ID, object);
        if preloaded {
            out.varint(shared_object::PRELOADED, 1);
        }
    });
}
