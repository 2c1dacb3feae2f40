//! A connection to the server: connect, Hello, frames, wait until they are durable.
//!
//! Everything has a deadline, and connecting happens beside the link: a build waits for the server
//! at most [`PATIENCE`] after its link is done. A server that hangs, refuses or is absent costs
//! that once; then it is left alone for [`REST`], and records go to the spool.

use crate::environment;
use bytes::BytesMut;
use ogrt_proto::{Ack, FrameError, Hello, MessageType, decode_frame, encode_frame};
use prost::Message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// The server's address if OGRT_SERVER is not set.
pub const DEFAULT_SERVER: &str = "127.0.0.1:7971";

/// The longest wait for the server on a build's critical path.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// The time for which a server that failed is left alone.
pub const REST: Duration = Duration::from_secs(30);

/// A peer that announces a longer acknowledgement is not our server.
const ACK_BYTES_MAX: usize = 4096;

/// The most bytes that are read of a token file: a token is one line.
const TOKEN_BYTES_MAX: u64 = 4096;

/// The address of the server.
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
    /// The connection could not be made.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// The server's address.
        server: String,
        /// The reason.
        source: io::Error,
    },
    /// The connection broke, or the deadline passed.
    #[error("{server} did not acknowledge the data: {source}")]
    Exchange {
        /// The server's address.
        server: String,
        /// The reason.
        source: io::Error,
    },
    /// The server does not take what was sent.
    #[error("{server} refused the data: {reason}")]
    Refused {
        /// The server's address.
        server: String,
        /// The server's words.
        reason: String,
    },
    /// The answer does not follow our protocol.
    #[error("{server} is not an OGRT server (check OGRT_SERVER): {source}")]
    Protocol {
        /// The server's address.
        server: String,
        /// The fault in the answer.
        source: FrameError,
    },
    /// The token file could not be read.
    #[error("cannot read the token file {path}: {source}", path = path.display())]
    Token {
        /// The value of OGRT_TOKEN_FILE.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl Server {
    /// Reads `unix:/path` or `host:port`.
    pub fn parse(text: &str) -> Server {
        match text.strip_prefix("unix:") {
            Some(path) => Server::Unix(path.into()),
            None => Server::Tcp(text.to_owned()),
        }
    }

    /// The server that OGRT_SERVER names, or the default.
    pub fn from_environment() -> Server {
        match environment::var("OGRT_SERVER").and_then(OsStr::to_str) {
            Some(text) if !text.is_empty() => Server::parse(text),
            _ => Server::parse(DEFAULT_SERVER),
        }
    }

    /// Connects and says Hello, all before `deadline`.
    pub fn connect(&self, token_file: Option<&Path>, deadline: Instant) -> Result<Connection, DeliverError> {
        self.greet(self.open(deadline), token_file)
    }

    /// Begins to connect while the link goes on. A name has to be looked up, so a thread connects
    /// to it; an address needs no thread.
    pub fn connect_beside(&self, token_file: Option<PathBuf>, patience: Duration) -> PendingConnection {
        let way = match self.begin() {
            Some(begun) => Way::Begun(begun),
            None => {
                let (sender, receiver) = sync_channel(1);
                let server = self.clone();
                // Nobody waits for a connection that came too late.
                let connect = move || drop(sender.send(server.open(Instant::now() + patience)));
                // If no thread can be started, the channel is closed, and whoever waits gets an
                // error.
                let _ = std::thread::Builder::new().spawn(connect);
                Way::InThread(receiver)
            }
        };
        PendingConnection { server: self.clone(), token_file, way }
    }

    fn open(&self, deadline: Instant) -> io::Result<OwnedFd> {
        match self {
            Server::Unix(path) => Ok(UnixStream::connect(path)?.into()),
            Server::Tcp(address) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, left(deadline)?) {
                        Ok(stream) => return Ok(stream.into()),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// A socket that connects without a thread; `None` if the address is a name.
    fn begin(&self) -> Option<io::Result<OwnedFd>> {
        let begin = |family, address: &dyn Fn(&OwnedFd) -> rustix::io::Result<()>| -> io::Result<OwnedFd> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
            match address(&socket) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
                Err(error) => Err(error.into()),
            }
        };
        match self {
            Server::Unix(path) => Some(begin(AddressFamily::UNIX, &|socket| {
                rustix::net::connect(socket, &SocketAddrUnix::new(path.as_path())?)
            })),
            Server::Tcp(text) => {
                let address: SocketAddr = text.parse().ok()?;
                let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                Some(begin(family, &|socket| rustix::net::connect(socket, &address)))
            }
        }
    }

    /// Connects, and puts the Hello before the first frames.
    fn greet(
        &self,
        socket: io::Result<OwnedFd>,
        token_file: Option<&Path>,
    ) -> Result<Connection, DeliverError> {
        let socket = socket.map_err(|source| self.connect_error(source))?;
        if matches!(self, Server::Tcp(_)) {
            rustix::net::sockopt::set_tcp_nodelay(&socket, true)
                .map_err(|error| self.connect_error(error.into()))?;
        }
        let token = token_file.map(read_token).transpose()?;
        let client = concat!("ogrt ", env!("CARGO_PKG_VERSION")).to_owned();
        let hello = Some(Hello { client: Some(client), token, passes_on: Some(true), ..Hello::default() });
        let server = self.to_string();
        Ok(Connection { server, socket, hello, received: BytesMut::new(), sent: 0, durable: 0 })
    }

    fn connect_error(&self, source: io::Error) -> DeliverError {
        DeliverError::Connect { server: self.to_string(), source }
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
pub struct PendingConnection {
    server: Server,
    token_file: Option<PathBuf>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Begun(io::Result<OwnedFd>),
    InThread(Receiver<io::Result<OwnedFd>>),
    Made(Result<Connection, DeliverError>),
}

impl PendingConnection {
    /// Takes the steps that are possible without waiting, before the build waits.
    pub fn advanced(mut self) -> Self {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.way = match self.way {
            Way::Begun(Ok(socket)) => {
                match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&at_once)) {
                    Ok(1..) => Way::Made(self.server.greet(connected(socket), self.token_file.as_deref())),
                    _ => Way::Begun(Ok(socket)),
                }
            }
            way => way,
        };
        self
    }

    /// Waits for the connection until `deadline`.
    pub fn ready_by(self, deadline: Instant) -> Result<Connection, DeliverError> {
        let socket = match self.way {
            Way::Made(made) => return made,
            Way::Begun(begun) => begun.and_then(|socket| {
                ready(&socket, PollFlags::OUT, deadline)?;
                connected(socket)
            }),
            Way::InThread(receiver) => {
                let wait = deadline.saturating_duration_since(Instant::now());
                receiver.recv_timeout(wait).unwrap_or_else(|error| {
                    Err(match error {
                        RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
                        RecvTimeoutError::Disconnected => io::ErrorKind::Other.into(),
                    })
                })
            }
        };
        self.server.greet(socket, self.token_file.as_deref())
    }
}

