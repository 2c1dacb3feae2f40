//! The configuration: TOML, unknown keys refused, every key with a default.
//!
//! Each table is declared once, by `table!`, in a file of its name: a key, its type, its default
//! and the text that explains it. Reading, defaults and `print-default-config` all come from that
//! declaration.

mod access;
mod filter;
mod follow;
mod jobs;
mod join;
mod limit;
mod names;
mod naming_rules;
mod outputs;
mod places;
mod queue;
mod receive;
mod registry;
mod renamed;
mod sending;
mod source;
mod store;
mod table;
mod tls;
mod units;
mod uses;

use ogrt_proto::printable::one_line;
use source::Source;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use table::{Table, choice, document_table, table};

pub use access::{AccessConfig, FileReaders, MayRegister};
pub use filter::{FilterAction, FilterRule};
pub use follow::FollowConfig;
pub use jobs::JobsConfig;
pub use join::JoinConfig;
pub use limit::LimitConfig;
pub use names::NamesConfig;
pub use naming_rules::{NamingRules, RuleName};
pub use outputs::{FileCompression, FileConfig, FileLayout, FileSync, OutputConfig};
pub use queue::{QueueConfig, WhenFull};
pub use receive::Receive;
pub use registry::{Acknowledge, RegistryBackend, RegistryConfig};
pub use sending::{
    ElasticsearchConfig, IndexLayout, JsonTcpConfig, KafkaConfig, OgrtConfig, Sending, SplunkHecConfig,
};
pub use store::{DatabaseAddress, StoreBackend, StoreConfig};
pub use tls::TlsConfig;
pub(crate) use units::{Size, Time};
pub use uses::UsesConfig;

/// Stands in front of the tables that are examples.
const EXAMPLES: &str = "

# Everything below is an example. To use one, remove the first \"# \" from each of its lines.

";

/// Stands in front of the outputs.
const OUTPUTS: &str = "

# Outputs: where events are written. Use any number of them, each with a name of its own in the
# place of NAME in [outputs.NAME]: letters, digits, - and _. Without any, a \"file\" output with
# layout \"jobs\" writes into the directory \"out\" in data_dir. An output that is down or slow does
# not delay the others: its events wait in the queue.
";

