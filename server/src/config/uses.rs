//! `[uses]`: counts of who ran what.

use super::{Time, table::table};

table! {
    /// Uses: counts of who ran which program, on which host, in which job. They grow with the
    /// number of different programs, users, hosts and jobs, not with the number of events.
    UsesConfig {
        /// How long the server knows in which jobs a program ran. How often each user ran it, and
        /// on which hosts, is kept for longer.
        jobs_keep: Time = Time::from_secs(400 * 86_400),
        /// Largest number of programs with counts. A program is an executable with the libraries
        /// that are loaded with it. When there are nearly as many, senders with more than their
        /// share lose the counts of programs that were not used for longest (metric
        /// ogrt_sender_over_share_total). New programs of these senders are not counted (metric
        /// ogrt_uses_dropped_total).
        programs_max: usize = 1_000_000,
        /// Largest number of counts: one per program, user, host and job. When there are nearly as
        /// many, senders with more than their share are counted without jobs (metric
        /// ogrt_sender_over_share_total).
        rows_max: usize = 50_000_000,
        /// Largest number of sums for reports: one per day and one per month, for each program,
        /// user and account; and two per job. When there are nearly as many, further programs of
        /// senders with more than their share have one sum together.
        sums_max: usize = 8_000_000,
        /// How long sums are kept by day. By month they are kept for good.
        days_keep: Time = Time::from_secs(400 * 86_400),
        /// How often counts are written to disk. A question has them written at once.
        write_every: Time = Time::from_secs(10),
    }
}
