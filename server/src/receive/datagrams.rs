//! Datagrams: UDP in batches, Unix with the kernel's word for who sent them.

use super::{
    Arrivals, Intake, SUMMARY_REFUSED,
    admit::admit_all,
    local_streams::local_peer,
    origin::{Origin, Speaker},
};
use crate::{clock::now_ns, config::Receive, follow::Follow, queue::Credentials};
use anyhow::{Context, Result};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage,
        UnixAddr, bind, recvmmsg, recvmsg, setsockopt, socket, sockopt,
    },
};
use ogrt_proto::DATAGRAM_MAX;
use std::{
    io::IoSliceMut,
    net::{Shutdown, SocketAddr, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixDatagram,
    },
    path::Path,
};
use tracing::{info, warn};

/// Datagrams taken with one system call.
const AT_ONCE: usize = 32;

/// Bytes for each: the largest that can come.
const SLOT: usize = DATAGRAM_MAX + 29;

/// The kernel's view of a batch; it holds pointers, so it stays in the thread that made it.
pub type Headers = MultiHeaders<SockaddrStorage>;

/// Room for one batch.
pub fn headers() -> Headers {
    MultiHeaders::preallocate(AT_ONCE, None)
}

/// The UDP socket.
pub struct Udp {
    socket: UdpSocket,
    buffer: Vec<u8>,
    dropped: u32,
}

