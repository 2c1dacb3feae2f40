//! The way of frames to the server: connect, Hello, frames, wait until they are durable.
//!
//! Everything has a deadline, and connecting happens beside the link: a build waits for the server at most
//! [`PATIENCE`] after its link is done. A server that hangs, refuses or is absent costs that once; then it is
//! left alone for [`REST`], and records go to the spool.

use bytes::BytesMut;
use ogrt_proto::{Ack, FrameError, Hello, MessageType, decode_frame, encode_frame};
use prost::Message;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Where the server listens when nothing is set.
pub const DEFAULT_SERVER: &str = "127.0.0.1:7971";

/// The longest wait for the server on a build's critical path.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// How long a server that failed is left alone.
pub const REST: Duration = Duration::from_secs(30);

/// Acknowledgements are small; a peer that announces more is not our server.
const ACK_BYTES_MAX: usize = 4096;

/// Longer token files are not read: a token is one line.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// `host:port`.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// Why frames were not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// No connection.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// Where to.
        server: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or the deadline passed.
    #[error("{server} did not take it: {source}")]
    Exchange {
        /// Where to.
        server: String,
        /// What happened.
        source: io::Error,
    },
    /// The answer is not our protocol.
    #[error("{server} does not speak our protocol: {source}")]
    Protocol {
        /// Where to.
        server: String,
        /// What is wrong.
        source: FrameError,
    },
    /// The token file could not be read.
    #[error("cannot read the token file {path}: {source}", path = path.display())]
    Token {
        /// OGRT_TOKEN_FILE.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Server {
    /// `unix:/path` or `host:port`.
    pub fn parse(text: &str) -> Server {
        match text.strip_prefix("unix:") {
            Some(path) => Server::Unix(path.into()),
            None => Server::Tcp(text.to_owned()),
        }
    }

    /// From `OGRT_SERVER`, or the default.
    pub fn from_environment() -> Server {
        match std::env::var("OGRT_SERVER") {
            Ok(text) if !text.is_empty() => Server::parse(&text),
            _ => Server::parse(DEFAULT_SERVER),
        }
    }

    /// Connects and says Hello, all before `deadline`.
    pub fn connect(&self, token_file: Option<&Path>, deadline: Instant) -> Result<Connection, DeliverError> {
        let token = token_file.map(read_token).transpose()?;
        let connect_error = |source| DeliverError::Connect { server: self.to_string(), source };
        let stream = self.open(deadline).map_err(connect_error)?;
        let mut connection =
            Connection { server: self.to_string(), stream, received: BytesMut::new(), sent: 0, durable: 0 };
        let client = concat!("ogrt ", env!("CARGO_PKG_VERSION")).to_owned();
        let hello = Hello { client: Some(client), token };
        connection.write(&encode_frame(MessageType::Hello, &hello), deadline)?;
        Ok(connection)
    }

    /// The same in a thread, so that a link goes on meanwhile.
    pub fn connect_beside(&self, token_file: Option<PathBuf>, patience: Duration) -> Connecting {
        let (sender, receiver) = sync_channel(1);
        let server = self.clone();
        let connect = move || {
            // Nobody waits any more for a connection that came too late.
            let _ = sender.send(server.connect(token_file.as_deref(), Instant::now() + patience));
        };
        // Without a thread the channel is closed, and waiting says so.
        let _ = std::thread::Builder::new().spawn(connect);
        Connecting { server: self.to_string(), receiver }
    }

    fn open(&self, deadline: Instant) -> io::Result<Stream> {
        match self {
            Server::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
            Server::Tcp(address) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, left(deadline)?) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Server::Tcp(address) => f.write_str(address),
            Server::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection that is being made.
#[derive(Debug)]
pub struct Connecting {
    server: String,
    receiver: Receiver<Result<Connection, DeliverError>>,
}

impl Connecting {
    /// The connection, if it is there by `deadline`.
    pub fn ready_by(self, deadline: Instant) -> Result<Connection, DeliverError> {
        let wait = deadline.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(wait).unwrap_or_else(|error| {
            let kind = match error {
                RecvTimeoutError::Timeout => io::ErrorKind::TimedOut,
                RecvTimeoutError::Disconnected => io::ErrorKind::Other,
            };
            Err(DeliverError::Connect { server: self.server, source: kind.into() })
        })
    }
}

/// A stream that opened with a Hello.
#[derive(Debug)]
pub struct Connection {
    server: String,
    stream: Stream,
    received: BytesMut,
    sent: u64,
    durable: u64,
}

impl Connection {
    /// Sends whole frames, `count` of them.
    pub fn send(&mut self, frames: &[u8], count: u64, deadline: Instant) -> Result<(), DeliverError> {
        self.write(frames, deadline)?;
        self.sent += count;
        Ok(())
    }

    /// Waits until the server holds all that was sent.
    pub fn wait_durable(&mut self, deadline: Instant) -> Result<(), DeliverError> {
        while self.durable < self.sent {
            while let Some(frame) = decode_frame(&mut self.received, ACK_BYTES_MAX)
                .map_err(|source| DeliverError::Protocol { server: self.server.clone(), source })?
            {
                if frame.message_type() == Some(MessageType::Ack) {
                    let ack = Ack::decode(frame.message).unwrap_or_default();
                    self.durable = self.durable.max(ack.durable_frames());
                }
            }
            if self.durable < self.sent {
                self.read(deadline)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), DeliverError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let wrote = left(deadline)
                .and_then(|left| self.stream.set_write_timeout(left))
                .and_then(|()| self.stream.write(rest));
            match wrote {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<(), DeliverError> {
        let mut buffer = [0; 512];
        let read = left(deadline)
            .and_then(|left| self.stream.set_read_timeout(left))
            .and_then(|()| self.stream.read(&mut buffer));
        match read {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(len) => {
                self.received.extend_from_slice(&buffer[..len]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, source: io::Error) -> DeliverError {
        DeliverError::Exchange { server: self.server.clone(), source }
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        }
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

/// The time until `deadline`, an error when there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn read_token(path: &Path) -> Result<String, DeliverError> {
    let mut token = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token))
        .map_err(|source| DeliverError::Token { path: path.to_owned(), source })?;
    Ok(token.trim_end().to_owned())
}
