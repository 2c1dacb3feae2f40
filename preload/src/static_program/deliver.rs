//! Sends the event of a static program to the server, now or never, by the routes of `deliver.rs`:
//! one frame, so each route is one message.

use crate::{
    destination::{Destination, Route},
    parts::Event,
    reach::is_reachable,
    spool::Spool,
    sys::{self, Errno, Piece},
};

/// Sends the only frame of an event.
pub fn deliver(event: &Event, destination: Option<&Destination>, spool: Option<&Spool>) {
    if let Some(destination) = destination {
        let is_sent = |to: &Destination, kind, connects| send(event, to, kind, connects).is_ok();
        match destination.route {
            Route::Unix if !destination.remote_directory().is_none_or(is_reachable) => {}
            Route::Unix => {
                let twin = destination.datagram_twin();
                if twin.is_some_and(|twin| is_sent(&twin, sys::DATAGRAM, false)) {
                    return;
                }
                if is_sent(destination, sys::STREAM, true) {
                    return;
                }
            }
            Route::Udp => {
                // The kernel reports a refusal only on a connected socket, which costs two more
                // calls. They are worth it when there is a spool to use instead.
                if is_sent(destination, sys::DATAGRAM, spool.is_some()) {
                    return;
                }
            }
        }
    }
    if let Some(spool) = spool {
        spool.keep(event);
    }
}

fn send(event: &Event, to: &Destination, kind: usize, connects: bool) -> Result<(), Errno> {
    let socket = sys::socket(to.family(), kind)?;
    let header = event.header();
    let pieces = [Piece::new(&header), Piece::new(event.message)];
    let (mut result, mut address) = (Ok(()), to.address());
    if connects {
        result = sys::connect(socket, address);
        address = &[];
    }
    if result.is_ok() {
        result = match sys::send(socket, address, &pieces) {
            Ok(taken) if taken != event.frame_len() => Err(sys::WOULD_BLOCK),
            // Of a stream nothing is pending.
            Ok(_) if connects => sys::pending_error(socket),
            taken => taken.map(drop),
        };
    }
    sys::close(socket);
    result
}
