//! `[jobs]`: what is kept to answer questions about jobs.

use super::{Size, Time, table::table};

table! {
    /// Jobs: events that are kept to answer questions about jobs (`ogrt job`, /v1/jobs).
    JobsConfig {
        /// How long events are kept. Older events are deleted.
        keep: Time = Time::from_secs(90 * 86_400),
        /// Disk space for these events, which are compressed. When it is used up, senders with more
        /// than their share lose their oldest events (metric ogrt_sender_over_share_total).
        bytes_max: Size = Size(16 << 30),
        /// Largest number of processes in one answer. The answer about a larger job holds the first
        /// ones, says "truncated": true, and names the cursor of the next page.
        answer_processes_max: usize = 100_000,
    }
}
