//! When two records describe one build, and what is kept of a rebuild.

use super::found_by::{Part, as_digest};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::{BuildMetadata, BuildRecord, BuildSummary, Builder, Output, Registrar};
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

/// Longest working directory of a rebuild.
const PATH_MAX: usize = 4096;

/// What is kept of a rebuild: who, when, where. There may be hundreds of one build, so each is
/// bounded.
pub fn made(record: &BuildRecord) -> BuildRecord {
    let directory = record.working_directory.as_ref();
    let mut made = BuildRecord {
        time_ns: record.time_ns,
        duration_ns: record.duration_ns,
        hostname: record.hostname.clone(),
        uid: record.uid,
        gid: record.gid,
        username: record.username.clone(),
        working_directory: directory.map(|path| path.slice(..path.len().min(PATH_MAX))),
        client: record.client.clone(),
        registrar: record.registrar.clone(),
        ..BuildRecord::default()
    };
    made.client.iter_mut().for_each(cut);
    cut_texts(&mut made);
    made
}

/// Do both tell of one link, whoever registered them?
pub fn is_same_link(one: &BuildRecord, other: &BuildRecord) -> bool {
    BuildRecord { registrar: None, ..one.clone() } == BuildRecord { registrar: None, ..other.clone() }
}

/// Most bytes of text in the small part of a record; real ones have some 200. A record may hold
/// megabytes, and its small part stands in memory, in lists, and in each document of what it made.
const BRIEF_TEXT_MAX: usize = 1024;

/// Most bytes of each text where all together are more.
const TEXT_MAX: usize = 72;

/// The small part of the record that documents and lists show. Where it has much text, the longest
/// are cut and end in "…"; the record has them whole
/// (`a_record_with_megabytes_of_names_has_a_small_summary`).
pub fn brief(record: &BuildRecord) -> BuildRecord {
    let sha256 = record.output.as_ref().and_then(|output| output.sha256.clone());
    let mut brief = BuildRecord {
        signature: record.signature.clone(),
        metadata: record.metadata.clone(),
        time_ns: record.time_ns,
        hostname: record.hostname.clone(),
        username: record.username.clone(),
        uid: record.uid,
        output: record.output.as_ref().map(|_| Output {
            sha256: sha256.filter(|digest| digest.len() <= TEXT_MAX),
            ..Output::default()
        }),
        registrar: record.registrar.clone(),
        ..BuildRecord::default()
    };
    cut_texts(&mut brief);
    brief
}

/// Cuts the longest texts of a small part where all together are too long.
fn cut_texts(small: &mut BuildRecord) {
    let texts = texts(small);
    if texts.iter().map(|text| text.len()).sum::<usize>() > BRIEF_TEXT_MAX {
        texts.into_iter().for_each(cut);
    }
}

/// The small part of a record that was received at this time, with the time by which lists order
/// the build: that of the link, and never later than the receipt, whatever the builder's clock says
/// (`a_build_from_the_future_was_made_when_its_record_came`).
pub fn listed(record: &BuildRecord, registered_ns: i64) -> BuildRecord {
    let not_after = |time_ns: i64| if registered_ns > 0 { time_ns.min(registered_ns) } else { time_ns };
    BuildRecord { time_ns: record.time_ns.map(not_after), ..brief(record) }
}

/// The summary of a build, from its record or the small part of it.
pub fn summary(record: &BuildRecord) -> BuildSummary {
    BuildSummary::from(&brief(record))
}

/// The texts of the small part.
fn texts(brief: &mut BuildRecord) -> Vec<&mut String> {
    let BuildRecord { metadata, hostname, username, registrar, .. } = brief;
    let mut texts: Vec<&mut String> = [hostname, username].into_iter().flatten().collect();
    if let Some(BuildMetadata {
        name,
        version,
        version_suffix,
        toolchain,
        package_manager,
        package_id,
        module,
        builder,
        time: _,
        compiler,
    }) = metadata
    {
        let all = [
            name,
            version,
            version_suffix,
            toolchain,
            package_manager,
            package_id,
            module,
            builder,
            compiler,
        ];
        texts.extend(all.into_iter().flatten());
    }
    if let Some(Registrar { uid: _, gid: _, username, token, certificate, via }) = registrar {
        texts.extend([username, token, certificate, via].into_iter().flatten());
    }
    texts
}

/// Cuts a text to its first bytes.
fn cut(text: &mut String) {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_megabytes_of_names_has_a_small_summary() {
        let long = |sign: &str| Some(sign.repeat(1_000_000));
        let mut record = BuildRecord {
            signature: Some(vec![1; 16].into()),
            hostname: Some("builder".into()),
            username: long("u"),
            output: Some(Output { sha256: Some(vec![7; 1_000_000].into()), ..Output::default() }),
            metadata: Some(BuildMetadata {
                name: Some("zlib".into()),
                version: long("\u{1}"),
                module: long("\u{20ac}"),
                ..BuildMetadata::default()
            }),
            ..BuildRecord::default()
        };
        let summary = summary(&record);
        let json = serde_json::to_vec(&summary).unwrap();
        assert!(json.len() < 2048, "{} bytes", json.len());
        assert!(brief(&record).encode_to_vec().len() < BRIEF_TEXT_MAX);
        assert_eq!(
            (summary.metadata.name.as_deref(), summary.hostname.as_deref()),
            (Some("zlib"), Some("builder"))
        );
        assert!(summary.metadata.module.unwrap().ends_with("\u{20ac}…"));
        // What is long, and not too much, stays whole.
        let name = "n".repeat(900);
        record = BuildRecord {
            signature: record.signature,
            hostname: Some(name.clone()),
            ..BuildRecord::default()
        };
        assert_eq!(super::summary(&record).hostname, Some(name));
    }
}
