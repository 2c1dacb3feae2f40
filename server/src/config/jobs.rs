//! `[jobs]`: what is kept to answer questions about jobs.

use super::{Size, Time, table::table};

table! {
    /// What is kept to answer questions about jobs.
    JobsConfig {
        /// How long.
        keep: Time = Time::from_secs(90 * 86_400),
        /// Most bytes, compressed; beyond them the oldest go.
        bytes_max: Size = Size(16 << 30),
        /// Most processes in one answer.
        answer_processes_max: usize = 100_000,
    }
}
