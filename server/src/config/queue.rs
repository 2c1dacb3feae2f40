//! `[queue]`: the durable queue.

use super::{
    Size, Time,
    table::{choice, table},
};

table! {
    /// The durable queue between receiving and outputs.
    QueueConfig {
        /// Most bytes on disk.
        bytes_max: Size = Size(8 << 30),
        /// When it is full: "refuse" (streams are closed unacknowledged, datagrams counted and dropped) or
        /// "drop-oldest" (outputs that are behind lose the oldest events, counted).
        when_full: WhenFull = WhenFull::Refuse,
        /// Free bytes that must stay on the disk; with fewer the queue counts as full.
        disk_free_min: Size = Size::mebibytes(256),
        /// What nobody waits to see acknowledged is synchronised at least this often.
        sync_every: Time = Time::from_millis(200),
    }
}

choice! {
    /// What happens to new events when the queue is full.
    WhenFull {
        /// New ones are not taken.
        Refuse = "refuse",
        /// The oldest make room.
        DropOldest = "drop-oldest",
    }
}
