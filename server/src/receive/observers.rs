//! ogrt-observe on a socket of its own: starts of processes that could not tell of themselves.
//!
//! Only root and our own user may connect, by the socket's mode and by the kernel's word for who
//! has connected. What they tell of a process, its number, its user and its group, is what the
//! kernel told them; so such a start is proved, and `via` says "observe". The descriptor of the
//! process comes with it. Tests: `tests/end_to_end/tests/observe.rs`.

use super::{Arrivals, Intake, local_streams::make_way};
use crate::{
    clock::now_ns,
    fields::{Fields, Value},
    follow::{ProcessStart, StartTeller},
    queue::{Credentials, EndSource, Entry, Kind, VIA_OBSERVER, identify},
};
use anyhow::{Context, Result, anyhow, bail};
use bytes::BytesMut;
use ogrt_observe::receive;
use ogrt_proto::{FRAME_HEADER_LEN, MessageType, Observation, field_numbers::process_info, peek_frame};
use prost::Message;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        socket_with, sockopt::socket_peercred,
    },
    process::geteuid,
};
use std::{
    fs::{self, Permissions},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

/// Connections at once. A machine has one observer; a second one may come before the first is gone.
const CONNECTIONS_MAX: usize = 4;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4;

/// Longest message; a longer one comes cut, and is refused.
const MESSAGE_MAX: usize = 256 << 10;

/// See the module.
pub struct Observers {
    listener: OwnedFd,
    connections: Vec<OwnedFd>,
    buffer: Vec<u8>,
    intake: Intake,
}

impl Observers {
    /// Listens at the path. A socket that a server has left behind is deleted.
    pub fn bind(path: &Path, intake: Intake) -> Result<Self> {
        let address = SocketAddrUnix::new(path).with_context(|| path.display().to_string())?;
        if connect(socket()?, &address).is_ok() {
            bail!("cannot listen on {}: another server answers there", path.display());
        }
        make_way(path)?;
        let listener = socket()?;
        bind(&listener, &address)
            .and_then(|()| listen(&listener, BACKLOG))
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        fs::set_permissions(path, Permissions::from_mode(0o600))
            .with_context(|| format!("cannot close {} to others", path.display()))?;
        Ok(Observers::on(listener, intake))
    }

    /// Listens on a socket that the service manager has passed.
    pub fn passed(listener: OwnedFd, intake: Intake) -> Result<Self> {
        rustix::io::ioctl_fionbio(&listener, true)
            .context("cannot make the observers' socket non-blocking")?;
        Ok(Observers::on(listener, intake))
    }

    fn on(listener: OwnedFd, intake: Intake) -> Self {
        Observers { listener, connections: Vec::new(), buffer: vec![0; MESSAGE_MAX], intake }
    }

    /// Takes what was sent, up to a bound; true when some may be left. `ending`: nobody new is
    /// accepted.
    pub fn drain(&mut self, arrivals: &mut Arrivals, bytes_max: usize, ending: bool) -> bool {
        if !ending {
            self.accept();
        }
        let mut bytes_left = bytes_max;
        let mut connections = std::mem::take(&mut self.connections);
        let before = connections.len();
        connections.retain(|connection| self.take_from(connection, arrivals, &mut bytes_left));
        if before > 0 && connections.is_empty() {
            self.intake.follow.is_unobserved();
        }
        self.connections = connections;
        self.intake.metrics.observers.set(self.connections.len() as u64);
        bytes_left == 0
    }

    /// The socket, and its connections.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.listener].into_iter().chain(&self.connections).map(OwnedFd::as_fd)
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(connection) = accept_with(&self.listener, flags) {
            let peer = socket_peercred(&connection).map(|peer| peer.uid);
            let may_tell = peer.is_ok_and(|uid| uid.is_root() || uid == geteuid());
            if may_tell && self.connections.len() < CONNECTIONS_MAX {
                self.connections.push(connection);
            } else {
                let problem = if may_tell { "too many observers" } else { "only root may be an observer" };
                self.complain(&anyhow!(problem));
            }
        }
        self.intake.metrics.observers.set(self.connections.len() as u64);
    }

    /// False when the connection has ended.
    fn take_from(&mut self, connection: &OwnedFd, arrivals: &mut Arrivals, bytes_left: &mut usize) -> bool {
        while *bytes_left > 0 {
            let message = match receive(connection, &mut self.buffer) {
                Ok(message) if message.bytes == 0 => return false,
                Ok(message) => message,
                Err(problem) => {
                    return matches!(
                        problem.raw_os_error().map(Errno::from_raw_os_error),
                        Some(Errno::AGAIN | Errno::INTR)
                    );
                }
            };
            *bytes_left = bytes_left.saturating_sub(message.bytes);
            let frame = self.buffer.get(..message.bytes).unwrap_or_default();
            if let Err(problem) = admit(frame, message.attached, &self.intake, arrivals) {
                self.intake.metrics.protocol_errors.add(1);
                self.complain(&problem);
            }
        }
        true
    }

    fn complain(&self, problem: &anyhow::Error) {
        self.intake.stream_complaints.say(&"an observer", &format!("{problem:#}"));
    }
}

