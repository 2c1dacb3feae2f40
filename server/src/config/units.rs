//! Durations and sizes as people write them: `"5s"`, `"250ms"`, `"30d"`, `"64MiB"`.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use std::{fmt, time::Duration};

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Time {
    /// A time of this many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Time(Duration::from_secs(seconds))
    }

    /// A time of this many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Time(Duration::from_millis(milliseconds))
    }
}

impl Size {
    /// A size of this many mebibytes.
    pub const fn mebibytes(number: u64) -> Self {
        Size(number << 20)
    }
}

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a value in the largest unit that divides it; zero in the unit that people write it in.
fn show(value: u64, units: &[(&str, u64)], of_zero: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if value == 0 {
        return write!(f, "\"0{of_zero}\"");
    }
    let best = units.iter().rev().find(|(_, factor)| value.is_multiple_of(*factor));
    let (name, factor) = best.unwrap_or(&units[0]);
    write!(f, "\"{}{name}\"", value / factor)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0.as_millis() as u64, &TIMES, "s", f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, &SIZES, "B", f)
    }
}

/// A number with a unit, as a text.
struct Quantity {
    units: &'static [(&'static str, u64)],
    expected: &'static str,
}

impl Visitor<'_> for Quantity {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse(text, self.units).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let time = Quantity { units: &TIMES, expected: "a time such as \"5s\" (ms, s, m, h, d)" };
        input.deserialize_str(time).map(|ms| Time(Duration::from_millis(ms)))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let size = Quantity { units: &SIZES, expected: "a size such as \"64MiB\" (B, KiB, MiB, GiB, TiB)" };
        input.deserialize_str(size).map(Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_they_are_shown() {
        for text in ["0s", "250ms", "5s", "90s", "2h", "30d"] {
            assert_eq!(
                Time(Duration::from_millis(parse(text, &TIMES).unwrap())).to_string(),
                format!("\"{text}\"")
            );
        }
        for text in ["0B", "64MiB", "3GiB"] {
            assert_eq!(Size(parse(text, &SIZES).unwrap()).to_string(), format!("\"{text}\""));
        }
        for text in ["", "5", "s", "5 parsecs", "-1s", "99999999999999999999d", "99999999999d99"] {
            assert_eq!(parse(text, &TIMES), None, "{text}");
        }
    }
}
