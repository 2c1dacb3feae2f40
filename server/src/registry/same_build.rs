//! When two records describe one build, and what is kept of a rebuild.

use super::found_by::{Part, as_digest};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, Builder};
use prost::Message;
use tracing::warn;

/// Does the record describe the known build? The same bytes do. So does the record of a
/// reproducible build that was made again, elsewhere or later, if its output is the same.
pub fn is_same(known: &[u8], bytes: &Bytes, record: &BuildRecord) -> bool {
    if known == bytes {
        return true;
    }
    let Ok(mut known) = BuildRecord::decode(known) else { return false };
    // Who registered it is not of the build.
    known.registrar.clone_from(&record.registrar);
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
        registrar: record.registrar.clone(),
        ..BuildRecord::default()
    }
}

/// Do both tell of one link, whoever registered them?
pub fn is_same_link(one: &BuildRecord, other: &BuildRecord) -> bool {
    BuildRecord { registrar: None, ..one.clone() } == BuildRecord { registrar: None, ..other.clone() }
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
        registrar: record.registrar.clone(),
        ..BuildRecord::default()
    }
}

/// Logs that a record is refused, and who sent it.
pub fn complain(signature: Signature, record: &BuildRecord) {
    let builder = Builder::of(record);
    let user = builder.username.clone().or_else(|| builder.uid.map(|uid| uid.to_string()));
    let registrar = record.registrar.as_ref().and_then(|registrar| registrar.name());
    warn!(
        "a second, different build record for signature {signature} (user {}, {}, host {}, registered by {}) is \
         refused: the first stands. An administrator can withdraw that one: docs/server.md",
        user.unwrap_or_default(),
        builder.identity(),
        record.hostname(),
        registrar.map_or("nobody known".to_owned(), |(name, _)| name),
    );
}

/// The names by which the build may be an input: its signature, and the digest of its output.
pub fn names(signature: Signature, record: &BuildRecord) -> Vec<Part> {
    let digest = record.output.as_ref().and_then(|output| output.sha256.as_deref()).and_then(as_digest);
    let mut names = vec![Part::Signature(signature)];
    names.extend(digest.map(Part::Digest));
    names
}
