//! `[outputs.NAME]`: the list of types, and the tables of outputs that stay on this machine.

use super::{
    ElasticsearchConfig, JsonTcpConfig, KafkaConfig, OgrtConfig, Size, SplunkHecConfig, Time, is_plain_name,
    source::Source,
    table::{AsToml, Table, choice, table},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};
use toml::de::{DeValue, ValueDeserializer};

/// The types of outputs: a line each, with the table that configures it and the name that `type` gives it.
macro_rules! outputs {
    ($($(#[doc = $about:literal])+ $variant:ident($table:ident) = $name:literal,)*) => {
        /// One output.
        #[derive(Clone, Debug)]
        pub enum OutputConfig { $($(#[doc = $about])+ $variant($table),)* }

        impl<'de> Deserialize<'de> for OutputConfig {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                let mut table = toml::Table::deserialize(input)?;
                let kind = table.remove("type").ok_or_else(|| D::Error::missing_field("type"))?;
                match kind.as_str() {
                    $(Some($name) => $table::deserialize(table).map(OutputConfig::$variant).map_err(D::Error::custom),)*
                    _ => Err(D::Error::custom(format!("type = {kind}: expected one of {:?}", [$($name),*]))),
                }
            }
        }

        /// Reads each output alone, because an error then names its line: [`OutputConfig`] has none to tell.
        pub fn check(source: &Source<'_>) -> Result<(), String> {
            for (name, output) in source.outputs() {
                let key = format!("outputs.{name}");
                if !is_plain_name(name) {
                    return Err(source.locate(&key, "a name is made of letters, digits, - and _"));
                }
                let mut output = output.clone();
                let DeValue::Table(table) = output.get_mut() else {
                    return Err(source.locate(&key, "expected a table such as [outputs.local]"));
                };
                let types = format!("expected one of {}", [$(concat!("\"", $name, "\"")),*].join(", "));
                let Some(kind) = table.remove("type") else {
                    return Err(source.locate(&key, &format!("the key `type` is missing: {types}")));
                };
                let result = match kind.get_ref().as_str() {
                    $(Some($name) => $table::deserialize(ValueDeserializer::from(output)).map(drop),)*
                    _ => {
                        let kind = kind.get_ref().as_str().map_or("of this kind".into(), |kind| format!("\"{kind}\""));
                        return Err(source.locate(&format!("{key}.type"), &format!("there is no type {kind}: {types}")));
                    }
                };
                result.map_err(|error| source.explain(&error))?;
            }
            Ok(())
        }

        /// Each type with its keys, defaults and meanings, commented out, as examples.
        pub fn document_examples(out: &mut String) {
            $(
                let mut example = format!("[outputs.{0}]\ntype = \"{0}\"\n", $name);
                $table::default().document(&mut example);
                for line in example.lines() {
                    let _ = writeln!(out, "{}", format!("# {line}").trim_end());
                }
                out.push('\n');
            )*
        }
    };
}

outputs! {
    /// Files.
    File(FileConfig) = "file",
    /// Elasticsearch or OpenSearch.
    Elasticsearch(ElasticsearchConfig) = "elasticsearch",
    /// Lines over TCP.
    JsonTcp(JsonTcpConfig) = "json_tcp",
    /// Splunk.
    SplunkHec(SplunkHecConfig) = "splunk_hec",
    /// Kafka.
    Kafka(KafkaConfig) = "kafka",
    /// Another server.
    Ogrt(OgrtConfig) = "ogrt",
    /// Nothing.
    Null(NullConfig) = "null",
}

table! {
    /// An output that writes files: `type = "file"`.
    FileConfig {
        /// "jobs": one JSON document for a job. "lines": one event a line in events.jsonl.
        layout: FileLayout = FileLayout::Lines,
        /// A directory.
        path: PathBuf = PathBuf::from("/var/log/ogrt"),
        /// Files kept open at once (layout "jobs").
        open_files_max: usize = 256,
        /// How often what was written is synchronised and the place in the queue moved on. "0s": after every delivery.
        commit_every: Time = Time::from_secs(1),
        /// "commit": what is committed is on the disk. "never": the kernel writes when it likes; a crash of the server
        /// loses nothing, a power cut may.
        fsync: FileSync = FileSync::Commit,
        /// Close events.jsonl when it has so many bytes (layout "lines"). "0B": never.
        rotate_bytes: Size = Size(0),
        /// Close it when this period of UTC is over, as "1d" or "1h". "0s": never.
        rotate_every: Time = Time::from_secs(0),
        /// What is done with closed files: "gzip" or "none".
        compression: FileCompression = FileCompression::Gzip,
        /// How many closed files are kept; the oldest are removed. 0: all.
        keep_closed: usize = 0,
    }
}

table! {
    /// An output that forgets everything: `type = "null"`.
    NullConfig {
    }
}

choice! {
    /// When files are synchronised.
    FileSync {
        /// At every commit.
        Commit = "commit",
        /// When the kernel likes.
        Never = "never",
    }
}

choice! {
    /// How closed files are packed.
    FileCompression {
        /// By gzip.
        Gzip = "gzip",
        /// Not at all.
        None = "none",
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

impl AsToml for BTreeMap<String, OutputConfig> {
    fn as_toml(&self) -> Option<String> {
        None
    }
}
