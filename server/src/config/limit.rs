//! `[limit]`: how much of the server one job may have.

use super::{Time, table::table};

table! {
    /// Limit: how many events of one job are written. Events above the limit are counted, exactly,
    /// and not written one by one. The count goes to the outputs and into the answer about the job,
    /// as a document of type "summary".
    LimitConfig {
        /// Sustained events per second allowed for one job. 0: unlimited.
        events_per_second: usize = 0,
        /// Events that a job may send at once above that rate.
        burst_events: usize = 10_000,
        /// How often a summary is written for a job above its limit.
        summary_every: Time = Time::from_secs(60),
        /// Largest number of jobs that are watched at once, counted for each sender of their
        /// events. When more than half are watched, a sender may have only as many as are left
        /// (metric ogrt_sender_over_share_total). Further jobs are not limited.
        jobs_max: usize = 10_000,
    }
}
