//! `[join]`: bringing events and build records together.

use super::{Size, Time, table::table};

table! {
    /// The join: each event gets the build records of its signatures before outputs write it.
    JoinConfig {
        /// How long an event waits for a build record that is not registered yet. After this time
        /// it is written without the record. Other events do not wait with it. "0s": no event
        /// waits.
        wait: Time = Time::from_secs(5),
        /// The time after a wait in vain in which events do not wait for the same signature.
        wait_again_after: Time = Time::from_secs(600),
        /// How long to wait for the other parts of an event that was sent in several messages.
        /// After this time it is written with the parts that came (metric
        /// ogrt_events_incomplete_total).
        parts_wait: Time = Time::from_secs(10),
        /// Largest number of events and parts that wait at once. Further events are written without
        /// waiting (metric ogrt_join_overflows_total). A sender with more than a sixteenth of them
        /// gets at most half, so that others have room. A quarter is for users whom the kernel
        /// proved.
        waiting_max: usize = 50_000,
        /// Largest size of the events and parts that wait at once. Further events are written
        /// without waiting, as for waiting_max.
        waiting_bytes_max: Size = Size::mebibytes(32),
    }
}