fn socket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .context("the kernel makes no socket that keeps messages apart")
}

/// Takes one frame, with the descriptor of the process that it is about.
fn admit(frame: &[u8], pidfd: Option<OwnedFd>, intake: &Intake, arrivals: &mut Arrivals) -> Result<()> {
    let (kind, message) = peek_frame(frame, MESSAGE_MAX)?.context("a message that is cut")?;
    if message.len() + FRAME_HEADER_LEN != frame.len() {
        bail!("several frames in a message");
    }
    match MessageType::try_from(kind.cast_signed()) {
        Ok(MessageType::ProcessInfo) => admit_start(message, pidfd, intake, arrivals),
        Ok(MessageType::Observation) => {
            let observation = Observation::decode(message).context("an observation that cannot be read")?;
            intake.metrics.starts_unobserved.add(observation.starts_lost.unwrap_or(0));
            intake.follow.observe(observation);
            Ok(())
        }
        _ => bail!("a frame of type {kind}, which no observer sends"),
    }
}

fn admit_start(
    message: &[u8],
    pidfd: Option<OwnedFd>,
    intake: &Intake,
    arrivals: &mut Arrivals,
) -> Result<()> {
    let identity = identify(Kind::Start, message).context("a start that is not a protobuf message")?;
    let event_id = identity.event_id.context("a start without an id")?;
    let credentials = process(message).context("a start that does not say whose it is")?;
    intake.metrics.events_received.add(1);
    intake.metrics.starts_observed.add(1);
    let received_ns = now_ns();
    let message = &*intake.default_cluster.add_to(Kind::Start, message, identity.has_cluster);
    let start = ProcessStart::read(message, event_id, credentials, received_ns);
    if intake.follow.is_told_twice(&start, pidfd.as_ref(), StartTeller::Observer) {
        return Ok(());
    }
    let ancestor = intake.follow.ancestor(&start);
    let is_outermost = intake.follow.is_outermost(&start, ancestor);
    let start = ProcessStart { is_outermost, ..start };
    arrivals.begun.extend(intake.follow.begin(&start, pidfd));
    let mut message = BytesMut::from(message);
    if is_outermost {
        prost::encoding::bool::encode(process_info::IS_OUTERMOST, &true, &mut message);
    }
    if let Some(pid) = ancestor {
        prost::encoding::uint32::encode(process_info::ANCESTOR_PID, &pid, &mut message);
    }
    arrivals.submission.entries.push(&Entry {
        kind: Kind::Start,
        received_ns,
        assigned_id: None,
        credentials: Some(credentials),
        delivered_by: None,
        via: Some(VIA_OBSERVER),
        is_final: false,
        is_whole: false,
        end_source: EndSource::Client,
        message: &*message,
    });
    Ok(())
}

/// The process that the observer tells of.
fn process(message: &[u8]) -> Option<Credentials> {
    let (mut pid, mut uid, mut gid) = (None, None, None);
    for field in Fields::of(message).map_while(Result::ok) {
        match field {
            (process_info::PID, Value::Varint(value)) => pid = u32::try_from(value).ok(),
            (process_info::UID, Value::Varint(value)) => uid = u32::try_from(value).ok(),
            (process_info::GID, Value::Varint(value)) => gid = u32::try_from(value).ok(),
            _ => {}
        }
    }
    Some(Credentials { pid: pid.filter(|pid| *pid != 0)?, uid: uid?, gid: gid? })
}
