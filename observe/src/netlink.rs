//! A netlink socket on which the kernel tells what happens on the machine.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::SocketAddrNetlink, recvfrom, send, socket_with, sockopt::set_socket_recv_buffer_size_force,
    },
};
use std::{io, thread, time::Duration};

/// Bytes that wait to be read: some ten thousand messages.
const WAITING_BYTES: usize = 16 << 20;

/// Times a millisecond that the kernel has to answer.
const ANSWER_TRIES: u32 = 500;

/// What one message brought.
#[derive(Debug)]
pub enum Told<T> {
    /// Something of the kernel's that was wanted.
    Event(T),
    /// Something else, or of somebody else.
    Other,
    /// The kernel had no room, and events were lost.
    Overflow,
    /// There is nothing more.
    Nothing,
}

/// A socket for messages of up to `ROOM` bytes.
pub struct NetlinkSocket<const ROOM: usize>(OwnedFd);

impl<const ROOM: usize> NetlinkSocket<ROOM> {
    /// Opens one, which hears what is told to these groups.
    pub fn open(kind: SocketType, protocol: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, kind, flags, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        // Without it there is room for some hundred.
        let _ = set_socket_recv_buffer_size_force(&socket, WAITING_BYTES);
        Ok(NetlinkSocket(socket))
    }

    /// Sends a message to the kernel.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        Ok(send(&self.0, message, SendFlags::empty()).map(drop)?)
    }

    /// Takes one message, without waiting, and reads what is wanted of it.
    pub fn next<T>(&self, read: impl FnOnce(&[u8]) -> Option<T>) -> io::Result<Told<T>> {
        let mut message = [0; ROOM];
        match recvfrom(&self.0, &mut message[..], RecvFlags::empty()) {
            Ok((_, length, Some(from))) => {
                // The kernel's own number is 0.
                let is_kernel = SocketAddrNetlink::try_from(from).is_ok_and(|from| from.pid() == 0);
                let bytes = message.get(..length).filter(|_| is_kernel);
                Ok(bytes.and_then(read).map_or(Told::Other, Told::Event))
            }
            Ok(_) | Err(Errno::INTR) => Ok(Told::Other),
            Err(Errno::NOBUFS) => Ok(Told::Overflow),
            Err(Errno::AGAIN) => Ok(Told::Nothing),
            Err(problem) => Err(problem.into()),
        }
    }

    /// Waits for a message that is wanted; fails with `silence` where none comes.
    pub fn wait_for<T>(&self, read: impl Fn(&[u8]) -> Option<T>, silence: &'static str) -> io::Result<T> {
        for _ in 0..ANSWER_TRIES {
            match self.next(&read)? {
                Told::Event(event) => return Ok(event),
                Told::Nothing => thread::sleep(Duration::from_millis(1)),
                Told::Other | Told::Overflow => {}
            }
        }
        Err(io::Error::other(silence))
    }
}

impl<const ROOM: usize> AsFd for NetlinkSocket<ROOM> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
