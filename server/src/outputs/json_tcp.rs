//! JSON lines over TCP: to Splunk's TCP input, rsyslog, Vector, Logstash, or any other reader of
//! lines.
//!
//! TCP alone does not tell whether the receiver has read what its kernel took. So with `confirm`,
//! the default, each request has a connection of its own. We close our half, and the receiver
//! closes the other when it has read to the end; only then the documents count as done. A receiver
//! that never closes needs `confirm = false`: then the connection stays open, and what the receiver
//! had not read when it died is lost.

use super::remote::{ByteStream, Connector, Document, Fate, SendOutcome, Sink};
use crate::config::JsonTcpConfig;
use anyhow::{Context, Result};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// See the module.
pub struct JsonTcp {
    connector: Connector,
    address: String,
    confirm: bool,
}

impl JsonTcp {
    /// Reads the configuration, without connecting.
    pub fn new(config: &JsonTcpConfig) -> Result<Self> {
        Ok(JsonTcp {
            connector: Connector::new(&config.address, config.tls, &config.ca_file)?,
            address: config.address.clone(),
            confirm: config.confirm,
        })
    }

    async fn lines(&self, stream: &mut dyn ByteStream, lines: &[u8]) -> Result<()> {
        let broke = || format!("{} broke the connection before it had read everything", self.address);
        stream.write_all(lines).await.with_context(broke)?;
        stream.flush().await.with_context(broke)?;
        if self.confirm {
            stream.shutdown().await.with_context(broke)?;
            // We only wait for the end of what the receiver sends. Some receivers end TLS without a
            // close_notify.
            let mut said = [0; 1024];
            loop {
                match stream.read(&mut said).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(end) if end.kind() == ErrorKind::UnexpectedEof => break,
                    Err(problem) => return Err(problem).with_context(broke),
                }
            }
        }
        Ok(())
    }
}

impl Sink for JsonTcp {
    /// The open connection, without `confirm`.
    type Worker = Option<Box<dyn ByteStream>>;

    fn worker(&self, _: usize) -> Self::Worker {
        None
    }

    fn renew(&self, connection: &mut Self::Worker) {
        *connection = None;
    }

    async fn check(&self, _: &mut Self::Worker) -> Result<()> {
        self.connector.connect().await.map(drop)
    }

    async fn send(&self, connection: &mut Self::Worker, documents: &[Document<'_>]) -> SendOutcome {
        let mut lines = Vec::with_capacity(documents.iter().map(|document| document.json().len() + 1).sum());
        for document in documents {
            lines.extend_from_slice(document.json());
            lines.push(b'\n');
        }
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => self.connector.connect().await?,
        };
        self.lines(&mut *stream, &lines).await?;
        if !self.confirm {
            *connection = Some(stream);
        }
        Ok(vec![Fate::Done; documents.len()])
    }
}
