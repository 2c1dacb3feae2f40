//! The note of a link: its signature, its metadata, and the object that carries both.

use crate::not_marked::MarkError;
use crate::note_position::NotePlan;
use ogrt_note::Signature;
use ogrt_proto::BuildMetadata;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::resolve_inputs::resolve_inputs;
use ogrt_wrap::note::{metadata, note_object, signature};
use ogrt_wrap::record::digest_cache::DigestCache;
use ogrt_wrap::record::{InputDescriptions, describe_inputs};
use prost::Message;
use std::ffi::OsString;
use std::time::SystemTime;

/// A note, and the object that carries it.
pub struct Note {
    /// The bytes of the object.
    pub object: Vec<u8>,
    /// The signature in the note.
    pub signature: Signature,
    /// The metadata in the note.
    pub metadata: BuildMetadata,
    /// When the link began.
    pub started: SystemTime,
    /// Descriptions of the inputs; `Some` only for a reproducible signature, which is computed from
    /// them.
    pub described: Option<InputDescriptions>,
}

/// Makes the note of a link. The linker waits for it, so only heads of files are read, unless the
/// signature has to be computed from their contents.
pub fn make_note(
    plan: &NotePlan,
    line: &LinkLine,
    arguments: &[OsString],
    reproducible: bool,
) -> Result<Note, MarkError> {
    let started = SystemTime::now();
    let unix_time_s = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let metadata = metadata::for_note(reproducible, unix_time_s as i64, plan.compiler.clone());
    let bytes = metadata.encode_to_vec();
    let described = reproducible.then(|| describe_inputs(&resolve_inputs(line), &DigestCache::open()));
    let signature = match &described {
        Some(described) => {
            let digests =
                described.inputs.iter().filter_map(|input| input.sha256.as_deref()?.try_into().ok());
            signature::reproducible(digests, arguments, &bytes)
        }
        None => signature::random(),
    };
    let object = note_object::note_object(&plan.identity, signature, &bytes)?;
    Ok(Note { object, signature, metadata, started, described })
}
