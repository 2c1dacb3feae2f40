//! `[uses]`: counts of who ran what.

use super::{Time, table::table};

table! {
    /// Counts of who ran what. They grow with what is distinct, not with events.
    UsesConfig {
        /// How long it is known in which jobs something ran.
        jobs_keep: Time = Time::from_secs(400 * 86_400),
        /// Most programs (with what they load) that are told apart; beyond them the longest unused go.
        programs_max: usize = 1_000_000,
        /// Most rows: a user, a host or a job of a program. Beyond them new ones are not kept (counted).
        rows_max: usize = 50_000_000,
        /// How often counts are written; a question does not wait for it.
        write_every: Time = Time::from_secs(10),
    }
}
