//! Builds as JSON lines, to be moved, kept, or read by something else.
//!
//! `record` and `builds` are the protobuf messages, byte for byte; `build` is the same for people and is not read
//! back, because paths and arguments are bytes and JSON has only text.

use super::{
    Build, Registration, Registry, RegistryError,
    error::{OrDamaged, Result},
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

/// What became of the lines of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// First of their signatures.
    pub new: u64,
    /// Were there already.
    pub known: u64,
    /// Another build has the signature.
    pub conflicting: u64,
    /// Are no build records.
    pub malformed: u64,
}

/// Why an import ended early; what stands before the line in question is in the registry.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The line makes no sense.
    #[error("line {line}: {why} ({new} builds before it are in)")]
    WrongLine {
        /// Its number, the first is 1.
        line: u64,
        /// What is wrong with it.
        why: String,
        /// Builds before it that are new.
        new: u64,
    },
    /// The lines cannot be read.
    #[error("cannot read the import: {0}")]
    Unreadable(io::Error),
    /// The registry does not take them.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A build for people: with each time that it was made.
pub fn readable(build: &Build) -> Result<BuildJson> {
    let record = BuildRecord::decode(build.record.clone()).or_damaged(|| "a build record")?;
    let mut json = BuildJson::from(&record);
    json.registered_ns = Some(build.registered_ns);
    if !build.made_again.is_empty() {
        json.builds = std::iter::once(&record).chain(&build.made_again).map(LinkJson::from).collect();
    }
    Ok(json)
}

/// A build as a line, with its end.
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

/// All builds, one a line; how many.
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
        to.write_all(&lines).context("cannot write the export")?;
        count += builds.len() as u64;
    }
}

/// Takes lines in; those before a line that makes no sense stay in.
pub fn import(registry: &dyn Registry, mut from: impl BufRead) -> Result<ImportCounts, ImportError> {
    let mut imported = ImportCounts::default();
    let mut builds = Vec::new();
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let read =
            (&mut from).take(LINE_MAX).read_until(b'\n', &mut line).map_err(ImportError::Unreadable)?;
        let trouble = match read_line(&line) {
            _ if read as u64 == LINE_MAX => Some(anyhow::anyhow!("longer than {LINE_MAX} bytes")),
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

fn read_line(line: &[u8]) -> anyhow::Result<Option<Build>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).context("not a line of an export")?;
    let record = STANDARD.decode(&line.record).context("its record is not base64")?;
    let mut made_again = Vec::new();
    for made in &line.builds {
        let made = STANDARD.decode(made).context("one of its builds is not base64")?;
        made_again.push(BuildRecord::decode(&*made).context("one of its builds cannot be read")?);
    }
    Ok(Some(Build { record: record.into(), registered_ns: line.registered_ns, made_again }))
}
