//! The configuration: TOML, unknown keys refused, every key with a default.
//!
//! Each table is declared once, by [`table!`]: the name of a key, its type, its default and the text that
//! explains it. Reading, defaults and `print-default-config` all come from that one declaration.

mod units;

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
pub(crate) use units::{Size, Time};

/// Declares a table of the configuration, its defaults, and its documentation.
macro_rules! table {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $text:literal])+ $key:ident : $type:ty = $default:expr,)* }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[doc = $text])+ pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $default,)* }
            }
        }

        impl $name {
            /// The table as commented TOML.
            #[allow(dead_code)]
            fn document(&self, out: &mut String) {
                $(let _ = writeln!(out, "#{}", $about);)+
                $(
                    if let Some(value) = self.$key.as_toml() {
                        out.push('\n');
                        $(let _ = writeln!(out, "#{}", $text);)+
                        let _ = writeln!(out, "{} = {value}", stringify!($key));
                    }
                )*
            }
        }
    };
}

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
        /// How long a stop may take until what was received has gone out.
        stop_within: Time = seconds(10),
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
        /// Any number of outputs, each with a name. Without any: a `file` output with layout "jobs" under data_dir.
        outputs: BTreeMap<String, OutputConfig> = BTreeMap::new(),
    }
}

table! {
    /// Bounds on what is received.
    Receive {
        /// Local and UDP senders are not woken for: sockets are drained every so often.
        tick: Time = milliseconds(4),
        /// The same while nothing comes.
        idle_tick: Time = milliseconds(10),
        /// Receive buffer of the UDP socket, as far as the kernel lets us (as root: for certain).
        udp_buffer: Size = mebibytes(64),
        /// Largest message; larger ones close the stream.
        message_max: Size = mebibytes(16),
        /// Streams open at once; a further one waits in the kernel.
        connections_max: usize = 16_384,
        /// Bytes of unfinished large messages that all streams together may hold.
        stream_bytes_max: Size = mebibytes(64),
        /// A message begun must be complete within this time.
        message_timeout: Time = seconds(30),
        /// A stream that says nothing is closed after this time.
        idle_timeout: Time = seconds(600),
        /// Bytes received and not yet in the queue; beyond them receivers wait.
        pending_max: Size = mebibytes(16),
    }
}

table! {
    /// The durable queue between receiving and outputs.
    QueueConfig {
        /// Most bytes on disk.
        bytes_max: Size = Size(8 << 30),
        /// When it is full: "refuse" (streams are closed unacknowledged, datagrams counted and dropped) or
        /// "drop-oldest" (outputs that are behind lose the oldest events, counted).
        full: WhenFull = WhenFull::Refuse,
        /// Free bytes that must stay on the disk; with fewer the queue counts as full.
        disk_free_min: Size = mebibytes(256),
        /// What nobody waits to see acknowledged is synchronised at least this often.
        sync_every: Time = milliseconds(200),
    }
}

table! {
    /// The registry of builds.
    RegistryConfig {
        /// "embedded".
        backend: RegistryBackend = RegistryBackend::Embedded,
        /// Summaries of builds kept in memory.
        cache: usize = 131_072,
    }
}

table! {
    /// Bringing events and build records together.
    JoinConfig {
        /// How long an event waits for the record of a signature that nobody has registered yet; "0s": not at all.
        wait: Time = seconds(5),
        /// How long no further event waits for a signature that was waited for in vain.
        forget: Time = seconds(600),
        /// How long the parts of an event may take to arrive.
        parts_wait: Time = seconds(10),
        /// Events and parts that may wait at once; a further one goes out as it is.
        waiting_max: usize = 50_000,
        /// Bytes of them.
        waiting_bytes_max: Size = mebibytes(32),
    }
}

table! {
    /// What is kept to answer questions about jobs.
    JobsConfig {
        /// How long.
        keep: Time = Time(std::time::Duration::from_secs(90 * 86_400)),
        /// Most bytes, compressed; beyond them the oldest go.
        bytes_max: Size = Size(16 << 30),
        /// Most processes in one answer.
        answer_max: usize = 100_000,
    }
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
        /// How often what was written is synchronised and the place in the queue moved on.
        commit_every: Time = seconds(1),
    }
}

table! {
    /// An output that forgets everything: `type = "null"`.
    NullConfig {
    }
}

