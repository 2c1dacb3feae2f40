//! The note of a link: its signature, its metadata, and the object that carries both.

use crate::not_marked::MarkError;
use crate::note_position::NotePlan;
use ogrt_note::Signature;
use ogrt_proto::BuildMetadata;
use ogrt_wrap::note::{metadata, note_object, signature};
use prost::Message;
use std::time::SystemTime;

/// What is known of a build before its linker starts.
#[derive(Debug)]
pub struct BuildFacts {
    /// The signature. That of a reproducible link is made from its output (see `seal_note.rs`).
    pub signature: Signature,
    /// The metadata.
    pub metadata: BuildMetadata,
    /// When the link began.
    pub started: SystemTime,
}

impl BuildFacts {
    /// The facts of a link that begins now. `compiler` made the project's own objects.
    pub fn now(reproducible: bool, compiler: Option<String>) -> BuildFacts {
        let started = SystemTime::now();
        let unix_time_s = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        BuildFacts {
            signature: if reproducible {
                Signature::from_bytes(signature::UNSEALED)
            } else {
                signature::random()
            },
            metadata: metadata::for_note(reproducible, unix_time_s as i64, compiler),
            started,
        }
    }
}

/// The bytes of the object that carries the note.
pub fn note_object(plan: &NotePlan, facts: &BuildFacts) -> Result<Vec<u8>, MarkError> {
    let metadata = facts.metadata.encode_to_vec();
    Ok(note_object::note_object(&plan.identity, &plan.properties, facts.signature, &metadata)?)
}
