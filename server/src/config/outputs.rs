//! `[outputs.NAME]`: a table for each type of output.

use super::{
    Time,
    table::{AsToml, Table, choice, table},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

table! {
    /// An output that writes files: `type = "file"`.
    FileConfig {
        /// "jobs": one JSON document for a job. "lines": one event a line in events.jsonl.
        layout: FileLayout = FileLayout::Lines,
        /// A directory.
        path: PathBuf = PathBuf::from("/var/log/ogrt"),
        /// Files kept open at once (layout "jobs").
        open_files_max: usize = 256,
        /// How often what was written is synchronised and the place in the queue moved on.
        commit_every: Time = Time::from_secs(1),
    }
}

table! {
    /// An output that forgets everything: `type = "null"`.
    NullConfig {
    }
}

choice! {
    /// What a file holds.
    FileLayout {
        /// One JSON document for a job.
        Jobs = "jobs",
        /// One event a line.
        Lines = "lines",
    }
}

/// One output.
#[derive(Clone, Debug)]
pub enum OutputConfig {
    /// Files.
    File(FileConfig),
    /// Nothing.
    Null(NullConfig),
}

impl<'de> Deserialize<'de> for OutputConfig {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut table = toml::Table::deserialize(input)?;
        let kind = table.remove("type").ok_or_else(|| D::Error::missing_field("type"))?;
        match kind.as_str() {
            Some("file") => FileConfig::deserialize(table).map(OutputConfig::File).map_err(D::Error::custom),
            Some("null") => NullConfig::deserialize(table).map(OutputConfig::Null).map_err(D::Error::custom),
            _ => Err(D::Error::custom(format!("type = {kind}: expected \"file\" or \"null\""))),
        }
    }
}

impl AsToml for BTreeMap<String, OutputConfig> {
    fn as_toml(&self) -> Option<String> {
        None
    }
}

/// A `file` output with its defaults, commented out, as an example.
pub fn document_example(out: &mut String) {
    let mut example = String::from("[outputs.local]\ntype = \"file\"\n");
    FileConfig::default().document(&mut example);
    for line in example.lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
}
