//! `[outputs.NAME]`: the list of types, and the tables of the outputs that stay on this machine.

use super::{
    ElasticsearchConfig, JsonTcpConfig, KafkaConfig, OgrtConfig, Size, SplunkHecConfig, Time, is_plain_name,
    source::Source,
    table::{AsToml, choice, document_example, table},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};
use toml::de::{DeValue, ValueDeserializer};

/// The types of outputs, one per line: the table of its keys, and its name in `type`.
macro_rules! outputs {
    ($($(#[doc = $about:literal])+ $variant:ident($table:ident) = $name:literal,)*) => {
        /// One output, by its type.
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

        /// Reads each output alone: an error then knows its line, which is lost where
        /// [`OutputConfig`] is read.
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

        /// Appends each type of output as an example.
        pub fn document(out: &mut String) {
            $(
                out.push('\n');
                let header = format!("[outputs.{0}]\ntype = \"{0}\"\n", $name);
                document_example(&header, &$table::default(), out);
            )*
        }
    };
}

outputs! {
    /// Files on this machine.
    File(FileConfig) = "file",
    /// Elasticsearch or OpenSearch.
    Elasticsearch(ElasticsearchConfig) = "elasticsearch",
    /// JSON lines over TCP.
    JsonTcp(JsonTcpConfig) = "json_tcp",
    /// Splunk's HTTP Event Collector.
    SplunkHec(SplunkHecConfig) = "splunk_hec",
    /// A topic of Kafka.
    Kafka(KafkaConfig) = "kafka",
    /// Another ogrt-server.
    Ogrt(OgrtConfig) = "ogrt",
    /// No receiver: events are discarded.
    Null(NullConfig) = "null",
}

table! {
    /// Output "file": JSON documents in files on this machine.
    FileConfig {
        /// "lines": one document per line in PATH/events.jsonl. "jobs": one JSON file per job,
        /// PATH/JOB.json.
        layout: FileLayout = FileLayout::Lines,
        /// Directory of the files. It is made if it does not exist.
        path: PathBuf = PathBuf::from("/var/log/ogrt"),
        /// Largest number of files that are open at once, for layout "jobs".
        open_files_max: usize = 256,
        /// How often files are flushed to disk and the output's offset (its position in the queue)
        /// is saved. "0s": after every write.
        commit_every: Time = Time::from_secs(1),
        /// "commit": files are flushed to disk at every commit. "never": the kernel decides when; a
        /// power cut can lose events, a crash of the server loses none.
        fsync: FileSync = FileSync::Commit,
        /// Size at which events.jsonl is closed and a new one begun, for layout "lines". "0B": size
        /// does not matter.
        rotate_bytes: Size = Size(0),
        /// Period (UTC) after which events.jsonl is closed and a new one begun, for layout "lines":
        /// "1h", or "1d" for every midnight. "0s": time does not matter.
        rotate_every: Time = Time::from_secs(0),
        /// What is done with closed files: "gzip" compresses them, "none" leaves them as they are.
        compression: FileCompression = FileCompression::Gzip,
        /// Number of closed files that are kept; older ones are deleted. 0: all are kept.
        keep_closed: usize = 0,
    }
}

table! {
    /// Output "null": discards everything, for measurements and for a server that only answers
    /// questions.
    NullConfig {
    }
}

choice! {
    /// When files are flushed to disk.
    FileSync {
        /// Files are flushed at every commit.
        Commit = "commit",
        /// The kernel decides when files are flushed.
        Never = "never",
    }
}

choice! {
    /// How closed files are compressed.
    FileCompression {
        /// Closed files are compressed with gzip.
        Gzip = "gzip",
        /// Closed files stay as they are.
        None = "none",
    }
}

choice! {
    /// What one file holds.
    FileLayout {
        /// One job, as one JSON document.
        Jobs = "jobs",
        /// Events of all jobs, one per line.
        Lines = "lines",
    }
}

impl AsToml for BTreeMap<String, OutputConfig> {
    fn as_toml(&self) -> Option<String> {
        None
    }
}