/// The stream of a socket that was connecting and is ready for writing, or the error.
fn connected(socket: OwnedFd) -> io::Result<OwnedFd> {
    rustix::net::sockopt::socket_error(&socket)??;
    Ok(socket)
}

/// A stream that opened with a Hello.
#[derive(Debug)]
pub struct Connection {
    server: String,
    socket: OwnedFd,
    /// The bytes that are not sent yet.
    hello: Option<Hello>,
    received: BytesMut,
    sent: u64,
    durable: u64,
}

impl Connection {
    /// Sends whole frames, `count` of them.
    pub fn send(&mut self, frames: &[u8], count: u64, deadline: Instant) -> Result<(), DeliverError> {
        match self.hello.take() {
            None => self.write(frames, deadline)?,
            Some(hello) => {
                let hello = encode_frame(MessageType::Hello, &hello);
                self.write(&[&hello[..], frames].concat(), deadline)?;
            }
        }
        self.sent += count;
        Ok(())
    }

    /// Sends whole frames, the last ones on this connection: the server then closes it.
    pub fn send_all(&mut self, frames: &[u8], count: u64, deadline: Instant) -> Result<(), DeliverError> {
        if let Some(hello) = &mut self.hello {
            hello.frames = Some(count);
        }
        self.send(frames, count, deadline)
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
                    if let Some(reason) = ack.refused {
                        return Err(DeliverError::Refused { server: self.server.clone(), reason });
                    }
                }
            }
            if self.durable < self.sent {
                self.read(deadline)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, mut rest: &[u8], deadline: Instant) -> Result<(), DeliverError> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while !rest.is_empty() {
            left(deadline).map_err(|source| self.broken(source))?;
            match rustix::net::send(&self.socket, rest, flags) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(len) => rest = &rest[len..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    ready(&self.socket, PollFlags::OUT, deadline).map_err(|source| self.broken(source))?;
                }
                Err(error) => return Err(self.broken(error.into())),
            }
        }
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<(), DeliverError> {
        let mut buffer = [0; 512];
        // The socket's own timeout is not used: the kernel rounds it up to its ticks, 4 to 8 ms in
        // 50.
        ready(&self.socket, PollFlags::IN, deadline).map_err(|source| self.broken(source))?;
        match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok((len, _)) => {
                self.received.extend_from_slice(&buffer[..len]);
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Err(error) => Err(self.broken(error.into())),
        }
    }

    fn broken(&self, source: io::Error) -> DeliverError {
        DeliverError::Exchange { server: self.server.clone(), source }
    }
}

/// Waits until the socket is ready, or broken.
fn ready(socket: &impl AsFd, what: PollFlags, deadline: Instant) -> io::Result<()> {
    let timeout = Timespec::try_from(left(deadline)?).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(socket, what)], Some(&timeout))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// The time until `deadline`; an error if it has passed.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// The token in a file, which is its only line.
pub fn read_token(path: &Path) -> Result<String, DeliverError> {
    let mut token = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token))
        .map_err(|source| DeliverError::Token { path: path.to_owned(), source })?;
    Ok(token.trim_end().to_owned())
}
