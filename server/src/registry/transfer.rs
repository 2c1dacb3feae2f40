//! Builds and installations as JSON lines: to be moved, kept, or read by other programs.
//!
//! `record` and `builds` are the protobuf messages, byte for byte. `build` is the same for people.
//! An import ignores it, because paths and arguments are bytes, and JSON has only text. So it is
//! with `installation` and `installed`. Builds come first, so a server that knows no installations
//! has them all before it complains.

use super::{
    Build, InstallationFilter, InstallationId, RecordSender, Registration, Registry, RegistryError,
    error::{OrDamaged, Result},
    read_installation, stamp,
};
use crate::clock::now_ns;
use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use ogrt_proto::{BuildJson, BuildRecord, Installation, InstallationJson, LinkJson};
use prost::Message;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// Builds in one read or one write.
pub const AT_ONCE: usize = 500;

/// Installations in one read; each may have thousands of files.
const INSTALLATIONS_AT_ONCE: usize = 20;

/// Longest line that is read.
const LINE_MAX: u64 = 128 << 20;

#[derive(Default, Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registered_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    builds: Vec<String>,
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    build: Option<BuildJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installation: Option<String>,
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    installed: Option<InstallationJson>,
}

/// What a line holds.
enum Content {
    Build(Build),
    Installation(Box<Installation>),
}

/// The outcome of an import, in numbers of builds, and of installations.
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
    /// Installations, new or not.
    pub installations: u64,
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
        record: Some(STANDARD.encode(&build.record)),
        registered_ns: Some(build.registered_ns),
        builds: build.made_again.iter().map(|made| STANDARD.encode(made.encode_to_vec())).collect(),
        build: Some(readable(build)?),
        ..Line::default()
    };
    serde_json::to_writer(&mut *out, &line).or_damaged(|| "a build record")?;
    out.push(b'\n');
    Ok(())
}

fn write_installation(installation: &Installation, out: &mut Vec<u8>) -> Result<()> {
    let line = Line {
        installation: Some(STANDARD.encode(installation.encode_to_vec())),
        installed: Some(InstallationJson::from(installation)),
        ..Line::default()
    };
    serde_json::to_writer(&mut *out, &line).or_damaged(|| "an installation")?;
    out.push(b'\n');
    Ok(())
}

/// The place that an export has reached.
#[derive(Clone, Copy, Debug)]
pub enum ExportPlace {
    /// The builds after this number, and then the installations.
    Builds(Option<u64>),
    /// The installations before this one.
    Installations(Option<InstallationId>),
    /// The end.
    End,
}

/// A part of an export.
#[derive(Debug)]
pub struct ExportPart {
    /// Whole lines.
    pub lines: Vec<u8>,
    /// How many these are.
    pub count: usize,
    /// The place where the next part begins.
    pub next: ExportPlace,
}

/// The part at this place, with at most `builds_max` builds; `None` at the end.
pub fn part(
    registry: &dyn Registry,
    mut place: ExportPlace,
    builds_max: usize,
) -> Result<Option<ExportPart>> {
    let mut lines = Vec::new();
    loop {
        match place {
            ExportPlace::Builds(after) => {
                let builds = registry.export(after, builds_max)?;
                for (_, build) in &builds {
                    write_line(build, &mut lines)?;
                }
                if let Some((last, _)) = builds.last() {
                    let next = ExportPlace::Builds(Some(*last));
                    return Ok(Some(ExportPart { lines, count: builds.len(), next }));
                }
                place = ExportPlace::Installations(None);
            }
            ExportPlace::Installations(before) => {
                let filter = InstallationFilter {
                    before,
                    limit: INSTALLATIONS_AT_ONCE,
                    ..InstallationFilter::default()
                };
                let page = registry.installations(&filter)?;
                for installation in &page.installations {
                    write_installation(installation, &mut lines)?;
                }
                let next = page.next.map_or(ExportPlace::End, |id| ExportPlace::Installations(Some(id)));
                if !page.installations.is_empty() {
                    return Ok(Some(ExportPart { lines, count: page.installations.len(), next }));
                }
                place = next;
            }
            ExportPlace::End => return Ok(None),
        }
    }
}

/// Writes all builds and installations, one a line.
pub fn export(registry: &dyn Registry, mut to: impl Write) -> anyhow::Result<()> {
    let mut place = ExportPlace::Builds(None);
    while let Some(part) = part(registry, place, AT_ONCE)? {
        to.write_all(&part.lines).context("cannot write the export to its output")?;
        place = part.next;
    }
    Ok(())
}

/// Registers the builds and installations of an export. Those before a wrong line stay registered.
/// What they say of their registrars is believed where no `sender` brings them.
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
            Ok(Some(Content::Build(build))) => {
                builds.push(build);
                None
            }
            Ok(Some(Content::Installation(installation))) => {
                registry.register_installation(&installation)?;
                imported.installations += 1;
                None
            }
            Ok(None) => None,
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

fn read_line(line: &[u8], sender: Option<RecordSender<'_>>) -> anyhow::Result<Option<Content>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).context("this is not a line of an export")?;
    if let Some(installation) = &line.installation {
        let body = STANDARD.decode(installation).context("`installation` is not base64")?;
        let mut installation = read_installation(&body)?;
        // Nobody imports one for later, in front of all that comes until then.
        installation.time_ns = Some(installation.time_ns.unwrap_or_default().min(now_ns()));
        if let Some(sender) = sender {
            installation.registrar = sender.registrar();
        }
        return Ok(Some(Content::Installation(Box::new(installation))));
    }
    let record = line.record.context("this is not a line of an export: it has no `record`")?;
    let stamped = |bytes: Vec<u8>| match sender {
        Some(sender) => stamp(&bytes.into(), sender),
        None => bytes.into(),
    };
    let record = stamped(STANDARD.decode(&record).context("`record` is not base64")?);
    let mut made_again = Vec::new();
    for made in &line.builds {
        let made = stamped(STANDARD.decode(made).context("one of `builds` is not base64")?);
        made_again.push(BuildRecord::decode(made).context("one of `builds` is not a protobuf BuildRecord")?);
    }
    let registered_ns = line.registered_ns.unwrap_or_default();
    Ok(Some(Content::Build(Build { record, registered_ns, made_again })))
}
