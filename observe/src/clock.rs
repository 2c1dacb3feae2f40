//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in nanoseconds of Unix time.
pub fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