/// What happens to new events when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// New ones are not taken.
    Refuse,
    /// The oldest make room.
    DropOldest,
}

/// What keeps the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryBackend {
    /// The database in `data_dir`.
    Embedded,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileLayout {
    /// One JSON document for a job.
    Jobs,
    /// One event a line.
    Lines,
}

/// One output.
#[derive(Clone, Debug)]
pub enum OutputConfig {
    /// Files.
    File(FileConfig),
    /// Nothing.
    Null(NullConfig),
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
        Config::default().document(&mut out);
        let defaults = Config::default();
        type Section<'a> = (&'a str, &'a dyn Fn(&mut String));
        let sections: [Section<'_>; 5] = [
            ("receive", &|out| defaults.receive.document(out)),
            ("queue", &|out| defaults.queue.document(out)),
            ("registry", &|out| defaults.registry.document(out)),
            ("join", &|out| defaults.join.document(out)),
            ("jobs", &|out| defaults.jobs.document(out)),
        ];
        for (name, document) in sections {
            let _ = write!(out, "\n[{name}]\n");
            document(&mut out);
        }
        let mut example = String::from("[outputs.local]\ntype = \"file\"\n");
        FileConfig::default().document(&mut example);
        out.push_str("\n# Any number of outputs, each with a name. Without any: a `file` output, layout \"jobs\", under data_dir.\n");
        for line in example.lines() {
            let _ = writeln!(out, "{}", format!("# {line}").trim_end());
        }
        out
    }

    /// Settles what depends on the machine: where data goes, which socket can be made, which output there is.
    pub fn choose_places(&mut self) {
        if self.data_dir.as_os_str().is_empty() {
            self.data_dir = default_data_dir();
        }
        if self.unix == Config::default().unix && !can_be_made(Path::new("/run/ogrt")) {
            self.unix = self.data_dir.join("ogrt.sock");
        }
        if self.outputs.is_empty() {
            let jobs = FileConfig {
                layout: FileLayout::Jobs,
                path: self.data_dir.join("out"),
                ..FileConfig::default()
            };
            self.outputs.insert("local".into(), OutputConfig::File(jobs));
        }
    }

    fn check(&self) -> Result<(), String> {
        for (key, address) in [("listen", &self.listen), ("http", &self.http)] {
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

/// How a value of the configuration is written; `None` for what is a table of its own.
trait AsToml {
    fn as_toml(&self) -> Option<String>;
}

macro_rules! as_toml {
    ($($type:ty => $show:expr),* $(,)?) => { $(impl AsToml for $type {
        fn as_toml(&self) -> Option<String> {
            let show: fn(&$type) -> Option<String> = $show;
            show(self)
        }
    })* };
}

as_toml! {
    String => |text| Some(format!("{text:?}")),
    PathBuf => |path| Some(format!("{:?}", path.display().to_string())),
    usize => |number| Some(number.to_string()),
    Time => |time| Some(time.to_string()),
    Size => |size| Some(size.to_string()),
    WhenFull => |when| Some(match when { WhenFull::Refuse => "\"refuse\"", WhenFull::DropOldest => "\"drop-oldest\"" }.into()),
    RegistryBackend => |_| Some("\"embedded\"".into()),
    FileLayout => |layout| Some(match layout { FileLayout::Jobs => "\"jobs\"", FileLayout::Lines => "\"lines\"" }.into()),
    Receive => |_| None,
    QueueConfig => |_| None,
    RegistryConfig => |_| None,
    JoinConfig => |_| None,
    JobsConfig => |_| None,
    BTreeMap<String, OutputConfig> => |_| None,
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

fn default_data_dir() -> PathBuf {
    let site = PathBuf::from("/var/lib/ogrt");
    if can_be_made(&site) {
        return site;
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("ogrt-server")
}

/// May we write in this directory, or make it? Nothing is made here: that is for the start.
fn can_be_made(directory: &Path) -> bool {
    let nearest = directory.ancestors().find(|path| path.exists());
    nearest.is_some_and(|path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok())
}

fn seconds(number: u64) -> Time {
    Time(std::time::Duration::from_secs(number))
}

fn milliseconds(number: u64) -> Time {
    Time(std::time::Duration::from_millis(number))
}

fn mebibytes(number: u64) -> Size {
    Size(number << 20)
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
