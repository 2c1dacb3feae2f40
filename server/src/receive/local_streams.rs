//! Unix streams: one short connection a process, accepted in batches, with the kernel's word for
//! who is there.
//!
//! A process connects, sends one event and closes; all of that is in the kernel when the timer
//! brings us here, and is taken without a task or a wait. One that was in the midst of it is looked
//! at again the next time. A connection that stays becomes a stream of the runtime.

use super::{
    Arrivals, Intake, SUMMARY_REFUSED,
    admit::admit_all,
    origin::{Origin, Speaker},
};
use crate::{clock::now_ns, follow::OpenStream, queue::Credentials};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use nix::sys::socket::{Backlog, getsockopt, listen, shutdown, sockopt};
use ogrt_proto::MessageType;
use std::{
    fs,
    io::{ErrorKind, Read},
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// A short connection says what it has to say in so many bytes, or becomes a stream.
const SHORT: usize = 128 * 1024;

/// Connections that are kept for a moment because they have not closed, and how long.
const YOUNG_MAX: usize = 1024;
const YOUNG_FOR: Duration = Duration::from_millis(200);

/// Connections that are kept while nobody is late for want of a processor. One of so few that has
/// said nothing when it is looked at again waits for something, as a link does for its linker.
const SILENT_MAX: usize = 64;

/// A connection that stays, with what it said so far.
pub struct StayingStream {
    /// The connection.
    pub stream: UnixStream,
    /// Bytes read that were no whole frame yet.
    pub begun: BytesMut,
    /// The peer, as the kernel says.
    pub credentials: Option<Credentials>,
    /// Its pidfd, for the start of a process that speaks for itself.
    pub pidfd: Option<OwnedFd>,
    /// Its process has no end before this is dropped.
    pub open: Option<OpenStream>,
}

/// The listening socket.
pub struct LocalStreams {
    listener: UnixListener,
    staying: UnboundedSender<StayingStream>,
    buffer: Vec<u8>,
    closed: bool,
    may_have_more: bool,
    /// Connections that have more to say, by the look of it, with the time of their receipt and
    /// since when they are kept.
    young: Vec<(i64, Instant, StayingStream)>,
    has_guests: bool,
}

impl LocalStreams {
    /// Listens at the path, or on the socket that was passed; connections that stay go to
    /// `staying`.
    pub fn bind(
        passed: Option<UnixListener>,
        path: &Path,
        staying: UnboundedSender<StayingStream>,
    ) -> Result<Self> {
        let listener = passed.map_or_else(|| UnixListener::bind(path), Ok);
        let listener = listener.with_context(|| format!("cannot listen on {}", path.display()))?;
        listener.set_nonblocking(true).context("cannot make the Unix socket non-blocking")?;
        // Processes that may have connected and sent before we come to them: as many as the kernel
        // allows (net.core.somaxconn: 4096). SOMAXCONN is no such number: musl has 128.
        listen(&listener, Backlog::MAXALLOWABLE).context("cannot set the backlog")?;
        Ok(LocalStreams {
            listener,
            staying,
            buffer: vec![0; SHORT],
            closed: false,
            may_have_more: false,
            young: Vec::new(),
            has_guests: false,
        })
    }

    /// The socket, for who waits on it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Makes the kernel refuse connections and bytes from now on, so that their senders spool them.
    /// What the kernel has taken must still be drained.
    pub fn close(&mut self) {
        let _ = shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Read);
        self.closed = true;
    }

    /// True if some may be left after the last time.
    pub fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// True if somebody stays, or may, who came since this was last asked.
    pub fn has_guests(&mut self) -> bool {
        std::mem::take(&mut self.has_guests) || !self.young.is_empty()
    }

    /// Accepts what is there, up to these bounds; the number of connections.
    pub fn drain(
        &mut self,
        intake: &Intake,
        arrivals: &mut Arrivals,
        bytes_max: usize,
        accepted_max: u64,
    ) -> u64 {
        let (mut bytes, mut accepted) = (self.take_young(intake, arrivals), 0);
        while bytes < bytes_max && accepted < accepted_max {
            match self.listener.accept() {
                // Each at a time of its own, which says which program of a process is the earlier.
                Ok((stream, _)) => {
                    accepted += 1;
                    bytes += self.take(stream, now_ns(), intake, arrivals);
                }
                Err(problem) if problem.kind() == ErrorKind::Interrupted => {}
                Err(problem) if problem.kind() == ErrorKind::ConnectionAborted => {}
                // Nothing there, or no descriptor left: the backlog keeps what waits.
                Err(_) => {
                    self.may_have_more = false;
                    return accepted;
                }
            }
        }
        self.may_have_more = true;
        accepted
    }

    /// Takes what a connection has said so far: all of it, if the peer has closed.
    fn take(
        &mut self,
        mut stream: UnixStream,
        received_ns: i64,
        intake: &Intake,
        arrivals: &mut Arrivals,
    ) -> usize {
        intake.metrics.connections.add(1);
        let credentials = getsockopt(&stream, sockopt::PeerCredentials).ok().map(|who| Credentials {
            pid: who.pid().try_into().unwrap_or(0),
            uid: who.uid(),
            gid: who.gid(),
        });
        if self.closed {
            let _ = stream.shutdown(Shutdown::Read);
        }
        if stream.set_nonblocking(true).is_err() {
            return 1;
        }
        let (filled, has_ended) = read_some(&mut stream, &mut self.buffer);
        if has_ended && filled == 0 {
            // Somebody who looked whether we are there, or came as we closed: nothing was sent, so
            // nothing is garbage.
            return 1;
        }
        let sent = &self.buffer[..filled];
        if has_ended && !is_hello(sent) {
            let pidfd = if is_start(sent) { pidfd(&stream, intake) } else { None };
            let origin = (credentials, received_ns);
            return admit(sent, origin, pidfd, intake, arrivals);
        }
        let pidfd = if is_hello(sent) { None } else { pidfd(&stream, intake) };
        let speaker = credentials.filter(|who| who.pid != 0 && !is_hello(sent) && intake.follow.is_on());
        let open = speaker.map(|who| OpenStream::new(&intake.follow, who.pid, pidfd.as_ref()));
        let young = StayingStream { stream, begun: BytesMut::from(sent), credentials, pidfd, open };
        self.keep(young, received_ns);
        filled.max(1)
    }

    /// Keeps a connection that has more to say for a moment: nearly all close at once. One that
    /// opens with a Hello waits for answers, which the runtime gives.
    fn keep(&mut self, stream: StayingStream, received_ns: i64) {
        if self.closed || is_hello(&stream.begun) || self.young.len() >= YOUNG_MAX {
            self.hand_over(stream);
        } else {
            self.young.push((received_ns, Instant::now(), stream));
        }
    }

    fn hand_over(&mut self, stream: StayingStream) {
        self.has_guests = true;
        let _ = self.staying.send(stream);
    }

    /// Takes what connections have said that were kept; the number of bytes.
    fn take_young(&mut self, intake: &Intake, arrivals: &mut Arrivals) -> usize {
        let mut bytes = 0;
        let were_young = std::mem::take(&mut self.young);
        let are_few = were_young.len() <= SILENT_MAX;
        for (received_ns, since, mut young) in were_young {
            let begun = young.begun.len();
            self.buffer[..begun].copy_from_slice(&young.begun);
            let (more, has_ended) = read_some(&mut young.stream, &mut self.buffer[begun..]);
            let sent = &self.buffer[..begun + more];
            bytes += more;
            if has_ended && !is_hello(sent) {
                if !sent.is_empty() {
                    admit(sent, (young.credentials, received_ns), young.pidfd, intake, arrivals);
                }
                arrivals.streams.extend(young.open);
                continue;
            }
            young.begun.extend_from_slice(&sent[begun..]);
            let waits = is_hello(&young.begun) || (are_few && young.begun.is_empty());
            if self.closed || waits || since.elapsed() > YOUNG_FOR || sent.len() == SHORT {
                self.hand_over(young);
            } else {
                self.young.push((received_ns, since, young));
            }
        }
        bytes
    }
}

