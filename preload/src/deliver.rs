//! Sends one event to the server, now or never: every socket is non-blocking
//! (`a_hung_full_or_absent_server_costs_nothing`).
//!
//! A Unix server listens on two sockets, and an event is sent by datagram first. That is one system
//! call less than a short connection, and the kernel makes no second socket: a start takes 38 us
//! instead of 42. The datagram queue is short where nobody has raised it (net.unix.max_dgram_qlen:
//! 10, under systemd 512). So in a burst the stream takes over, whose backlog holds thousands. An
//! event that is too large for one datagram is sent by stream first, which need not cut a long
//! argument. UDP is one datagram. What nobody takes is spooled.

use crate::{
    destination::{Destination, Route},
    parts::{Event, ValueMax},
    reach::is_reachable,
    spool::Spool,
    sys::{self, Descriptor, Errno},
};

/// The way that an event took. `in_words` has their order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A connection to the server's stream socket took it.
    Stream,
    /// The server's Unix datagram socket took it.
    Datagram,
    /// It was sent by UDP, and nobody knows whether it arrived.
    Udp,
    /// A file in the spool holds it for later.
    Spooled,
    /// Nobody took it.
    Lost,
}

impl Delivery {
    /// The words for it, to be followed by the server's name.
    pub fn in_words(self) -> &'static [u8] {
        // One text, since a list of texts is a list of addresses that the loader must change.
        const WORDS: &[u8] =
            b"sent by stream to |sent by datagram to |sent by UDP to |spooled for |lost: nobody took it at ";
        WORDS.split(|&byte| byte == b'|').nth(self as usize).unwrap_or_default()
    }
}

/// Sends all frames of an event.
pub fn deliver(event: &Event, destination: Option<&Destination>, spool: Option<&Spool>) -> Delivery {
    // Frames that one route took are not sent again by the next.
    let mut sent = 0;
    if let Some(destination) = destination {
        match destination.route {
            Route::Unix if !destination.remote_directory().is_none_or(is_reachable) => {}
            Route::Unix => {
                let delivered = match event.fits_datagram() {
                    true => by_twin(event, destination, &mut sent)
                        .or_else(|| by_stream(event, destination, &mut sent)),
                    false => by_stream(event, destination, &mut sent)
                        .or_else(|| by_twin(event, destination, &mut sent)),
                };
                if let Some(delivery) = delivered {
                    return delivery;
                }
            }
            Route::Udp => {
                // The kernel reports a refusal only on a connected socket, which costs two more
                // calls. They are worth it when there is a spool to use instead.
                let result = match spool {
                    Some(_) => by_connected_datagram(event, destination, &mut sent),
                    None => by_datagram(event, destination, &mut sent),
                };
                if result.is_ok() {
                    return Delivery::Udp;
                }
            }
        }
    }
    match spool.map(|spool| spool.keep(event, sent)) {
        Some(Ok(())) => Delivery::Spooled,
        _ => Delivery::Lost,
    }
}

fn by_twin(event: &Event, destination: &Destination, sent: &mut usize) -> Option<Delivery> {
    let twin = destination.datagram_twin()?;
    by_datagram(event, &twin, sent).ok().map(|()| Delivery::Datagram)
}

fn by_stream(event: &Event, destination: &Destination, sent: &mut usize) -> Option<Delivery> {
    connections(event, destination, sent).ok().map(|()| Delivery::Stream)
}

/// Sends by one connection, or by as many as the event needs.
fn connections(event: &Event, destination: &Destination, sent: &mut usize) -> Result<(), Errno> {
    let mut frames = event.frames(ValueMax::Stream).skip(*sent).peekable();
    while frames.peek().is_some() {
        let socket = sys::socket(sys::AF_UNIX, sys::STREAM)?;
        let before = *sent;
        let result = sys::connect(socket, destination.address()).and_then(|()| {
            while let Some(frame) = frames.peek() {
                match sys::send(socket, &[], &frame.pieces()) {
                    Ok(taken) if taken == frame.len() => *sent += 1,
                    // This connection's buffer is full, and what it took of this frame ends with
                    // it: the server drops an unfinished frame, and the whole goes into another
                    // connection.
                    Ok(_) | Err(sys::WOULD_BLOCK) if *sent > before => return Ok(()),
                    Ok(_) => return Err(sys::WOULD_BLOCK),
                    Err(error) => return Err(error),
                }
                frames.next();
            }
            Ok(())
        });
        sys::close(socket);
        result?;
    }
    Ok(())
}

fn by_datagram(event: &Event, destination: &Destination, sent: &mut usize) -> Result<(), Errno> {
    let socket = sys::socket(destination.family(), sys::DATAGRAM)?;
    let result = send_rest(event, socket, destination.address(), sent);
    sys::close(socket);
    result
}

fn by_connected_datagram(event: &Event, destination: &Destination, sent: &mut usize) -> Result<(), Errno> {
    let socket = sys::socket(destination.family(), sys::DATAGRAM)?;
    let result = sys::connect(socket, destination.address())
        .and_then(|()| send_rest(event, socket, &[], sent))
        .and_then(|()| sys::pending_error(socket));
    if result.is_err() {
        // Nobody knows which of them were refused.
        *sent = 0;
    }
    sys::close(socket);
    result
}

fn send_rest(event: &Event, socket: Descriptor, address: &[u8], sent: &mut usize) -> Result<(), Errno> {
    for frame in event.frames(ValueMax::Datagram).skip(*sent) {
        sys::send(socket, address, &frame.pieces())?;
        *sent += 1;
    }
    Ok(())
}
