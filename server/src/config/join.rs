//! `[join]`: bringing events and build records together.

use super::{Size, Time, table::table};

table! {
    /// Bringing events and build records together.
    JoinConfig {
        /// How long an event waits for the record of a signature that nobody has registered yet; "0s": not at all.
        wait: Time = Time::from_secs(5),
        /// How long no further event waits for a signature that was waited for in vain.
        wait_again_after: Time = Time::from_secs(600),
        /// How long the parts of an event may take to arrive.
        parts_wait: Time = Time::from_secs(10),
        /// Events and parts that may wait at once; a further one goes out as it is.
        waiting_max: usize = 50_000,
        /// Bytes of them.
        waiting_bytes_max: Size = Size::mebibytes(32),
    }
}