table! {
    /// The configuration of ogrt-server, in TOML. Every key may be left out; its default is shown.
    /// Words: an *event* says that a process started or ended. A *build record* says how a program
    /// or library was linked, by whom and from what. Its *signature*, a UUID, is also in the
    /// program. A *spool* is a directory where clients keep what the server did not take; they
    /// deliver it later.
    /// A time is a number with a unit: "250ms", "5s", "10m", "2h", "30d". A size is one, too:
    /// "512B", "64KiB", "64MiB", "8GiB", "1TiB".
    /// On SIGHUP (`systemctl reload ogrt-server`) the server reads this file again: log_level,
    /// [limit], [[filter]], [names] and the files of [tls] change at once, everything else at the
    /// next start.
    Config {
        /// Address and port for events and build records, over UDP and TCP. The default can be
        /// reached from this machine only; "0.0.0.0:7971" can be reached from every network. Port
        /// 0: any free port.
        listen: String = "127.0.0.1:7971".into(),
        /// Path of the Unix socket for events and build records of this machine. A socket for
        /// datagrams is made beside it, with ".dgram" at the end of its name. Empty: no Unix
        /// sockets.
        /// If the default cannot be made, "ogrt.sock" in data_dir is used instead.
        unix: PathBuf = PathBuf::from("/run/ogrt/ogrt.sock"),
        /// Path of the Unix socket for ogrt-observe, which tells what libogrt.so cannot see: starts
        /// of static programs and of setuid programs. Only root and the server's own user may use
        /// it. Empty: no such socket, unless systemd passes it (ogrt-observe.socket).
        observe: PathBuf = PathBuf::new(),
        /// Address and port of the HTTP interface, for questions and metrics. Everybody who can
        /// reach it can read everything. Port 0: any free port.
        http: String = "127.0.0.1:7972".into(),
        /// Further names that HTTP requests may call the server by, for example
        /// ["ogrt.site.example"]. Addresses, names without a dot, the names of this machine in
        /// /etc/hosts and its name in the domains of /etc/resolv.conf need not be listed. A request
        /// for any other name is refused (421): a browser that was led astray sends it.
        http_hosts: Vec<String> = Vec::new(),
        /// Directory for the queue, the embedded registry, jobs and counts. One server uses it at a
        /// time. Empty: /var/lib/ogrt if the server can write there, else
        /// $XDG_STATE_HOME/ogrt-server, else ~/.local/state/ogrt-server. The option --data-dir and
        /// OGRT_DATA_DIR override this key.
        data_dir: PathBuf = PathBuf::new(),
        /// What is logged to stderr: "error", "warn", "info" or "debug", each with all levels
        /// before it. A part of the server can have a level of its own:
        /// "info,ogrt_server::join=debug".
        log_level: String = "info".into(),
        /// Form of a log line: "text" for people, "json" (one JSON object per line) for programs.
        log_format: LogFormat = LogFormat::Text,
        /// Name of the cluster of processes that do not say it (OGRT_CLUSTER, SLURM_CLUSTER_NAME).
        /// Jobs are known by cluster and job id. Empty: none.
        cluster: String = String::new(),
        /// How long the server may take to stop. In this time it writes received events to the
        /// outputs. What is left stays in the queue and is written after the next start.
        stop_timeout: Time = Time::from_secs(10),
        /// Limits for what is received.
        receive: Receive = Receive::default(),
        /// How processes are followed until they end.
        follow: FollowConfig = FollowConfig::default(),
        /// The queue on disk.
        queue: QueueConfig = QueueConfig::default(),
        /// The registry, which keeps builds.
        registry: RegistryConfig = RegistryConfig::default(),
        /// The store, which keeps what jobs ran.
        store: StoreConfig = StoreConfig::default(),
        /// How events and build records are brought together.
        join: JoinConfig = JoinConfig::default(),
        /// What is kept to answer questions about jobs.
        jobs: JobsConfig = JobsConfig::default(),
        /// Counts of who ran what.
        uses: UsesConfig = UsesConfig::default(),
        /// Names of software that nobody registered.
        names: NamesConfig = NamesConfig::default(),
        /// How many events one job may write.
        limit: LimitConfig = LimitConfig::default(),
        /// Rules for events that are not kept.
        filter: Vec<FilterRule> = Vec::new(),
        /// Who may register builds.
        access: AccessConfig = AccessConfig::default(),
        /// Encrypted ports.
        tls: TlsConfig = TlsConfig::default(),
        /// Outputs, which events are written to: any number, each with a name. Without any, a
        /// `file` output with layout "jobs" writes to "out" in data_dir.
        outputs: BTreeMap<String, OutputConfig> = BTreeMap::new(),
    }
}

