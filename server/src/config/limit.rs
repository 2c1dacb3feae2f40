//! `[limit]`: how much of the server one job may have.

use super::{Time, table::table};

table! {
    /// How much of the server one job may have. What is over it is not written one by one but counted, exactly, and the
    /// count goes to the outputs and to the job's answer as a document of type "summary".
    LimitConfig {
        /// Events a second of one job, for long; 0: no limit.
        events_per_second: usize = 0,
        /// Events that a job may send at once before that holds.
        burst_events: usize = 10_000,
        /// How long a summary gathers.
        summary_every: Time = Time::from_secs(60),
        /// Jobs that are watched at once; further ones are not limited.
        jobs_max: usize = 10_000,
    }
}
