//! The time of day, as everything here counts it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in nanoseconds of Unix time.
pub fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
