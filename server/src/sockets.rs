//! The listening sockets: those that the service manager opened for us, or our own.
//!
//! With a socket unit, systemd opens them before the server starts and keeps them over a restart,
//! so no datagram is lost in between. It can also open a port that the server may not open itself.
//! A socket's kind tells what it is for, and for TCP its port, which the configuration names. See
//! sd_listen_fds(3).

use anyhow::{Context, Result};
use listenfd::ListenFd;
use nix::sys::socket::{AddressFamily, Backlog, SockType, listen};
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener},
    },
};
use tracing::{info, warn};

/// The family and the type of the socket for ogrt-observe.
const UNIX: i32 = AddressFamily::Unix as i32;
const SEQUENTIAL_PACKETS: i32 = SockType::SeqPacket as i32;

/// Passed sockets that are not in use yet.
#[derive(Default)]
pub struct Sockets {
    tcp: Vec<TcpListener>,
    /// The UDP socket.
    pub udp: Option<UdpSocket>,
    /// The socket for Unix streams.
    pub unix: Option<UnixListener>,
    /// The socket for Unix datagrams.
    pub datagrams: Option<UnixDatagram>,
    /// The socket for ogrt-observe.
    pub observers: Option<OwnedFd>,
}

impl Sockets {
    /// Takes the sockets that the service manager passed.
    pub fn passed() -> Self {
        let mut all = ListenFd::from_env();
        let mut sockets = Sockets::default();
        for index in 0..all.len() {
            if let Ok(Some(tcp)) = all.take_tcp_listener(index) {
                sockets.tcp.push(tcp);
            } else if let Ok(Some(udp)) = all.take_udp_socket(index) {
                sockets.udp = Some(udp);
            } else if let Ok(Some(unix)) = all.take_unix_listener(index) {
                sockets.unix = Some(unix);
            } else if let Ok(Some(datagrams)) = all.take_unix_datagram(index) {
                sockets.datagrams = Some(datagrams);
            } else if let Ok(Some(observers)) = all.take_custom(index, UNIX, SEQUENTIAL_PACKETS, "observers")
            {
                sockets.observers = Some(observers);
            } else {
                warn!(
                    "the service manager passed a descriptor that is not TCP, UDP or a Unix socket: it is not used"
                );
            }
        }
        if all.len() > 0 {
            info!("the service manager passed {} sockets", all.len());
        }
        sockets
    }

    /// The TCP socket for this address: the passed one with its port, or a new one.
    pub async fn listen(&mut self, address: SocketAddr, what: &str) -> Result<tokio::net::TcpListener> {
        let is_ours =
            |socket: &TcpListener| socket.local_addr().is_ok_and(|local| local.port() == address.port());
        let cannot = || format!("cannot listen for {what} on {address}");
        if let Some(at) = self.tcp.iter().position(is_ours) {
            let socket = self.tcp.swap_remove(at);
            socket.set_nonblocking(true).with_context(cannot)?;
            return tokio::net::TcpListener::from_std(socket).with_context(cannot);
        }
        let socket = tokio::net::TcpListener::bind(address).await.with_context(cannot)?;
        // A job's processes connect all at once. Beyond the backlog, which is 128, each would wait
        // for a second; so it is what the kernel allows (net.core.somaxconn).
        listen(&socket, Backlog::MAXALLOWABLE).with_context(cannot)?;
        Ok(socket)
    }

    /// Warns about passed sockets that are not used.
    pub fn complain(self) {
        for socket in self.tcp {
            if let Ok(address) = socket.local_addr() {
                warn!(
                    "the service manager passed a socket for {address}, which is not used: the configuration does not name its port"
                );
            }
        }
    }
}
