//! When two records describe one build, and what is kept of a rebuild.

use super::found_by::{Part, as_digest};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;
use tracing::warn;

/// Does the record describe the known build? The same bytes do. So does the record of a
/// reproducible build that was made again, elsewhere or later, if its output is the same.
pub fn is_same(known: &[u8], bytes: &Bytes, record: &BuildRecord) -> bool {
    if known == bytes {
        return true;
    }
    let Ok(known) = BuildRecord::decode(known) else { return false };
    if known == *record {
        return true;
    }
    let digest = |record: &BuildRecord| record.output.as_ref().and_then(|output| output.sha256.clone());
    known.reproducible()
        && record.reproducible()
        && digest(record).is_some()
        && digest(&known) == digest(record)
}

/// What is kept of a rebuild: who, when, where.
pub fn made(record: &BuildRecord) -> BuildRecord {
    BuildRecord {
        time_ns: record.time_ns,
        duration_ns: record.duration_ns,
        hostname: record.hostname.clone(),
        uid: record.uid,
        gid: record.gid,
        username: record.username.clone(),
        working_directory: record.working_directory.clone(),
        client: record.client.clone(),
        ..BuildRecord::default()
    }
}

/// The small part of the record that documents and lists show.
pub fn brief(record: &BuildRecord) -> BuildRecord {
    BuildRecord {
        signature: record.signature.clone(),
        metadata: record.metadata.clone(),
        time_ns: record.time_ns,
        hostname: record.hostname.clone(),
        username: record.username.clone(),
        uid: record.uid,
        output: record
            .output
            .as_ref()
            .map(|output| ogrt_proto::Output { sha256: output.sha256.clone(), ..Default::default() }),
        ..BuildRecord::default()
    }
}

/// Logs that a record is refused, and who sent it.
pub fn complain(signature: Signature, record: &BuildRecord) {
    let user = record.username.clone().or_else(|| record.uid.map(|uid| uid.to_string()));
    warn!(
        "a second, different build record for signature {signature} (from {} on {}) is refused: the first stands",
        user.unwrap_or_default(),
        record.hostname(),
    );
}

/// The names by which the build may be an input: its signature, and the digest of its output.
pub fn names(signature: Signature, record: &BuildRecord) -> Vec<Part> {
    let digest = record.output.as_ref().and_then(|output| output.sha256.as_deref()).and_then(as_digest);
    let mut names = vec![Part::Signature(signature)];
    names.extend(digest.map(Part::Digest));
    names
}
