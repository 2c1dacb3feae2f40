//! The note: its metadata and signature, the object that carries it, and the file that the linker
//! reads. In a static program that object may carry code of ours as well.

pub mod metadata;
pub mod note_file;
pub mod note_object;
pub mod object_properties;
pub mod signature;
pub mod spack_environment;
pub mod static_code;