choice! {
    /// The form of a log line.
    LogFormat {
        /// Text for people.
        Text = "text",
        /// One JSON object per line, for programs.
        Json = "json",
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        cause: std::io::Error,
    },
    /// The file has a key or value that is not known or makes no sense.
    #[error("{path}: {cause}")]
    Wrong {
        /// The file.
        path: String,
        /// The line, the key, and what was expected.
        cause: String,
    },
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: name.clone(), cause })?;
        Self::parse(&text).map_err(|cause| ConfigError::Wrong { path: name, cause })
    }

    /// Reads the text of a file; the error is one line, and names the line and the key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // A reason may quote the text, which may hold anything.
        Config::parse_text(text).map_err(|reason| one_line(&reason).into_owned())
    }

    fn parse_text(text: &str) -> Result<Self, String> {
        let source = Source::parse(text)?;
        if let Some(old_names) = renamed::old_names(&source) {
            return Err(old_names);
        }
        outputs::check(&source)?;
        let config: Config = toml::from_str(text).map_err(|error| source.explain(&error))?;
        config.check().map_err(|(key, problem)| source.locate(key, &problem))?;
        Ok(config)
    }

    /// Every key with its default and its meaning, as TOML that [`Config::read`] takes.
    pub fn documented_defaults() -> String {
        let mut out = String::new();
        let defaults = Config::default();
        document_table("", &defaults, &mut out);
        let tables: [(&str, &dyn Table); 12] = [
            ("receive", &defaults.receive),
            ("follow", &defaults.follow),
            ("queue", &defaults.queue),
            ("registry", &defaults.registry),
            ("store", &defaults.store),
            ("join", &defaults.join),
            ("jobs", &defaults.jobs),
            ("uses", &defaults.uses),
            ("names", &defaults.names),
            ("limit", &defaults.limit),
            ("access", &defaults.access),
            ("tls", &defaults.tls),
        ];
        for (name, table) in tables {
            out.push_str("\n\n");
            document_table(&format!("[{name}]\n"), table, &mut out);
        }
        out.push_str(EXAMPLES);
        filter::document(&mut out);
        out.push_str(OUTPUTS);
        outputs::document(&mut out);
        out
    }

    /// The top-level keys and tables whose values differ.
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let both = self.values().into_iter().zip(other.values());
        both.filter(|(ours, theirs)| ours != theirs).map(|((key, _), _)| key).collect()
    }

    /// Checks what the types of keys cannot: the error is a key and what is wrong with its value.
    fn check(&self) -> Result<(), (&'static str, String)> {
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
                (key, format!("\"{address}\" is not an IP address with a port, such as \"127.0.0.1:7971\""))
            })?;
        }
        let needs_url = self.registry.backend == RegistryBackend::Postgres;
        if needs_url && self.registry.url.is_empty() {
            let problem = "needed for backend = \"postgres\", such as \"postgresql://user@host/database\"";
            return Err(("registry.url", problem.into()));
        }
        if self.store.backend == StoreBackend::Postgres && !needs_url {
            let problem = "needs [registry] backend = \"postgres\" as well: servers that share what jobs ran \
                           also share builds";
            return Err(("store.backend", problem.into()));
        }
        if self.store.connections == 0 {
            return Err(("store.connections", "needs at least 1".into()));
        }
        let needs_certificate = !self.tls.listen.is_empty() || !self.tls.http.is_empty();
        let has_certificate =
            [&self.tls.certificate_file, &self.tls.key_file].iter().any(|file| !file.as_os_str().is_empty());
        if needs_certificate && !has_certificate {
            let problem = "needed for tls.listen and tls.http, together with tls.key_file";
            return Err(("tls.certificate_file", problem.into()));
        }
        check_log_level(&self.log_level).map_err(|problem| ("log_level", problem))?;
        Ok(())
    }
}

/// Refuses a word that is not a level: the log would take it for a part of the server and stay
/// empty.
fn check_log_level(text: &str) -> Result<(), String> {
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&word.to_ascii_lowercase().as_str())
    };
    let level = |part: &'_ str| part.rsplit_once('=').map_or(part, |(_, level)| level).trim().to_owned();
    match text.split(',').find(|part| !is_level(&level(part))) {
        None => Ok(()),
        Some(part) => Err(format!(
            "\"{part}\" is not a level: expected error, warn, info or debug, or a part of the server \
             with its level, such as \"info,ogrt_server::join=debug\""
        )),
    }
}

/// May an output have this name? It becomes a file name and a label of metrics.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

