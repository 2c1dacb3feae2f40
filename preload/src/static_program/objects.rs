//! The objects of a static program as they stand in an event: it is the only one.

use crate::{
    canonical::Paths, encoder::Encoder, field_numbers::process_info, loaded_object::LoadedObject,
    loader::Loader, notes::write_notes, process::Process, variables::Variables,
};

/// The outcome of the walk over the loaded objects, of which nothing is to be said.
#[derive(Clone, Copy, Default)]
pub struct ObjectSummary {}

/// Writes the executable's notes.
pub fn write_objects(
    out: &mut Encoder,
    _: Loader,
    process: &Process,
    _: &Variables,
    _: &mut Paths,
) -> ObjectSummary {
    if let Some(executable) = LoadedObject::executable(process) {
        write_notes(out, process_info::NOTES, process_info::BUILD_ID, &executable);
    }
    ObjectSummary {}
}
