//! `ogrt`: forwards to another ogrt-server, by the protocol that clients use, with its
//! acknowledgements.
//!
//! A request is done when the other server acknowledges that it is durable there. The other server
//! recognises a repeated event by its id, and queues it once. The message goes on as it came. What
//! we know better is appended, because later fields win: the id that we gave it, that it is whole,
//! the pid, uid and gid that our kernel proved, and the user's name that belongs to them in the
//! place of the one that the process claims. What is proved stands in [`Provenance`], which the
//! other server believes if our token or certificate lets us relay. It stands in each event, so
//! that what a sender wrote there never counts. Builds are sent by [`super::relay_builds`].

use super::remote::{ByteStream, Connector, Document, Fate, Protocol, SendOutcome, read_secret};
use crate::{
    config::OgrtConfig,
    fields::{Fields, Value},
    queue::{Entry, Kind},
    users::Users,
};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use ogrt_proto::{
    Ack, Hello, JobSummary, MessageType, ProcessEnd, ProcessInfo, Provenance, decode_frame, encode_frame,
    field_numbers::process_info,
};
use prost::Message;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Largest acknowledgement. A peer that announces a larger frame is not an ogrt-server.
const ACK_BYTES_MAX: usize = 4096;

/// See the module.
pub struct Relay {
    connector: Connector,
    address: String,
    token_file: PathBuf,
    users: Users,
}

/// A stream that began with a Hello.
pub struct RelayConnection {
    stream: Box<dyn ByteStream>,
    received: BytesMut,
    sent: u64,
    durable: u64,
}

impl Relay {
    /// Reads the configuration, without connecting.
    pub fn new(config: &OgrtConfig) -> Result<Self> {
        Ok(Relay {
            connector: Connector::new(&config.address, config.tls, &config.ca_file)?,
            address: config.address.clone(),
            token_file: config.token_file.clone(),
            users: Users::new(),
        })
    }
}

impl Protocol for Relay {
    type Connection = RelayConnection;

    async fn connect(&self) -> Result<RelayConnection> {
        let token = match self.token_file.as_os_str().is_empty() {
            true => None,
            false => Some(read_secret(&self.token_file)?),
        };
        let client = Some(concat!("ogrt-server ", env!("CARGO_PKG_VERSION")).to_owned());
        let mut stream = self.connector.connect().await?;
        let hello = Hello { client, token, passes_on: Some(true), ..Hello::default() };
        stream.write_all(&encode_frame(MessageType::Hello, &hello)).await?;
        Ok(RelayConnection { stream, received: BytesMut::new(), sent: 0, durable: 0 })
    }

    async fn send_over(&self, open: &mut RelayConnection, documents: &[Document<'_>]) -> SendOutcome {
        let mut frames = Vec::new();
        for document in documents {
            frame(document, &self.users, &mut frames)?;
        }
        open.send(&frames, documents.len() as u64).await.with_context(|| self.address.clone())?;
        Ok(vec![Fate::Done; documents.len()])
    }
}

impl RelayConnection {
    /// Sends `count` frames; they are durable at the other server when this returns.
    pub async fn send(&mut self, frames: &[u8], count: u64) -> Result<()> {
        self.stream.write_all(frames).await.context("the connection broke while sending")?;
        self.stream.flush().await?;
        self.sent += count;
        self.wait_durable().await
    }

