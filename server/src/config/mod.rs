//! The configuration: TOML, unknown keys refused, every key with a default.
//!
//! Each table is declared once, by [`table!`], in a file of its name: a key, its type, its default and the text
//! that explains it. Reading, defaults and `print-default-config` all come from that one declaration.

mod access;
mod filter;
mod jobs;
mod join;
mod limit;
mod outputs;
mod places;
mod queue;
mod receive;
mod registry;
mod sending;
mod table;
mod tls;
mod units;
mod uses;

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use table::{Table, choice, table};

pub use access::{AccessConfig, MayRegister};
pub use filter::{FilterAction, FilterRule};
pub use jobs::JobsConfig;
pub use join::JoinConfig;
pub use limit::LimitConfig;
pub use outputs::{FileCompression, FileConfig, FileLayout, FileSync, OutputConfig};
pub use queue::{QueueConfig, WhenFull};
pub use receive::Receive;
pub use registry::{RegistryBackend, RegistryConfig};
pub use sending::{
    ElasticsearchConfig, IndexLayout, JsonTcpConfig, KafkaConfig, OgrtConfig, Sending, SplunkHecConfig,
};
pub use tls::TlsConfig;
pub(crate) use units::{Size, Time};
pub use uses::UsesConfig;

table! {
    /// Everything that an operator may set. Times are written "5s" (ms, s, m, h, d), sizes "64MiB" (B to TiB).
    Config {
        /// UDP and TCP are received here; port 0 takes a free one for each.
        listen: String = "127.0.0.1:7971".into(),
        /// Unix socket for processes of this machine (stream; its datagram twin is beside it, ".dgram").
        /// Empty: none. The default falls back to "ogrt.sock" in data_dir where /run/ogrt cannot be made.
        unix: PathBuf = PathBuf::from("/run/ogrt/ogrt.sock"),
        /// The HTTP interface.
        http: String = "127.0.0.1:7972".into(),
        /// Queue, embedded registry, jobs. Empty: /var/lib/ogrt where that can be written, else
        /// $XDG_STATE_HOME/ogrt-server, else ~/.local/state/ogrt-server.
        data_dir: PathBuf = PathBuf::new(),
        /// Least level of the log: "error", "warn", "info", "debug", or by part: "info,ogrt_server::join=debug".
        log: String = "info".into(),
        /// A line of the log: "text", or "json" for programs.
        log_format: LogFormat = LogFormat::Text,
        /// How long a stop may take until what was received has gone out.
        stop_within: Time = Time::from_secs(10),
        /// What is received, and its bounds.
        receive: Receive = Receive::default(),
        /// The durable queue.
        queue: QueueConfig = QueueConfig::default(),
        /// Where builds are kept.
        registry: RegistryConfig = RegistryConfig::default(),
        /// Bringing events and build records together.
        join: JoinConfig = JoinConfig::default(),
        /// What is kept to answer questions about jobs.
        jobs: JobsConfig = JobsConfig::default(),
        /// Counts of who ran what.
        uses: UsesConfig = UsesConfig::default(),
        /// How much of the server one job may have.
        limit: LimitConfig = LimitConfig::default(),
        /// Which events are kept.
        filter: Vec<FilterRule> = Vec::new(),
        /// Who may register builds.
        access: AccessConfig = AccessConfig::default(),
        /// Encrypted listeners.
        tls: TlsConfig = TlsConfig::default(),
        /// Any number of outputs, each with a name. Without any: a `file` output with layout "jobs" under data_dir.
        outputs: BTreeMap<String, OutputConfig> = BTreeMap::new(),
    }
}

choice! {
    /// How a line of the log is written.
    LogFormat {
        /// For people.
        Text = "text",
        /// For programs: an object a line.
        Json = "json",
    }
}

/// The configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// It says something that we do not know or that makes no sense.
    #[error("{path}: {cause}")]
    Wrong {
        /// The file.
        path: String,
        /// What and where.
        cause: String,
    },
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: name.clone(), cause })?;
        let config: Config = toml::from_str(&text)
            .map_err(|cause| ConfigError::Wrong { path: name.clone(), cause: one_line(&cause, &text) })?;
        config.check().map_err(|cause| ConfigError::Wrong { path: name, cause })?;
        Ok(config)
    }

    /// Every key with its default and its meaning, as TOML that [`Config::read`] takes.
    pub fn documented_defaults() -> String {
        let mut out = String::new();
        let defaults = Config::default();
        defaults.document(&mut out);
        let sections: [(&str, &dyn Table); 9] = [
            ("receive", &defaults.receive),
            ("queue", &defaults.queue),
            ("registry", &defaults.registry),
            ("join", &defaults.join),
            ("jobs", &defaults.jobs),
            ("uses", &defaults.uses),
            ("limit", &defaults.limit),
            ("access", &defaults.access),
            ("tls", &defaults.tls),
        ];
        for (name, table) in sections {
            let _ = write!(out, "\n[{name}]\n");
            table.document(&mut out);
        }
        out.push_str("\n# Any number of rules that filter events. Without any, all are kept.\n");
        filter::document_example(&mut out);
        out.push_str("\n# Any number of outputs, each with a name. Without any: a `file` output, layout \"jobs\", under data_dir.\n");
        outputs::document_examples(&mut out);
        out
    }

    /// The keys and tables whose values differ.
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let both = self.values().into_iter().zip(other.values());
        both.filter(|(ours, theirs)| ours != theirs).map(|((key, _), _)| key).collect()
    }

    fn check(&self) -> Result<(), String> {
        let addresses = [
            ("listen", &self.listen),
            ("http", &self.http),
            ("tls.listen", &self.tls.listen),
            ("tls.http", &self.tls.http),
        ];
        for (key, address) in addresses {
            if address.is_empty() && key.starts_with("tls.") {
                continue;
            }
            address.parse::<std::net::SocketAddr>().map_err(|_| {
                format!("{key} = \"{address}\": expected an address and a port, as 127.0.0.1:7971")
            })?;
        }
        if let Some(name) = self.outputs.keys().find(|name| !is_plain_name(name)) {
            return Err(format!("[outputs.{name}]: a name is made of letters, digits, - and _"));
        }
        Ok(())
    }
}

/// The parser's error on one line, with the place: it shows the source over several.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = error.message().replace('\n', " ");
    line.map_or(message.clone(), |line| format!("line {line}: {message}"))
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_defaults_are_the_defaults() {
        let printed: Config = toml::from_str(&Config::documented_defaults()).unwrap();
        assert_eq!(format!("{printed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let text = "listen = \"127.0.0.1:0\"\n[join]\nwayt = \"5s\"\n";
        let error = toml::from_str::<Config>(text).unwrap_err();
        let line = one_line(&error, text);
        assert!(line.contains("wayt") && line.starts_with("line 3"), "{line}");
        let error = toml::from_str::<Config>("[outputs.a]\ntype = \"file\"\npfad = \"/x\"\n").unwrap_err();
        assert!(error.message().contains("pfad"), "{error}");
    }
}
