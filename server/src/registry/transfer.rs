//! Builds as JSON lines: to be moved, kept, or read by other programs.
//!
//! `record` and `builds` are the protobuf messages, byte for byte. `build` is the same for people.
//! An import ignores it, because paths and arguments are bytes, and JSON has only text.

use super::{
    Build, RecordSender, Registration, Registry, RegistryError,
    error::{OrDamaged, Result},
    stamp,
};
use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use ogrt_proto::{BuildJson, BuildRecord, LinkJson};
use prost::Message;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// Builds in one read or one write.
pub const AT_ONCE: usize = 500;

/// Longest line that is read.
const LINE_MAX: u64 = 128 << 20;

#[derive(Serialize, Deserialize)]
struct Line {
    record: String,
    #[serde(default)]
    registered_ns: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    builds: Vec<String>,
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    build: Option<BuildJson>,
}

/// The outcome of an import, in numbers of builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// Builds that are the first with their signature.
    pub new: u64,
    /// Builds that were registered before.
    pub known: u64,
    /// Builds whose signature another build has.
    pub conflicting: u64,
    /// Lines whose record cannot be decoded.
    pub malformed: u64,
}

/// Why an import ended early. The builds before the line in question are registered.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is not one of an export.
    #[error("line {line}: {why}. {new} new builds before it are registered; mend the line and import again")]
    WrongLine {
        /// The line's number, counted from 1.
        line: u64,
        /// The reason.
        why: String,
        /// How many new builds stand before it.
        new: u64,
    },
    /// The lines cannot be read.
    #[error("cannot read the import: {0}")]
    Unreadable(io::Error),
    /// The registry does not take them.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A build as people read it, with its rebuilds.
pub fn readable(build: &Build) -> Result<BuildJson> {
    let record = BuildRecord::decode(build.record.clone()).or_damaged(|| "a build record")?;
    let mut json = BuildJson::from(&record);
    json.registered_ns = Some(build.registered_ns);
    if !build.made_again.is_empty() {
        json.builds = std::iter::once(&record).chain(&build.made_again).map(LinkJson::from).collect();
    }
    Ok(json)
}

/// Appends a build as a line.
pub fn write_line(build: &Build, out: &mut Vec<u8>) -> Result<()> {
    let line = Line {
        record: STANDARD.encode(&build.record),
        registered_ns: build.registered_ns,
        builds: build.made_again.iter().map(|made| STANDARD.encode(made.encode_to_vec())).collect(),
        build: Some(readable(build)?),
    };
    serde_json::to_writer(&mut *out, &line).or_damaged(|| "a build record")?;
    out.push(b'\n');
    Ok(())
}

/// Writes all builds, one a line, and returns how many.
pub fn export(registry: &dyn Registry, mut to: impl Write) -> anyhow::Result<u64> {
    let (mut after, mut count) = (None, 0);
    loop {
        let builds = registry.export(after, AT_ONCE)?;
        let Some((last, _)) = builds.last() else { return Ok(count) };
        after = Some(*last);
        let mut lines = Vec::new();
        for (_, build) in &builds {
            write_line(build, &mut lines)?;
        }
        to.write_all(&lines).context("cannot write the export to its output")?;
        count += builds.len() as u64;
    }
}

/// Registers the builds of an export. Those before a wrong line stay registered. What they say of
/// their registrars is believed where no `sender` brings them.
pub fn import(
    registry: &dyn Registry,
    mut from: impl BufRead,
    sender: Option<RecordSender<'_>>,
) -> Result<ImportCounts, ImportError> {
    let mut imported = ImportCounts::default();
    let mut builds = Vec::new();
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let read =
            (&mut from).take(LINE_MAX).read_until(b'\n', &mut line).map_err(ImportError::Unreadable)?;
        let trouble = match read_line(&line, sender) {
            _ if read as u64 == LINE_MAX => Some(anyhow::anyhow!("the line is longer than {LINE_MAX} bytes")),
            Ok(build) => {
                builds.extend(build);
                None
            }
            Err(trouble) => Some(trouble),
        };
        if builds.len() >= AT_ONCE || read == 0 || trouble.is_some() {
            for outcome in registry.import(&std::mem::take(&mut builds))? {
                match outcome {
                    Registration::New(_) => imported.new += 1,
                    Registration::Known(_) => imported.known += 1,
                    Registration::Conflict(_) => imported.conflicting += 1,
                    Registration::Malformed | Registration::Accepted(..) => imported.malformed += 1,
                }
            }
        }
        if let Some(trouble) = trouble {
            return Err(ImportError::WrongLine {
                line: number,
                why: format!("{trouble:#}"),
                new: imported.new,
            });
        }
        if read == 0 {
            break;
        }
    }
    Ok(imported)
}

fn read_line(line: &[u8], sender: Option<RecordSender<'_>>) -> anyhow::Result<Option<Build>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).context("this is not a line of an export")?;
    let stamped = |bytes: Vec<u8>| match sender {
        Some(sender) => stamp(&bytes.into(), sender),
        None => bytes.into(),
    };
    let record = stamped(STANDARD.decode(&line.record).context("`record` is not base64")?);
    let mut made_again = Vec::new();
    for made in &line.builds {
        let made = stamped(STANDARD.decode(made).context("one of `builds` is not base64")?);
        made_again.push(BuildRecord::decode(made).context("one of `builds` is not a protobuf BuildRecord")?);
    }
    Ok(Some(Build { record, registered_ns: line.registered_ns, made_again }))
}
