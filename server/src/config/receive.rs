//! `[receive]`: bounds on what comes in.

use super::{Size, Time, table::table};

table! {
    /// Receiving: how often sockets are read, and how much memory and time senders may take.
    Receive {
        /// How often UDP and Unix sockets are read. A longer time costs less CPU and delays events.
        poll_every: Time = Time::from_millis(4),
        /// How often these sockets are read when no event came for half a second. After five
        /// seconds the server sleeps until an event comes; its sender then takes some 20
        /// microseconds longer, once.
        idle_poll_every: Time = Time::from_millis(10),
        /// Receive buffer that the server asks the kernel for. If the buffer is too small, the
        /// kernel drops UDP datagrams (metric ogrt_datagrams_dropped_by_kernel_total). Without root
        /// or CAP_NET_ADMIN, the kernel gives at most net.core.rmem_max.
        udp_buffer: Size = Size::mebibytes(64),
        /// Largest message, and largest body of an HTTP request. A stream with a larger message is
        /// closed.
        message_bytes_max: Size = Size::mebibytes(16),
        /// Largest number of open streams. When it is reached, new TCP connections wait, and new
        /// Unix streams are closed, so that their clients spool. When three quarters are in use,
        /// streams that were silent for 10 seconds are closed.
        connections_max: usize = 16_384,
        /// Memory for unfinished messages of all streams, for messages larger than 64 KiB. When it
        /// is used up, further large messages wait.
        stream_bytes_max: Size = Size::mebibytes(64),
        /// How long a stream may take to send one message. A stream that takes longer is closed.
        message_timeout: Time = Time::from_secs(30),
        /// How long a stream may be silent. A stream that is silent for longer is closed.
        idle_timeout: Time = Time::from_secs(600),
        /// Memory for received events that are not yet in the queue. When it is used up, receiving
        /// pauses.
        pending_bytes_max: Size = Size::mebibytes(16),
    }
}
