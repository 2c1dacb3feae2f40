//! `[receive]`: bounds on what comes in.

use super::{Size, Time, table::table};

table! {
    /// Bounds on what is received.
    Receive {
        /// Local and UDP senders are not woken for: sockets are drained every so often.
        poll_every: Time = Time::from_millis(4),
        /// The same while nothing comes.
        idle_poll_every: Time = Time::from_millis(10),
        /// Receive buffer of the UDP socket, as far as the kernel lets us (as root: for certain).
        udp_buffer: Size = Size::mebibytes(64),
        /// Largest message; larger ones close the stream.
        message_bytes_max: Size = Size::mebibytes(16),
        /// Streams open at once; a further one waits in the kernel.
        connections_max: usize = 16_384,
        /// Bytes of unfinished large messages that all streams together may hold.
        stream_bytes_max: Size = Size::mebibytes(64),
        /// A message begun must be complete within this time.
        message_timeout: Time = Time::from_secs(30),
        /// A stream that says nothing is closed after this time.
        idle_timeout: Time = Time::from_secs(600),
        /// Bytes received and not yet in the queue; beyond them receivers wait.
        pending_bytes_max: Size = Size::mebibytes(16),
    }
}
