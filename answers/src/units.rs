//! Numbers and times as tables show them.

/// A number with a comma before each three digits: `1,204`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time: `0.35 s`, `2:05 min`, `1:30 h`.
pub fn duration(ns: u64) -> String {
    match ns / 1_000_000_000 {
        0..60 => format!("{:.2} s", ns as f64 / 1e9),
        60..3_600 => format!("{}:{:02} min", ns / 60_000_000_000, ns / 1_000_000_000 % 60),
        whole => format!("{}:{:02} h", whole / 3_600, whole / 60 % 60),
    }
}

/// CPU time: in seconds, and in hours where there are some.
pub fn cpu_time(us: u64) -> String {
    match us {
        ..3_600_000_000 => format!("{:.2} s", us as f64 / 1e6),
        _ => format!("{:.2} h", us as f64 / 3.6e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([0, 12, 999, 1204, 1_000_000].map(grouped), ["0", "12", "999", "1,204", "1,000,000"]);
        let seconds = [0.354, 59.0, 125.0, 5400.0].map(|seconds: f64| duration((seconds * 1e9) as u64));
        assert_eq!(seconds, ["0.35 s", "59.00 s", "2:05 min", "1:30 h"]);
        assert_eq!([1_500_000, 5_400_000_000].map(cpu_time), ["1.50 s", "1.50 h"]);
    }
}
