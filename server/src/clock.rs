//! The time of day, as everything here counts it, and whose clock is believed.
//!
//! A sender's clock may be wrong by years. What it says is kept in documents; but what is ordered,
//! deleted by its age or asked for by time goes by the receipt where the two differ much.

use std::time::{SystemTime, UNIX_EPOCH};

/// The largest difference from the receipt with which a sender's time is believed: ten minutes.
/// Clocks that are kept in step differ by less.
const DIFFERENCE_MAX_NS: i64 = 600 * 1_000_000_000;

/// Now, in nanoseconds of Unix time.
pub fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The time of an event, never after its receipt: the sender's where it may be right.
pub fn believed_ns(claimed: Option<i64>, received_ns: i64) -> i64 {
    match claimed {
        Some(claimed) if claimed >= received_ns.saturating_sub(DIFFERENCE_MAX_NS) => claimed.min(received_ns),
        _ => received_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_not_believed() {
        let received = 1_800_000_000_000_000_000;
        let minute = 60 * 1_000_000_000;
        let two_years = 730 * 1440 * minute;
        let believed = |difference| believed_ns(Some(received + difference), received) - received;
        assert_eq!([-minute, -two_years, minute, two_years].map(believed), [-minute, 0, 0, 0]);
        assert_eq!([None, Some(0), Some(i64::MIN)].map(|none| believed_ns(none, received)), [received; 3]);
    }
}
