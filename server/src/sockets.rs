//! Sockets: those that the service manager opened for us, else our own.
//!
//! systemd opens them by a socket unit before the server starts, keeps them over a restart, and so loses no datagram
//! in between; a server that has no right to a port gets it that way, too. What each is for is told by its kind and,
//! for TCP, by the port that the configuration names. Its manual is sd_listen_fds(3).

use anyhow::{Context, Result};
use listenfd::ListenFd;
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::net::{UnixDatagram, UnixListener},
};
use tracing::{info, warn};

/// What was passed and is not in use yet.
#[derive(Default)]
pub struct Sockets {
    tcp: Vec<TcpListener>,
    /// UDP.
    pub udp: Option<UdpSocket>,
    /// Unix streams.
    pub unix: Option<UnixListener>,
    /// Unix datagrams.
    pub datagrams: Option<UnixDatagram>,
}

impl Sockets {
    /// Takes what the service manager passed.
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
            } else {
                warn!(
                    "a descriptor that the service manager passed is no socket that we know; it is not used"
                );
            }
        }
        if all.len() > 0 {
            info!("{} sockets were passed by the service manager", all.len());
        }
        sockets
    }

    /// The TCP socket for this address: the one that was passed for its port, else a new one.
    pub async fn listen(&mut self, address: SocketAddr, what: &str) -> Result<tokio::net::TcpListener> {
        let is_ours =
            |socket: &TcpListener| socket.local_addr().is_ok_and(|local| local.port() == address.port());
        let cannot = || format!("cannot listen for {what} on {address}");
        if let Some(at) = self.tcp.iter().position(is_ours) {
            let socket = self.tcp.swap_remove(at);
            socket.set_nonblocking(true).with_context(cannot)?;
            return tokio::net::TcpListener::from_std(socket).with_context(cannot);
        }
        tokio::net::TcpListener::bind(address).await.with_context(cannot)
    }

    /// Says what was passed and has no use.
    pub fn complain(self) {
        for socket in self.tcp {
            if let Ok(address) = socket.local_addr() {
                warn!(
                    "the service manager passed a socket for {address}, a port that the configuration does not name"
                );
            }
        }
    }
}