/// Only the runtime's streams acknowledge, so one that opens with a Hello goes there untouched.
fn is_hello(sent: &[u8]) -> bool {
    sent.starts_with(&(MessageType::Hello as u32).to_be_bytes())
}

fn is_start(sent: &[u8]) -> bool {
    sent.starts_with(&(MessageType::ProcessInfo as u32).to_be_bytes())
}

/// Reads what is there: the number of bytes, and true if there will be no more and all fitted.
fn read_some(stream: &mut UnixStream, buffer: &mut [u8]) -> (usize, bool) {
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return (filled, filled < buffer.len()),
            Ok(read) => filled += read,
            Err(problem) if problem.kind() == ErrorKind::Interrupted => {}
            Err(problem) if problem.kind() == ErrorKind::WouldBlock => return (filled, false),
            Err(_) => return (filled, true),
        }
    }
}

/// Admits all that a connection said; the number of its bytes.
fn admit(
    sent: &[u8],
    (credentials, received_ns): (Option<Credentials>, i64),
    pidfd: Option<OwnedFd>,
    intake: &Intake,
    arrivals: &mut Arrivals,
) -> usize {
    let speaker = Speaker::new(pidfd.filter(|_| is_start(sent)));
    let may_register = intake.tokens.may_register(None);
    let speaker = Some(&speaker);
    let origin = Origin { credentials, speaker, ..Origin::unannounced(received_ns, may_register) };
    if let Err(problem) = admit_all(sent, origin, intake, arrivals) {
        intake.metrics.protocol_errors.add(1);
        intake.stream_complaints.say(&local_peer(credentials), &problem);
    }
    if std::mem::take(&mut arrivals.summaries_refused) > 0 {
        intake.stream_complaints.say(&local_peer(credentials), &SUMMARY_REFUSED);
    }
    sent.len().max(1)
}

/// The process that connected. Before Linux 6.5 the kernel does not give it, nor before 6.16 when
/// it is gone.
fn pidfd(stream: &UnixStream, intake: &Intake) -> Option<OwnedFd> {
    if intake.follow.is_on() { getsockopt(stream, sockopt::PeerPidfd).ok() } else { None }
}

/// The name of a local process in the log.
pub fn local_peer(credentials: Option<Credentials>) -> String {
    credentials
        .map_or_else(|| "a local process".to_owned(), |who| format!("process {} of uid {}", who.pid, who.uid))
}

/// Makes way for a socket at `path`: creates its directory, and deletes a socket that a server has
/// left behind. It fails when that still answers, or when the file is not a socket.
pub fn make_way(path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        make_open(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        bail!("cannot listen on {}: a file that is not a socket has this path", path.display());
    }
    if UnixStream::connect(path).is_ok() {
        bail!("cannot listen on {}: another server answers there", path.display());
    }
    fs::remove_file(path).with_context(|| format!("cannot remove the old socket {}", path.display()))
}

/// Makes a directory that every process may pass on its way to a socket. One that is there stays
/// as it is.
fn make_open(directory: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(directory)?;
    missing.into_iter().try_for_each(|path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
}

/// Every process of the machine may send.
pub fn open_to_all(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
        .with_context(|| format!("cannot open {} to all users", path.display()))
}