    async fn wait_durable(&mut self) -> Result<()> {
        while self.durable < self.sent {
            let read = self.stream.read_buf(&mut self.received).await?;
            ensure!(
                read > 0,
                "the other server closed the connection before it acknowledged everything; its log says why"
            );
            while let Some(frame) = decode_frame(&mut self.received, ACK_BYTES_MAX)? {
                match frame.message_type() {
                    Some(MessageType::Ack) => {
                        let ack = Ack::decode(frame.message)?;
                        if let Some(reason) = ack.refused {
                            bail!(
                                "the other server refuses: {reason}; here token_file of the output names the file"
                            );
                        }
                        self.durable = ack.durable_frames();
                    }
                    _ => bail!("the peer is not an ogrt-server: it did not answer with an acknowledgement"),
                }
            }
        }
        Ok(())
    }
}

/// Appends the document's event in the form that a client sends.
fn frame(document: &Document<'_>, users: &Users, frames: &mut Vec<u8>) -> Result<()> {
    let entry = Entry::read(&mut Bytes::copy_from_slice(document.entry()))
        .context("an entry of the queue is damaged")?;
    let event_id = Some(Bytes::copy_from_slice(&document.key().0));
    let known = entry.credentials;
    let pid = known.map(|known| known.pid as i32).filter(|pid| *pid != 0);
    let provenance = Some(Provenance {
        pid: known.map(|known| known.pid).filter(|pid| *pid != 0),
        uid: known.map(|known| known.uid),
        gid: known.map(|known| known.gid),
        delivered_by: entry.delivered_by,
        via: entry.via.clone(),
    });
    let (kind, ours) = match entry.kind {
        Kind::Start => {
            let (username, claimed_username) = user_names(&entry, users).unzip();
            let ours = ProcessInfo {
                event_id,
                pid,
                uid: known.map(|known| known.uid),
                gid: known.map(|known| known.gid),
                username,
                claimed_username,
                part_index: entry.is_whole.then_some(0),
                part_count: entry.is_whole.then_some(1),
                provenance,
                ..Default::default()
            };
            (MessageType::ProcessInfo, ours.encode_to_vec())
        }
        Kind::End => {
            // An end names a user only where its server followed the process.
            let start = known.and_then(|known| match users.name(known.uid) {
                Some(name) => Some(Bytes::copy_from_slice(name.as_bytes())),
                None if entry.via.is_some() => None,
                None => Some(Bytes::new()),
            });
            let start = start.map(|name| ProcessInfo { username: Some(name), ..Default::default() });
            let ours = ProcessEnd {
                event_id,
                pid,
                start,
                part_index: entry.is_whole.then_some(0),
                part_count: entry.is_whole.then_some(1),
                provenance,
                ..Default::default()
            };
            (MessageType::ProcessEnd, ours.encode_to_vec())
        }
        Kind::Summary => {
            let ours = JobSummary { event_id, provenance, ..Default::default() };
            (MessageType::JobSummary, ours.encode_to_vec())
        }
    };
    let length = u32::try_from(entry.message.len() + ours.len()).context("an event is larger than 4 GiB")?;
    frames.extend_from_slice(&(kind as u32).to_be_bytes());
    frames.extend_from_slice(&length.to_be_bytes());
    frames.extend_from_slice(&entry.message);
    frames.extend_from_slice(&ours);
    Ok(())
}

/// The name that belongs to the uid which is proved, or which the process gives without a name; and
/// the name that the process claims where nobody knows one. `None`: the claims stand.
fn user_names(entry: &Entry, users: &Users) -> Option<(Bytes, Bytes)> {
    let (mut uid, mut username, mut claimed) = (None, &[][..], &[][..]);
    for field in Fields::of(&entry.message).map_while(Result::ok) {
        match field {
            (process_info::UID, Value::Varint(value)) => uid = Some(value as u32),
            (process_info::USERNAME, Value::Bytes(bytes)) => username = bytes,
            (process_info::CLAIMED_USERNAME, Value::Bytes(bytes)) => claimed = bytes,
            _ => {}
        }
    }
    let name = |uid: u32| users.name(uid).map(|name| Bytes::copy_from_slice(name.as_bytes()));
    match entry.credentials {
        Some(known) => match name(known.uid) {
            Some(name) => Some((name, Bytes::new())),
            // The relay before this one has made it.
            None if entry.via.is_some() => None,
            None => Some((Bytes::new(), Bytes::copy_from_slice(username))),
        },
        None if username.is_empty() => Some((name(uid?)?, Bytes::copy_from_slice(claimed))),
        None => None,
    }
}
