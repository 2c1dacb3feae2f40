//! Datagrams of Unix sockets, with the kernel's word for who sent each: pid, uid, gid and a pidfd.
//!
//! A sender may attach descriptors of its own. They arrive whether we want them or not, so every
//! control message is looked at, and what nobody keeps is closed: the test
//! `descriptors_that_a_sender_attaches_are_closed`.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

/// The option of a socket (Linux 6.5), and the type of its control message; musl's headers do not
/// have them yet.
const SO_PASSPIDFD: libc::c_int = 76;
const SCM_PIDFD: libc::c_int = 4;

/// Room for credentials and a pidfd, with a little more, in units that a control message may begin
/// at.
const CONTROL_WORDS: usize = 16;

/// The sender of a datagram, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its process, zero where that is in a namespace that we do not see.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// One datagram.
#[derive(Debug)]
pub struct Datagram {
    /// Bytes of it in the buffer.
    pub bytes: usize,
    /// Its sender, where the socket passes credentials.
    pub credentials: Option<Credentials>,
    /// The sending process, where the socket passes pidfds and the kernel still has the process.
    pub pidfd: Option<OwnedFd>,
    /// The first descriptor that the sender attached. Further ones are closed.
    pub attached: Option<OwnedFd>,
}

/// What stands beside the bytes.
#[derive(Default)]
struct Control {
    credentials: Option<Credentials>,
    pidfd: Option<OwnedFd>,
    attached: Option<OwnedFd>,
}

/// Has the kernel pass a pidfd of its sender with each datagram.
pub fn pass_pidfds(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads an int at the address of one, and the descriptor is borrowed for the
    // call.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSPIDFD,
            ptr::from_ref(&on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes one datagram without waiting.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = [0_u64; CONTROL_WORDS];
    // SAFETY: a msghdr is numbers and pointers, for all of which zero is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header names the caller's buffer and our control words, each with its length;
    // both outlive the call.
    let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
    let bytes = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just filled the control words of this header, and nobody has taken
    // descriptors from it.
    let Control { credentials, pidfd, attached } = unsafe { take_control(&header) };
    Ok(Datagram { bytes, credentials, pidfd, attached })
}

/// Reads the control messages of a header, and takes every descriptor in them.
///
/// # Safety
///
/// `recvmsg` has filled the header, its control words still live, and no descriptor was taken from
/// it before.
unsafe fn take_control(header: &libc::msghdr) -> Control {
    let mut control = Control::default();
    // SAFETY: the kernel wrote msg_controllen bytes of well-formed control messages, and the macros
    // stay within them. The data of a message is read unaligned, and only as far as its own length
    // says.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = message.as_ref() {
            let data = libc::CMSG_DATA(message);
            // Of another type in musl.
            let length: usize = head.cmsg_len as _;
            let length = length.saturating_sub(libc::CMSG_LEN(0) as usize);
            match (head.cmsg_level, head.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= mem::size_of::<libc::ucred>() => {
                    let who: libc::ucred = ptr::read_unaligned(data.cast());
                    let pid = who.pid.try_into().unwrap_or(0);
                    control.credentials = Some(Credentials { pid, uid: who.uid, gid: who.gid });
                }
                (libc::SOL_SOCKET, kind @ (SCM_PIDFD | libc::SCM_RIGHTS)) => {
                    for at in 0..length / mem::size_of::<libc::c_int>() {
                        let fd: libc::c_int = ptr::read_unaligned(data.cast::<libc::c_int>().add(at));
                        // In the place of a pidfd that it cannot make, the kernel puts an error.
                        let fd = (fd >= 0).then(|| OwnedFd::from_raw_fd(fd));
                        if kind == SCM_PIDFD {
                            control.pidfd = fd;
                        } else if control.attached.is_none() {
                            control.attached = fd;
                        }
                    }
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    control
}
