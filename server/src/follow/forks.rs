//! Who forked whom, as the kernel tells it to this machine's administrators.
//!
//! A process that forks and never becomes another program, such as a shell's copy of itself, sends
//! nothing, and may be gone before anybody looks. The kernel tells of each fork over a netlink
//! socket (its process connector), to root and with CAP_NET_ADMIN, outside of containers. The
//! message of a fork is there before its child runs, so it is there before what the child sends.
//! Nobody sleeps on the socket: it is emptied by the thread that looks for ends.

use crate::{bounded_map::BoundedMap, clock::now_ns};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::SocketAddrNetlink, recvfrom, send, socket_with, sockopt::set_socket_recv_buffer_size_force,
    },
};
use std::num::NonZeroU32;

/// Forks that are remembered: about 2 MB. The oldest is forgotten.
const REMEMBERED_MAX: usize = 65_536;

/// Bytes of forks that wait to be read: about 20,000.
const WAITING_BYTES: usize = 16 << 20;

/// Forks that are read at once: who asks must not wait for ever.
const AT_ONCE: usize = 50_000;

/// `NETLINK_CONNECTOR`, and in it the process connector's index, which is its group, too.
const CONNECTOR: u32 = 11;
const PROCESS_EVENTS: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`, and the event of a fork.
const LISTEN: u32 = 1;
const FORK: u32 = 1;

/// Headers of netlink and of the connector.
const HEADER: usize = 16 + 20;

type Parents = BoundedMap<u32, Fork, REMEMBERED_MAX>;

/// The fork that a process came from.
#[derive(Clone, Copy)]
pub struct Fork {
    pub parent: u32,
    /// The time at which we heard of it.
    pub heard_ns: i64,
}

/// See the module.
pub struct Forks {
    socket: OwnedFd,
    /// The parent of each child.
    parents: Parents,
}

impl Forks {
    /// Begins to listen; `None` where we may not.
    pub fn listen() -> Option<Forks> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = NonZeroU32::new(CONNECTOR).map(Protocol::from_raw);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol).ok()?;
        bind(&socket, &SocketAddrNetlink::new(0, PROCESS_EVENTS)).ok()?;
        // Without it there is room for some hundred, which is enough most of the time.
        let _ = set_socket_recv_buffer_size_force(&socket, WAITING_BYTES);
        // The second form asks for forks alone; kernels before 6.6 do not know it and tell more.
        for wish in [&[LISTEN][..], &[LISTEN, FORK]] {
            send(&socket, &request(wish), SendFlags::empty()).ok()?;
        }
        Some(Forks { socket, parents: Parents::default() })
    }

    /// Takes up what the kernel has told.
    pub fn read(&mut self) {
        let mut message = [0; 256];
        let heard_ns = now_ns();
        for _ in 0..AT_ONCE {
            match recvfrom(&self.socket, &mut message[..], RecvFlags::empty()) {
                Ok((_, length, Some(from))) => {
                    // The kernel's own number is 0.
                    let is_kernel = SocketAddrNetlink::try_from(from).is_ok_and(|from| from.pid() == 0);
                    if let Some((parent, child)) = message.get(..length).filter(|_| is_kernel).and_then(fork)
                    {
                        self.parents.remember(child, Fork { parent, heard_ns });
                    }
                }
                // Some were lost; there are more.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// The fork that the last process with this pid came from.
    pub fn of(&self, pid: u32) -> Option<Fork> {
        self.parents.get(&pid).copied()
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

/// The parent and the child, where the message tells of a fork and not of a new thread.
fn fork(message: &[u8]) -> Option<(u32, u32)> {
    let word = |at: usize| {
        let bytes = message.get(HEADER + at..HEADER + at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    // What, processor, time (8 bytes), then thread and process of the parent and of the child.
    let [parent, thread, child] = [20, 24, 28].map(word);
    (word(0)? == FORK && thread == child).then_some((parent?, child?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_known_and_a_thread_is_none() {
        let event = |what: u32, words: [u32; 4]| {
            let mut message = vec![0; HEADER];
            for word in [what, 0, 0, 0].into_iter().chain(words) {
                message.extend_from_slice(&word.to_ne_bytes());
            }
            message
        };
        assert_eq!(fork(&event(FORK, [7, 6, 9, 9])), Some((6, 9)));
        assert_eq!(fork(&event(FORK, [7, 6, 9, 6])), None, "a thread");
        assert_eq!(fork(&event(2, [7, 6, 9, 9])), None, "an exec");
        for length in 0..HEADER + 32 {
            assert_eq!(fork(&event(FORK, [7, 6, 9, 9])[..length]), None);
        }
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut parents = Parents::default();
        for child in 0..REMEMBERED_MAX as u32 + 9 {
            parents.remember(child, Fork { parent: 1, heard_ns: 0 });
        }
        assert_eq!(parents.len(), REMEMBERED_MAX);
        assert!(parents.get(&8).is_none() && parents.get(&9).is_some());
    }
}
