//! Tables of outputs that send over a network. The keys that all of them have are declared once, by
//! `sender!`.

use super::{
    Size, Time,
    table::{choice, table},
};
use std::{path::PathBuf, time::Duration};

/// The keys that all outputs that send have in common.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Number of requests that are sent at the same time.
    pub workers: usize,
    /// Largest number of documents in one request.
    pub batch_events: usize,
    /// Largest size of one request; a larger document is sent alone.
    pub batch_bytes: usize,
    /// How long to collect documents before a request is sent.
    pub linger: Duration,
    /// How long a request may take until it has failed.
    pub timeout: Duration,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
    /// How often the offset in the queue is saved.
    pub commit_every: Duration,
    /// Largest size of the file of documents that were refused for good.
    pub dead_letters_bytes_max: u64,
}

/// Declares the table of an output that sends: its own keys, then those that all of them have.
macro_rules! sender {
    ($(#[doc = $about:literal])+ $name:ident { $($keys:tt)* }) => {
        table! {
            $(#[doc = $about])+
            $name {
                $($keys)*
                /// Number of requests that are sent at the same time, 1 to 64. All documents of one
                /// process are sent by the same worker, in order.
                workers: usize = 2,
                /// Largest number of documents in one request.
                batch_events: usize = 1000,
                /// Largest size of one request. A larger document is sent in a request of its own.
                batch_bytes: Size = Size::mebibytes(1),
                /// How long to collect documents before a request is sent. A longer time makes
                /// fewer and larger requests.
                linger: Time = Time::from_millis(100),
                /// How long a request may take. A request that takes longer has failed and is sent
                /// again.
                timeout: Time = Time::from_secs(30),
                /// A failed request is sent again until it succeeds. The pauses between attempts
                /// double, up to this time.
                backoff_max: Time = Time::from_secs(30),
                /// How often the output's offset (its position in the queue) is saved. After a
                /// crash, documents are sent again from there.
                commit_every: Time = Time::from_secs(1),
                /// Largest size of dead-letters/NAME.jsonl in data_dir. That file holds documents
                /// that the receiver refused for good. When it is full, the output waits until
                /// somebody moves the file away.
                dead_letters_bytes_max: Size = Size::mebibytes(1024),
            }
        }

        impl $name {
            /// The keys that all outputs that send have in common.
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
    /// Output "elasticsearch": Elasticsearch (7.8 or later) or OpenSearch, by its bulk API.
    ElasticsearchConfig {
        /// URLs of the nodes. When one fails, the next one is used.
        urls: Vec<String> = vec!["http://127.0.0.1:9200".into()],
        /// Name of the index (INDEX below), or the beginning of the names of dated indices.
        index: String = "ogrt-events".into(),
        /// "dated": one index per day of receipt (UTC), such as INDEX-2026.11.25. "data-stream":
        /// INDEX is a data stream. "single": INDEX is an index or an alias.
        layout: IndexLayout = IndexLayout::Dated,
        /// true: the server installs an index template named INDEX with the types of all fields.
        /// false: the site defines them itself.
        template: bool = true,
        /// File with an API key in base64, as Elasticsearch issued it. Empty: no API key.
        api_key_file: PathBuf = PathBuf::new(),
        /// Name of a user, if there is no API key. Empty: no user.
        user: String = String::new(),
        /// File with the password of that user.
        password_file: PathBuf = PathBuf::new(),
        /// File with CA certificates (PEM) that are trusted for https. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// true: requests are compressed.
        gzip: bool = true,
    }
}

sender! {
    /// Output "json_tcp": one JSON document per line over TCP, for Splunk's TCP input, rsyslog,
    /// Vector or Logstash.
    JsonTcpConfig {
        /// HOST:PORT of the receiver.
        address: String = "127.0.0.1:9000".into(),
        /// true: the connection is encrypted with TLS.
        tls: bool = false,
        /// File with CA certificates (PEM) that are trusted for TLS. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// true: each request has a connection of its own, and is done when the receiver has read
        /// all of it and closes the connection. false: one connection is used for all requests, for
        /// receivers that do not close it. What a receiver has not read when it dies is then lost.
        confirm: bool = true,
    }
}

sender! {
    /// Output "splunk_hec": Splunk's HTTP Event Collector.
    SplunkHecConfig {
        /// URL of the collector.
        url: String = "https://127.0.0.1:8088".into(),
        /// File with the token of the collector.
        token_file: PathBuf = PathBuf::new(),
        /// true: a request is done when Splunk's indexers acknowledge it; the token must have
        /// indexer acknowledgement switched on. false: a request is done when Splunk answers it.
        acknowledge: bool = true,
        /// Index for the events. Empty: the default index of the token.
        index: String = String::new(),
        /// What Splunk shows as the source of the events.
        source: String = "ogrt".into(),
        /// What Splunk shows as the source type of the events.
        sourcetype: String = "_json".into(),
        /// File with CA certificates (PEM) that are trusted for https. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// true: requests are compressed.
        gzip: bool = true,
    }
}

sender! {
    /// Output "kafka": a topic of Kafka (2.4 or later).
    KafkaConfig {
        /// HOST:PORT of one or more brokers. They name the others.
        brokers: Vec<String> = vec!["127.0.0.1:9092".into()],
        /// Name of the topic.
        topic: String = "ogrt-events".into(),
        /// Create the topic with this many partitions if it does not exist. 0: never create it.
        create_partitions: usize = 0,
        /// Name of a user, for SASL PLAIN. Empty: no user.
        user: String = String::new(),
        /// File with the password of that user.
        password_file: PathBuf = PathBuf::new(),
        /// true: the connection is encrypted with TLS.
        tls: bool = false,
        /// File with CA certificates (PEM) that are trusted for TLS. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
    }
}

sender! {
    /// Output "ogrt": another ogrt-server. This server is then a relay of that one.
    OgrtConfig {
        /// HOST:PORT of the other server.
        address: String = "127.0.0.1:7971".into(),
        /// true: builds that are registered with this server are passed on, too.
        builds: bool = true,
        /// File with a token of the other server. With scope relay ("ogrt-server token add NAME
        /// --scope relay") the other server keeps as proved what this one has proved, and takes
        /// builds even if it has access.register = "token". Empty: no token.
        token_file: PathBuf = PathBuf::new(),
        /// true: the connection is encrypted with TLS.
        tls: bool = false,
        /// File with CA certificates (PEM) that are trusted for TLS. Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
    }
}

choice! {
    /// The index that a document is written to.
    IndexLayout {
        /// One index for each day.
        Dated = "dated",
        /// A data stream.
        DataStream = "data-stream",
        /// One index or alias for all documents.
        Single = "single",
    }
}
