//! The way to the server: a Unix socket that keeps messages apart, with the descriptor of the
//! process beside each.
//!
//! Messages wait here while the server is away or slow, up to a bound; then the oldest are dropped,
//! and counted.

use ogrt_proto::{MessageType, Observation, encode_frame};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, connect, sendmsg, socket_with,
    },
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

/// Messages that wait, at most. Each may hold a descriptor.
const MESSAGES_MAX: usize = 4096;

/// Bytes of messages that wait, at most.
const BYTES_MAX: usize = 8 << 20;

/// Longest message: the kernel takes it at once with its default buffers.
pub const MESSAGE_MAX: usize = 128 << 10;

/// Time between two attempts to reach the server.
const RETRY: Duration = Duration::from_secs(1);

/// A message, and the process that it is about.
struct Message {
    frame: Vec<u8>,
    pidfd: Option<OwnedFd>,
}

/// See the module.
pub struct ServerLink {
    path: PathBuf,
    socket: Option<OwnedFd>,
    tried: Option<Instant>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
    /// What was lost and is not told yet.
    lost: u64,
}

impl ServerLink {
    /// A way to the server that listens at this path, now or later.
    pub fn new(path: PathBuf) -> Self {
        ServerLink { path, socket: None, tried: None, queue: VecDeque::new(), queued_bytes: 0, lost: 0 }
    }

    /// True while the server is there.
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// True if something waits to be sent.
    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The socket to wait on.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Puts a message behind the others.
    pub fn push(&mut self, frame: Vec<u8>, pidfd: Option<OwnedFd>) {
        while self.queue.len() >= MESSAGES_MAX || self.queued_bytes + frame.len() > BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.queued_bytes -= oldest.frame.len();
            self.lost += 1;
        }
        self.queued_bytes += frame.len();
        self.queue.push_back(Message { frame, pidfd });
    }

    /// Notes starts that cannot be told; the server hears their number.
    pub fn add_lost(&mut self, count: u64) {
        self.lost += count;
    }

    /// Connects where need be, and sends what the server takes now. An error says why it cannot be
    /// reached, once for each attempt.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            if self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
                return Ok(());
            }
            self.tried = Some(Instant::now());
            self.socket = Some(self.connect()?);
        }
        if self.lost > 0 {
            let observation = Observation { starts_lost: Some(self.lost), ..Observation::default() };
            let frame = encode_frame(MessageType::Observation, &observation);
            if self.send(&frame, None)? {
                self.lost = 0;
            }
        }
        while let Some(Message { frame, pidfd }) = self.queue.pop_front() {
            let is_sent = self.send(&frame, pidfd.as_ref());
            match is_sent {
                Ok(true) => self.queued_bytes -= frame.len(),
                unsent => {
                    self.queue.push_front(Message { frame, pidfd });
                    return unsent.map(drop);
                }
            }
        }
        Ok(())
    }

    /// Notes that the server is gone.
    pub fn disconnect(&mut self) {
        self.socket = None;
    }

    fn connect(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        Ok(socket)
    }

    /// True if the server took it; false if it must wait.
    fn send(&mut self, frame: &[u8], pidfd: Option<&OwnedFd>) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(false) };
        let descriptors = pidfd.map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if let Some(descriptors) = &descriptors {
            control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(descriptors)));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            match sendmsg(socket, &[IoSlice::new(frame)], &mut control, flags) {
                Ok(_) => return Ok(true),
                Err(Errno::AGAIN | Errno::TOOMANYREFS) => return Ok(false),
                Err(Errno::INTR) => {}
                // Nobody could ever take it.
                Err(Errno::MSGSIZE) => {
                    self.lost += 1;
                    return Ok(true);
                }
                Err(problem) => {
                    self.socket = None;
                    return Err(problem.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_a_bound_and_what_is_dropped_is_counted() {
        let mut link = ServerLink::new("/nonexistent/socket".into());
        for _ in 0..MESSAGES_MAX + 7 {
            link.push(vec![0; 10], None);
        }
        assert_eq!((link.queue.len(), link.lost), (MESSAGES_MAX, 7));
        for _ in 0..BYTES_MAX / MESSAGE_MAX + 1 {
            link.push(vec![0; MESSAGE_MAX], None);
        }
        assert!(link.queued_bytes <= BYTES_MAX);
        assert_eq!(link.queued_bytes, link.queue.iter().map(|message| message.frame.len()).sum::<usize>());
        assert!(link.flush().is_err() && !link.is_connected());
        assert!(link.flush().is_ok(), "not again at once");
    }
}
