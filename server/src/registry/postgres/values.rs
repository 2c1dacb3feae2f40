//! Values in the form that the database has them in.

use crate::registry::{Part, found_by};
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use uuid::Uuid;

/// A signature as the database's UUID.
pub fn signature_uuid(signature: Signature) -> Uuid {
    Uuid::from_bytes(*signature.as_bytes())
}

/// The digest of the link's output, if the record has one.
pub fn output_digest(record: &BuildRecord) -> Option<Vec<u8>> {
    let digest = record.output.as_ref()?.sha256.as_deref().and_then(found_by::as_digest)?;
    Some(digest.to_vec())
}

/// The signature or the output's digest that a question about contents begins with.
pub fn names_of(part: Part) -> (Option<Uuid>, Option<Vec<u8>>) {
    match part {
        Part::Signature(signature) => (Some(signature_uuid(signature)), None),
        Part::Digest(digest) => (None, Some(digest.to_vec())),
    }
}
