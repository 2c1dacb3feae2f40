//! `[queue]`: the durable queue.

use super::{
    Size, Time,
    table::{choice, table},
};

table! {
    /// The queue: received events on disk, until all outputs have written them.
    QueueConfig {
        /// Largest size of the queue on disk. An output that is down fills it; when_full says what
        /// happens then. With when_full = "refuse", a sender may have as much of the second half
        /// as there is left; what it sends beyond that is refused (metric
        /// ogrt_sender_over_share_total).
        bytes_max: Size = Size(8 << 30),
        /// What happens when the queue is full. "refuse": new events are refused. Clients keep
        /// theirs in a spool; what comes over UDP or as a datagram is lost (metric
        /// ogrt_events_refused_total).
        /// "drop-oldest": outputs that are behind lose the oldest events (metric
        /// ogrt_batches_lost_total).
        when_full: WhenFull = WhenFull::Refuse,
        /// Free space that the server leaves on the disk of data_dir. With less, new events are
        /// refused, whatever when_full says. Room for what the database has in memory, and for a
        /// merge of its tables, is left besides: some 300 MiB in a large store. Outputs with files
        /// on that disk leave it free as well, and their events wait in the queue.
        disk_free_min: Size = Size::mebibytes(256),
        /// How often events without an acknowledgement (UDP, datagrams) are flushed to disk. A
        /// power cut can lose the events of this time; a crash of the server loses none.
        sync_every: Time = Time::from_millis(200),
    }
}

choice! {
    /// What happens when the queue is full.
    WhenFull {
        /// New events are refused.
        Refuse = "refuse",
        /// Outputs that are behind lose the oldest events.
        DropOldest = "drop-oldest",
    }
}