impl Udp {
    /// The socket that was passed, or one bound to the address.
    pub fn bind(passed: Option<UdpSocket>, address: SocketAddr, config: &Receive) -> Result<Self> {
        let socket = passed.map_or_else(|| UdpSocket::bind(address), Ok);
        let socket = socket.with_context(|| format!("cannot receive UDP on {address}"))?;
        socket.set_nonblocking(true).context("cannot make the UDP socket non-blocking")?;
        let bytes = usize::try_from(config.udp_buffer.0).unwrap_or(usize::MAX).min(1 << 30);
        if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &bytes);
        }
        if setsockopt(&socket, sockopt::RxqOvfl, &1).is_err() {
            warn!("the kernel does not tell how many datagrams it drops");
        }
        let got = nix::sys::socket::getsockopt(&socket, sockopt::RcvBuf).unwrap_or(0);
        // The kernel counts its own overhead and doubles what was asked for.
        if got < bytes {
            info!(
                "UDP receive buffer: {got} bytes; for more, raise net.core.rmem_max or grant CAP_NET_ADMIN"
            );
        }
        Ok(Udp { socket, buffer: vec![0; AT_ONCE * SLOT], dropped: 0 })
    }

    /// The socket, for who waits on it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The address in use.
    pub fn address(&self) -> Result<SocketAddr> {
        self.socket.local_addr().context("the UDP socket has no address")
    }

    /// Takes datagrams until none is left or `bytes_max` are in `arrivals`; true when some were
    /// left.
    pub fn drain(
        &mut self,
        headers: &mut Headers,
        intake: &Intake,
        arrivals: &mut Arrivals,
        bytes_max: usize,
    ) -> bool {
        let origin = Origin::unannounced(now_ns(), intake.tokens.may_register(None));
        let mut bytes = self.first(intake, arrivals, origin);
        if bytes == 0 {
            return false;
        }
        loop {
            let mut slots: Vec<[IoSliceMut<'_>; 1]> =
                self.buffer.chunks_mut(SLOT).map(|slot| [IoSliceMut::new(slot)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            let fd = self.socket.as_raw_fd();
            let lengths: Vec<(usize, Option<SockaddrStorage>)> =
                match recvmmsg(fd, headers, slots.iter_mut(), flags, None) {
                    Ok(messages) => messages.map(|message| (message.bytes, message.address)).collect(),
                    Err(_) => return false,
                };
            for (slot, (length, peer)) in self.buffer.chunks(SLOT).zip(&lengths) {
                bytes += length;
                let peer = || peer.as_ref().map_or_else(|| "UDP".to_owned(), |peer| format!("{peer} (UDP)"));
                take(slot.get(..*length).unwrap_or_default(), origin, &peer, intake, arrivals);
            }
            if lengths.len() < AT_ONCE {
                return false;
            }
            if bytes >= bytes_max {
                return true;
            }
        }
    }

    /// The first datagram of a round also brings the kernel's count of those it dropped.
    fn first(&mut self, intake: &Intake, arrivals: &mut Arrivals, origin: Origin<'_>) -> usize {
        let mut control = cmsg_space!(u32);
        let mut slots = [IoSliceMut::new(&mut self.buffer[..SLOT])];
        let fd = self.socket.as_raw_fd();
        let (length, peer, dropped) =
            match recvmsg::<SockaddrStorage>(fd, &mut slots, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => {
                    let dropped = message.cmsgs().ok().and_then(|mut all| {
                        all.find_map(|one| match one {
                            ControlMessageOwned::RxqOvfl(count) => Some(count),
                            _ => None,
                        })
                    });
                    (message.bytes, message.address, dropped)
                }
                Err(Errno::EAGAIN) => return 0,
                // A pending error of the socket (an ICMP message) is cleared by having been read.
                Err(_) => return 0,
            };
        if let Some(dropped) = dropped {
            intake.metrics.datagrams_dropped_by_kernel.add(u64::from(dropped.wrapping_sub(self.dropped)));
            self.dropped = dropped;
        }
        let peer = || peer.as_ref().map_or_else(|| "UDP".to_owned(), |peer| format!("{peer} (UDP)"));
        take(&self.buffer[..length], origin, &peer, intake, arrivals);
        length.max(1)
    }
}

/// The Unix datagram socket.
pub struct UnixDatagrams {
    socket: UnixDatagram,
    buffer: Vec<u8>,
}

impl UnixDatagrams {
    /// The socket, for who waits on it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The socket that was passed, or one bound to the path; see [`super::local_streams`] for what
    /// happens to one that is there.
    pub fn bind(passed: Option<UnixDatagram>, path: &Path, follow: &Follow) -> Result<Self> {
        let is_bound = passed.is_some();
        let socket = match passed {
            Some(passed) => passed,
            None => {
                let flags = SockFlag::SOCK_CLOEXEC;
                socket(AddressFamily::Unix, SockType::Datagram, flags, None).context("no Unix socket")?.into()
            }
        };
        socket.set_nonblocking(true).context("cannot make the Unix socket non-blocking")?;
        // Before anybody can send: what comes to a socket without it has no sender.
        setsockopt(&socket, sockopt::PassCred, &true).context("the kernel gives no credentials")?;
        if follow.is_on() {
            // Before Linux 6.5 it refuses, and senders are followed by their pids.
            let _ = ogrt_observe::pass_pidfds(&socket);
        }
        if !is_bound {
            let address = UnixAddr::new(path).with_context(|| path.display().to_string())?;
            let bound = bind(socket.as_raw_fd(), &address);
            bound.with_context(|| format!("cannot receive on {}", path.display()))?;
        }
        Ok(UnixDatagrams { socket, buffer: vec![0; 256 * 1024] })
    }

    /// Makes the kernel refuse datagrams from now on, so that their senders spool them. What the
    /// kernel has taken must still be drained.
    pub fn close(&self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// Takes datagrams until none is left or `bytes_max` are in `arrivals`; true when some were
    /// left.
    pub fn drain(&mut self, intake: &Intake, arrivals: &mut Arrivals, bytes_max: usize) -> bool {
        let may_register = intake.tokens.may_register(None);
        let mut bytes = 0;
        while bytes < bytes_max {
            let Ok(datagram) = ogrt_observe::receive(&self.socket, &mut self.buffer) else { return false };
            // As of streams: of two programs of a process the earlier has the earlier time.
            let received_ns = now_ns();
            let credentials =
                datagram.credentials.map(|who| Credentials { pid: who.pid, uid: who.uid, gid: who.gid });
            let credentials = credentials.filter(|who| !is_nobody(who));
            let length = datagram.bytes;
            bytes += length.max(1);
            let peer = || local_peer(credentials);
            let speaker = Speaker::new(datagram.pidfd);
            let speaker = Some(&speaker);
            let origin = Origin { credentials, speaker, ..Origin::unannounced(received_ns, may_register) };
            take(&self.buffer[..length], origin, &peer, intake, arrivals);
        }
        true
    }
}

/// The kernel's number for users whom it cannot name.
const OVERFLOW_UID: u32 = 65_534;

/// True where the kernel did not note who sent: no process, and no user.
fn is_nobody(who: &Credentials) -> bool {
    who.pid == 0 && who.uid == OVERFLOW_UID && who.gid == OVERFLOW_UID
}

/// The frames of one datagram.
fn take(
    datagram: &[u8],
    origin: Origin<'_>,
    peer: &dyn Fn() -> String,
    intake: &Intake,
    arrivals: &mut Arrivals,
) {
    intake.metrics.datagrams_received.add(1);
    if let Err(problem) = admit_all(datagram, origin, intake, arrivals) {
        intake.metrics.protocol_errors.add(1);
        intake.datagram_complaints.say(&peer(), &problem);
    }
    if std::mem::take(&mut arrivals.summaries_refused) > 0 {
        intake.datagram_complaints.say(&peer(), &SUMMARY_REFUSED);
    }
}
