//! What travels between OGRT's parts: the messages of `ogrt.proto` and the frames that carry them.
//!
//! Framing is OGRT 0.5's, so that its clients still talk to our server. Everything that comes from
//! the wire is hostile until proved otherwise: a frame's length is checked against a bound before a
//! byte is kept (`garbage_and_giants_are_refused_at_the_header` in `tests/wire.rs`). Text from user
//! processes stays bytes until it is shown.

mod build_json;
mod builder;
pub mod field_numbers;
mod frame;
mod hex;
mod installation_json;
pub mod printable;

/// The messages, generated from `ogrt.proto`, which documents each field. `tests/generated.rs`
/// compares the file with a fresh one and writes it; it is committed so that a build needs no
/// generator.
#[allow(missing_docs)]
#[rustfmt::skip]
mod messages;

pub use build_json::{
    BuildJson, BuildSummary, CompilerJson, FileJson, LinkJson, LoadedJson, MetadataJson, ToolJson,
};
pub use builder::{Builder, CLAIMED, KERNEL};
pub use frame::{
    DATAGRAM_MAX, FRAME_HEADER_LEN, FRAME_MAX, Frame, FrameError, decode_frame, encode_frame, peek_frame,
};
pub use hex::hex;
pub use installation_json::{InstallationJson, InstalledFileJson};
pub use messages::*;
