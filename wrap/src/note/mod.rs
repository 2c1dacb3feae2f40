//! The note: its metadata and signature, the object that carries it, and the file that the linker
//! reads.

pub mod metadata;
pub mod note_file;
pub mod note_object;
pub mod object_properties;
pub mod signature;
pub mod spack_environment;
