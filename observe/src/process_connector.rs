//! What the kernel tells of all processes over a netlink socket, its process connector: to
//! administrators of the machine itself (CAP_NET_ADMIN), not in containers.

use crate::netlink::{NetlinkSocket, Told};
use rustix::{
    fd::{AsFd, BorrowedFd},
    net::{Protocol, SocketType},
};
use std::{io, num::NonZeroU32};

/// Longest message that is read.
const MESSAGE_MAX: usize = 256;

/// `NETLINK_CONNECTOR`, and in it the process connector's index, which is its group, too.
const CONNECTOR: u32 = 11;
const PROCESS_EVENTS: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;

/// Headers of netlink and of the connector.
const HEADER: usize = 16 + 20;

/// The kernel's answer to a request (`PROC_EVENT_NONE`).
pub const ANSWER: u32 = 0;

/// A process or a thread was made (`PROC_EVENT_FORK`).
pub const FORK: u32 = 1;

/// A process has become another program (`PROC_EVENT_EXEC`).
pub const EXEC: u32 = 2;

/// An event: words of 32 bits, the first of which is its kind.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEvent<'m>(&'m [u8]);

impl<'m> ProcessEvent<'m> {
    /// The event of a message with its headers.
    fn of_message(message: &'m [u8]) -> Self {
        ProcessEvent(message.get(HEADER..).unwrap_or_default())
    }

    /// The event of these bytes, without headers.
    pub fn of_bytes(bytes: &'m [u8]) -> Self {
        ProcessEvent(bytes)
    }

    /// The word at this offset in bytes; `None` where the message is shorter.
    pub fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }

    /// The time of the event, nanoseconds since the machine started.
    pub fn monotonic_ns(&self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.0.get(8..16)?.try_into().ok()?))
    }
}

/// A socket that listens.
pub struct ProcessConnector(NetlinkSocket<MESSAGE_MAX>);

impl ProcessConnector {
    /// Begins to listen to events of a kind; kernels before 6.6 tell all kinds.
    pub fn listen(kind: u32) -> io::Result<Self> {
        let protocol = NonZeroU32::new(CONNECTOR).map(Protocol::from_raw);
        let socket = NetlinkSocket::open(SocketType::DGRAM, protocol, PROCESS_EVENTS)?;
        // The second form asks for one kind alone; older kernels do not know it.
        for wish in [&[LISTEN][..], &[LISTEN, kind]] {
            socket.send(&request(wish))?;
        }
        Ok(ProcessConnector(socket))
    }

    /// Takes one message, without waiting, and reads what is wanted of it.
    pub fn next<T>(&self, read: impl FnOnce(ProcessEvent<'_>) -> Option<T>) -> io::Result<Told<T>> {
        self.0.next(|message| read(ProcessEvent::of_message(message)))
    }

    /// Waits for what is wanted; fails with `silence` where nothing comes.
    pub fn wait_for<T>(
        &self,
        read: impl Fn(ProcessEvent<'_>) -> Option<T>,
        silence: &'static str,
    ) -> io::Result<T> {
        self.0.wait_for(|message| read(ProcessEvent::of_message(message)), silence)
    }
}

impl AsFd for ProcessConnector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A message to the process connector.
fn request(words: &[u32]) -> Vec<u8> {
    const DONE: u16 = 3;
    let length = 4 * words.len();
    let mut message = Vec::with_capacity(HEADER + length);
    message.extend_from_slice(&((HEADER + length) as u32).to_ne_bytes());
    message.extend_from_slice(&DONE.to_ne_bytes());
    // Flags, sequence and port; then index, value, sequence and acknowledgement.
    message.extend_from_slice(&[0; 10]);
    for word in [PROCESS_EVENTS, PROCESS_EVENTS, 0, 0] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(&(length as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 2]);
    words.iter().for_each(|word| message.extend_from_slice(&word.to_ne_bytes()));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stands_behind_the_headers_and_a_short_message_has_none() {
        let mut message = vec![9; HEADER];
        for word in [FORK, 1, 2, 3, 4] {
            message.extend_from_slice(&u32::to_ne_bytes(word));
        }
        let event = ProcessEvent::of_message(&message);
        assert_eq!([0, 4, 16, 20].map(|at| event.word(at)), [Some(FORK), Some(1), Some(4), None]);
        for length in 0..HEADER + 4 {
            assert_eq!(ProcessEvent::of_message(&message[..length]).word(0), None);
        }
        for length in 0..HEADER + 16 {
            assert_eq!(ProcessEvent::of_message(&message[..length]).monotonic_ns(), None);
        }
    }
}
