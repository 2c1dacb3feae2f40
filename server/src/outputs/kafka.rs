//! Kafka: a record for each document, with the document's id as its key, acknowledged by all
//! in-sync replicas.
//!
//! Both documents of a process go to one partition in their order, the one that Kafka's own
//! producers choose for the event's id. Delivery is at least once: after a failure records may be
//! sent again, under the same key. A compacted topic keeps one of them, and a consumer recognises
//! them by the key. (An idempotent producer, which the client lacks, would not help over a restart;
//! the key does.)

use super::remote::{Document, Fate, Protocol, SendError, SendOutcome, read_secret};
use crate::{config::KafkaConfig, tls_client::client_config};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use rskafka::{
    BackoffConfig,
    chrono::{DateTime, Utc},
    client::{
        Client, ClientBuilder, Credentials, SaslConfig,
        error::{Error, ProtocolError},
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long the client itself retries before it reports a failure to us.
const CLIENT_TRIES: Duration = Duration::from_secs(5);

/// See the module.
pub struct Kafka {
    config: KafkaConfig,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// The clients of the topic's partitions, in the order of partitions.
pub struct KafkaConnection {
    partitions: Vec<PartitionClient>,
}

impl Kafka {
    /// Reads the configuration and the files that it names, without connecting.
    pub fn new(config: &KafkaConfig) -> Result<Self> {
        ensure!(!config.brokers.is_empty(), "brokers is empty: name at least one HOST:PORT");
        let tls = config.tls.then(|| client_config(&config.ca_file).map(Arc::new)).transpose()?;
        Ok(Kafka { config: config.clone(), tls })
    }

    /// The numbers of the topic's partitions; `None` if there is no such topic.
    async fn numbers(&self, client: &Client) -> Result<Option<Vec<i32>>> {
        let topics = client.list_topics().await?;
        let topic = topics.into_iter().find(|topic| topic.name == self.config.topic);
        Ok(topic
            .map(|topic| topic.partitions.into_iter().collect())
            .filter(|numbers: &Vec<_>| !numbers.is_empty()))
    }
}

impl Protocol for Kafka {
    type Connection = KafkaConnection;

    async fn connect(&self) -> Result<KafkaConnection> {
        let mut builder = ClientBuilder::new(self.config.brokers.clone()).client_id("ogrt-server");
        builder =
            builder.backoff_config(BackoffConfig { deadline: Some(CLIENT_TRIES), ..Default::default() });
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(tls.clone());
        }
        if !self.config.user.is_empty() {
            let password = read_secret(&self.config.password_file)?;
            let credentials = Credentials::new(self.config.user.clone(), password);
            builder = builder.sasl_config(SaslConfig::Plain(credentials));
        }
        let brokers = || format!("{:?}", self.config.brokers);
        let client = builder.build().await.with_context(brokers)?;
        let topic = &self.config.topic;
        let numbers = match self.numbers(&client).await.with_context(brokers)? {
            Some(numbers) => numbers,
            None => {
                ensure!(
                    self.config.create_partitions > 0,
                    "{}: the topic {topic} does not exist; create it, or set create_partitions",
                    brokers()
                );
                let partitions = i32::try_from(self.config.create_partitions).context("create_partitions")?;
                // -1 is the number of replicas that the broker is configured with.
                let made = client.controller_client()?.create_topic(topic, partitions, -1, 5_000).await;
                made.with_context(|| format!("{}: cannot create the topic {topic}", brokers()))?;
                self.numbers(&client).await?.with_context(|| {
                    format!("the topic {topic} was created, but the brokers do not list it yet")
                })?
            }
        };
        let partition = |number| client.partition_client(topic.as_str(), number, UnknownTopicHandling::Error);
        let partitions = try_join_all(numbers.into_iter().map(partition)).await.with_context(brokers)?;
        Ok(KafkaConnection { partitions })
    }

    async fn send_over(&self, open: &mut KafkaConnection, documents: &[Document<'_>]) -> SendOutcome {
        let mut records: BTreeMap<usize, Vec<Record>> = BTreeMap::new();
        for document in documents {
            let partition = partition(document.event_id().as_bytes(), open.partitions.len());
            records.entry(partition).or_default().push(Record {
                key: Some(document.id().into_bytes()),
                value: Some(document.json().to_vec()),
                headers: BTreeMap::new(),
                timestamp: time(document.time_ns()),
            });
        }
        let produce = records.into_iter().map(|(number, records)| {
            let partition = &open.partitions[number];
            async move { partition.produce(records, Compression::Gzip).await }
        });
        match try_join_all(produce).await {
            Ok(_) => {}
            Err(Error::ServerError { protocol_error: ProtocolError::MessageTooLarge, .. }) => {
                return Err(SendError::Split(format!(
                    "topic {}: the brokers refuse a message of this size (message.max.bytes)",
                    self.config.topic
                )));
            }
            Err(problem) => Err(problem).with_context(|| format!("topic {}", self.config.topic))?,
        }
        Ok(vec![Fate::Done; documents.len()])
    }
}

fn time(unix_ns: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(unix_ns.max(0))
}

/// The partition that Kafka's producers choose for a key: murmur2, made positive, modulo the number
/// of partitions.
fn partition(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7FFF_FFFF) as usize % partitions
}

/// MurmurHash2 (A. Appleby) with the seed of Kafka.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let mut hash = 0x9747_B28C ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hashed_as_kafka_does() {
        // From the tests of Kafka's own org.apache.kafka.common.utils.Utils.
        let known =
            [("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
