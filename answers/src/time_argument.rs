//! Points in time on the command line, all in UTC.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A point in time, in seconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeArgument(pub i64);

/// The forms that are understood, for help and errors.
pub const FORMS: &str = "2026-11-24, 2026-11-24T13:30[:00][Z], now, today, yesterday, 90m, 12h or 7d ago, or @SECONDS of Unix time; all in UTC";

impl FromStr for TimeArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        seconds(text, i64::try_from(now).unwrap_or(i64::MAX))
            .map(TimeArgument)
            .ok_or_else(|| format!("expected {FORMS}"))
    }
}

fn seconds(text: &str, now: i64) -> Option<i64> {
    let midnight = now - now.rem_euclid(DAY);
    match text {
        "now" => return Some(now),
        "today" => return Some(midnight),
        "yesterday" => return Some(midnight - DAY),
        _ => {}
    }
    if let Some(number) = text.strip_prefix('@') {
        return number.parse().ok();
    }
    let unit = match text.bytes().last()? {
        b'm' => 60,
        b'h' => 3_600,
        b'd' => DAY,
        _ => return point(text),
    };
    let ago = text[..text.len() - 1].parse::<u32>().ok()?;
    now.checked_sub(i64::from(ago).checked_mul(unit)?)
}

/// Parses a date, with or without a time of day.
fn point(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let date = numbers(date, '-')?;
    let time = numbers(time, ':')?;
    let &[year, month @ 1..=12, day @ 1..=31] = date.as_slice() else { return None };
    let (hour, minute, second) = match *time.as_slice() {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    (hour < 24 && minute < 60 && second < 60).then_some(())?;
    let days = days(year, month, day);
    // 30 February is not a date: written back it is another.
    let written = crate::utc::from_seconds(days * DAY);
    written.starts_with(&format!("{year:04}-{month:02}-{day:02}T")).then_some(())?;
    Some(days * DAY + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, separator: char) -> Option<Vec<i64>> {
    text.split(separator)
        .map(|digits| {
            let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok())?
        })
        .collect()
}

/// Days since 1970-01-01 in the Gregorian calendar; years are counted from March, so that a leap
/// day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        // 2026-11-25T01:46:40Z
        let now = 1_795_571_200;
        for (text, expected) in [
            ("today", 1_795_564_800),
            ("yesterday", 1_795_478_400),
            ("now", now),
            ("90m", now - 5_400),
            ("12h", now - 43_200),
            ("7d", now - 604_800),
            ("@17", 17),
            ("2026-11-25", 1_795_564_800),
            ("2026-11-25T01:46:40Z", now),
            ("2026-11-25 01:46", now - 40),
            ("2024-02-29", 1_709_164_800),
        ] {
            assert_eq!(seconds(text, now), Some(expected), "{text}");
        }
        for text in [
            "",
            "m",
            "-5d",
            "2026-02-30",
            "2026-13-01",
            "2026-11-25T24:00",
            "25.11.2026",
            "soon",
            "1.5h",
            "@x",
            "ä",
        ] {
            assert_eq!(seconds(text, now), None, "{text}");
        }
    }
}
