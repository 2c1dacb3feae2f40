//! Tables of outputs that send over a network. What all of them need is declared once, by [`sender!`].

use super::{
    Size, Time,
    table::{choice, table},
};
use std::{path::PathBuf, time::Duration};

/// How documents are put together, sent, and sent again.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Requests under way at once.
    pub workers: usize,
    /// Most documents of a request.
    pub batch_events: usize,
    /// Most bytes of a request; a larger document goes alone.
    pub batch_bytes: usize,
    /// How long to gather before sending.
    pub linger: Duration,
    /// How long a request may take until it counts as failed.
    pub timeout: Duration,
    /// Longest pause between attempts.
    pub backoff_max: Duration,
    /// How often the place in the queue is moved on.
    pub commit_every: Duration,
    /// Most bytes of the file of refused documents.
    pub dead_letters_bytes_max: u64,
}

/// Declares the table of an output that sends: its own keys, and those that all of them have.
macro_rules! sender {
    ($(#[doc = $about:literal])+ $name:ident { $($keys:tt)* }) => {
        table! {
            $(#[doc = $about])+
            $name {
                $($keys)*
                /// Requests under way at once. The documents of one process always go by the same worker, in order.
                workers: usize = 2,
                /// Most documents of a request.
                batch_events: usize = 1000,
                /// Most bytes of a request; a larger document goes alone.
                batch_bytes: Size = Size::mebibytes(1),
                /// How long to gather before sending.
                linger: Time = Time::from_millis(100),
                /// How long a request may take until it counts as failed.
                timeout: Time = Time::from_secs(30),
                /// Attempts are made again without end, after pauses that double up to this.
                backoff_max: Time = Time::from_secs(30),
                /// How often the place in the queue is moved on.
                commit_every: Time = Time::from_secs(1),
                /// Most bytes of dead-letters/NAME.jsonl in data_dir, where documents go that the receiver refuses for
                /// good. When it is full the output waits until somebody moves it away.
                dead_letters_bytes_max: Size = Size::mebibytes(1024),
            }
        }

        impl $name {
            /// What all outputs that send have.
            pub fn sending(&self) -> Sending {
                Sending {
                    workers: self.workers.clamp(1, 64),
                    batch_events: self.batch_events.max(1),
                    batch_bytes: usize::try_from(self.batch_bytes.0).unwrap_or(usize::MAX),
                    linger: self.linger.0,
                    timeout: self.timeout.0,
                    backoff_max: self.backoff_max.0,
                    commit_every: self.commit_every.0,
                    dead_letters_bytes_max: self.dead_letters_bytes_max.0,
                }
            }
        }
    };
}

sender! {
    /// Elasticsearch (7.8 and later) or OpenSearch, by its bulk interface: `type = "elasticsearch"`.
    ElasticsearchConfig {
        /// Its nodes. The next one is taken when one fails.
        urls: Vec<String> = vec!["http://127.0.0.1:9200".into()],
        /// Name of the index, or what the names of dated indices begin with.
        index: String = "ogrt-events".into(),
        /// "dated": an index for each day of receipt (UTC), INDEX-2026.11.25. "data-stream": INDEX is a data stream.
        /// "single": INDEX is an index or an alias.
        layout: IndexLayout = IndexLayout::Dated,
        /// Install the index template of this name, which gives the mapping.
        template: bool = true,
        /// A file with an API key, as the server issued it (base64). Empty: none.
        api_key_file: PathBuf = PathBuf::new(),
        /// Or the name of a user. Empty: none.
        user: String = String::new(),
        /// And a file with the password.
        password_file: PathBuf = PathBuf::new(),
        /// Certificates (PEM) that are trusted for https. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// Compress requests.
        gzip: bool = true,
    }
}

sender! {
    /// JSON lines over TCP, to Splunk's TCP input, rsyslog, Vector, Logstash: `type = "json_tcp"`.
    JsonTcpConfig {
        /// HOST:PORT.
        address: String = "127.0.0.1:9000".into(),
        /// Speak TLS.
        tls: bool = false,
        /// Certificates (PEM) that are trusted for TLS. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// A connection for each request, done when the receiver has read to the end and closes. false, for receivers
        /// that do not close: the connection stays, and what they had not read when they die is lost.
        confirm: bool = true,
    }
}

sender! {
    /// Splunk's HTTP Event Collector: `type = "splunk_hec"`.
    SplunkHecConfig {
        /// Where it listens.
        url: String = "https://127.0.0.1:8088".into(),
        /// A file with the token.
        token_file: PathBuf = PathBuf::new(),
        /// Wait until the indexers acknowledge. The token must have that switched on.
        acknowledge: bool = true,
        /// Which index. Empty: the token's.
        index: String = String::new(),
        /// What Splunk calls the source.
        source: String = "ogrt".into(),
        /// What Splunk calls the source type.
        sourcetype: String = "_json".into(),
        /// Certificates (PEM) that are trusted for https. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// Compress requests.
        gzip: bool = true,
    }
}

sender! {
    /// A topic of Kafka (2.4 and later): `type = "kafka"`.
    KafkaConfig {
        /// Brokers that tell of the others, HOST:PORT each.
        brokers: Vec<String> = vec!["127.0.0.1:9092".into()],
        /// The topic.
        topic: String = "ogrt-events".into(),
        /// Make the topic with so many partitions where it is not there. 0: it must be there.
        create_partitions: usize = 0,
        /// Name of a user, for SASL PLAIN. Empty: none.
        user: String = String::new(),
        /// A file with the password.
        password_file: PathBuf = PathBuf::new(),
        /// Speak TLS.
        tls: bool = false,
        /// Certificates (PEM) that are trusted for TLS. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
    }
}

sender! {
    /// Another ogrt-server: this one is its relay. `type = "ogrt"`.
    OgrtConfig {
        /// HOST:PORT.
        address: String = "127.0.0.1:7971".into(),
        /// Pass on the builds that are registered here, too.
        builds: bool = true,
        /// A file with the token that the other server wants. Empty: none.
        token_file: PathBuf = PathBuf::new(),
        /// Speak TLS.
        tls: bool = false,
        /// Certificates (PEM) that are trusted for TLS. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
    }
}

choice! {
    /// Which index a document goes to.
    IndexLayout {
        /// One for each day.
        Dated = "dated",
        /// A data stream.
        DataStream = "data-stream",
        /// One.
        Single = "single",
    }
}
