//! Tells the service manager (sd_notify(3)) that we are ready, that we read the configuration
//! again, and that we stop. Without a service manager, these functions do nothing.

use nix::time::{ClockId, clock_gettime};
use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};
use tracing::debug;

/// All sockets listen.
pub fn ready() {
    tell("READY=1");
}

/// The configuration is being read again; [`ready`] says that this is done.
pub fn reloading() {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1_000_000 + i128::from(time.tv_nsec()) / 1_000);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
}

/// The server stops: no more events are received, and the received ones are sent.
pub fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let bytes = name.as_encoded_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop));
    if let Err(problem) = sent {
        debug!("cannot tell the service manager {state}: {problem}");
    }
}