#[cfg(test)]
impl Config {
    /// The printed defaults with all examples in use: the first "# " of their lines is removed.
    fn documented_with_examples() -> String {
        let printed = Config::documented_defaults();
        let in_use = |block: &str| -> String {
            if !block.lines().any(|line| line.starts_with("# [") && line.ends_with(']')) {
                return block.to_owned();
            }
            let lines = block.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
            lines.collect::<Vec<_>>().join("\n")
        };
        printed.split("\n\n").map(in_use).collect::<Vec<_>>().join("\n\n")
    }
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
    fn printed_examples_can_be_used() {
        let text = Config::documented_with_examples();
        let config = Config::parse(&text).unwrap_or_else(|problem| panic!("{problem} in {text}"));
        assert_eq!((config.outputs.len(), config.filter.len()), (7, 1));
        assert!(Config::documented_defaults().lines().all(|line| line.len() <= 100));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_its_key_and_what_was_expected() {
        for (text, expected) in [
            (
                "listen = \"127.0.0.1:0\"\n[join]\nwayt = \"5s\"\n",
                "line 3: join.wayt: unknown key `wayt`, expected one of `wait`",
            ),
            (
                "[join]\nwait = \"5 parsecs\"\n",
                "line 2: join.wait: wrong value \"5 parsecs\", expected a time such as",
            ),
            (
                "[join]\nwait = 5\n",
                "line 2: join.wait: wrong type: integer `5`, expected a time such as \"5s\"",
            ),
            (
                "[queue]\nbytes_max = \"8GB\"\n",
                "line 2: queue.bytes_max: wrong value \"8GB\", expected a size such as \"64MiB\"",
            ),
            (
                "[queue]\nwhen_full = \"wait\"\n",
                "line 2: queue.when_full: unknown value `wait`, expected `refuse` or `drop-oldest`",
            ),
            ("[limit]\nburst_events = -1\n", "line 2: limit.burst_events: "),
            (
                "\n[outputs.a]\ntype = \"file\"\npfad = \"/x\"\n",
                "line 4: outputs.a.pfad: unknown key `pfad`, expected one of `layout`",
            ),
            (
                "[outputs.a]\ntype = \"kafka\"\nlinger = \"1\"\n",
                "line 3: outputs.a.linger: wrong value \"1\", expected a time",
            ),
            (
                "[outputs.a]\nlayout = \"jobs\"\n",
                "line 1: outputs.a: the key `type` is missing: expected one of \"file\"",
            ),
            (
                "[outputs.a]\ntype = \"fax\"\n",
                "line 2: outputs.a.type: there is no type \"fax\": expected one of \"file\"",
            ),
            (
                "[outputs.a]\ntype = \"\\u001b[2J\\nfax\"\n",
                "line 2: outputs.a.type: there is no type \"\\u{1b}[2J\\nfax\": expected one of \"file\"",
            ),
            (
                "listen = \"some\\nwhere\"\n",
                "line 1: listen: \"some\\nwhere\" is not an IP address with a port",
            ),
            (
                "[outputs.\"a b\"]\ntype = \"null\"\n",
                "line 1: outputs.a b: a name is made of letters, digits, - and _",
            ),
            (
                "\nlisten = \"somewhere\"\n",
                "line 2: listen: \"somewhere\" is not an IP address with a port, such as",
            ),
            ("log_level = \"loud\"\n", "line 1: log_level: \"loud\" is not a level: expected error, warn"),
            (
                "log_level = \"info,ogrt_server::join=all\"\n",
                "line 1: log_level: \"ogrt_server::join=all\" is not a level",
            ),
            (
                "[[filter]]\n[[filter]]\npath = \"(\"\n",
                "line 3: filter.path: wrong value \"(\", expected a regular expression (unclosed group)",
            ),
            ("[registry]\nbackend = \"postgres\"\n", "registry.url: needed for backend = \"postgres\""),
            (
                "[store]\nbackend = \"postgres\"\n",
                "line 2: store.backend: needs [registry] backend = \"postgres\" as well",
            ),
            ("[tls]\nlisten = \"127.0.0.1:1\"\n", "tls.certificate_file: needed for tls.listen"),
            ("[uses]\nimages_max = 1\n", "line 2: \"uses.images_max\" is called \"uses.programs_max\" now"),
            ("not toml", "line 1: "),
        ] {
            let problem = Config::parse(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text}: {problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
        Config::parse("log_level = \"warn,ogrt_server::join=DEBUG\"\n").unwrap();
    }
}
