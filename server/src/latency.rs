//! How long things took, as a Prometheus histogram: for each bound, how many took no longer.
//!
//! Events of one turn of the receiver have the same time of receipt. All of them cost a comparison
//! or two and one atomic addition.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

/// Bounds in milliseconds, and in seconds as Prometheus writes them.
const BOUNDS: [(u64, &str); 15] = [
    (1, "0.001"),
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1"),
    (2_500, "2.5"),
    (5_000, "5"),
    (10_000, "10"),
    (60_000, "60"),
    (600_000, "600"),
    (3_600_000, "3600"),
];

/// A histogram of times.
#[derive(Debug, Default)]
pub struct Latency {
    /// How many are within each bound and above the one before; the last number is of the rest.
    within: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Latency {
    /// Counts `many` things that took `ns` each. A negative time, from a clock that was set back,
    /// counts as 0.
    pub fn took(&self, ns: i64, many: u64) {
        let us = u64::try_from(ns / 1000).unwrap_or(0);
        let at = BOUNDS.iter().position(|(ms, _)| us <= ms * 1000).unwrap_or(BOUNDS.len());
        self.within[at].fetch_add(many, Ordering::Relaxed);
        self.sum_us.fetch_add(us.saturating_mul(many), Ordering::Relaxed);
    }

    /// Counts the time from each of these moments until now, in Unix nanoseconds.
    pub fn until(&self, now_ns: i64, since_ns: impl IntoIterator<Item = i64>) {
        let mut same = (0, 0);
        for since_ns in since_ns {
            if since_ns != same.0 && same.1 > 0 {
                self.took(now_ns.saturating_sub(same.0), same.1);
                same.1 = 0;
            }
            same = (since_ns, same.1 + 1);
        }
        if same.1 > 0 {
            self.took(now_ns.saturating_sub(same.0), same.1);
        }
    }

    /// Appends the histogram in the text format of Prometheus; `labels` come before its own.
    pub fn text(&self, out: &mut String, name: &str, labels: &str) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (within, bound) in self.within.iter().zip(BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"])) {
            count += within.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
        }
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "{name}_sum{open}{labels}{close} {sum}");
        let _ = writeln!(out, "{name}_count{open}{labels}{close} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_all_bounds_that_it_keeps() {
        let (latency, ms) = (Latency::default(), 1_000_000);
        latency.until(1000 * ms, [999 * ms, 999 * ms, 980 * ms, 1001 * ms]);
        latency.took(i64::MAX, 1);
        let mut text = String::new();
        latency.text(&mut text, "x", "output=\"a\"");
        let line = |bound: &str| format!("x_bucket{{output=\"a\",le=\"{bound}\"}} ");
        for (bound, count) in [("0.001", 3), ("0.01", 3), ("0.025", 4), ("3600", 4), ("+Inf", 5)] {
            assert!(text.contains(&format!("{}{count}\n", line(bound))), "{bound} of {text}");
        }
        assert!(text.contains("x_count{output=\"a\"} 5\n"), "{text}");
    }
}
