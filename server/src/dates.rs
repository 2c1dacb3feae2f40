//! Unix time as receivers, reports and file names show it: in UTC and in the Gregorian calendar.

/// Nanoseconds of a day.
pub const DAY_NS: i64 = 86_400_000_000_000;

/// The day of a time, counted from 1970, UTC. A time before is on the first day.
pub fn day_number(unix_ns: i64) -> u16 {
    u16::try_from(unix_ns.div_euclid(DAY_NS).max(0)).unwrap_or(u16::MAX)
}

/// Year, month and day of a number of days since 1970 (H. Hinnant, "chrono-compatible low-level
/// date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `2026.11.25`, as names of indices have it.
pub fn day(unix_ns: i64) -> String {
    let (year, month, day) = civil(unix_ns.max(0) / DAY_NS);
    format!("{year:04}.{month:02}.{day:02}")
}

/// `2026-11-25`, of a number of days since 1970.
pub fn date(days: u16) -> String {
    let (year, month, day) = civil(days.into());
    format!("{year:04}-{month:02}-{day:02}")
}

/// The first moment of a date such as `2026-11-25`, UTC, in Unix nanoseconds.
pub fn first_moment_ns(text: &str) -> Option<i64> {
    // Dates as texts have the order of the days.
    let (mut low, mut high) = (0, u16::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if date(middle).as_str() < text {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (date(low) == text).then_some(i64::from(low) * DAY_NS)
}

/// `2026-W48`: the week by ISO 8601, which begins on Monday and belongs to the year that has its
/// Thursday.
pub fn week(days: u16) -> String {
    // 1970 began on a Thursday.
    let thursday = i64::from(days) - (i64::from(days) + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil(thursday);
    let mut first = thursday;
    while civil(first - 7).0 == year {
        first -= 7;
    }
    format!("{year:04}-W{:02}", (thursday - first) / 7 + 1)
}

/// `2026-11`.
pub fn month(days: u16) -> String {
    date(days)[..7].to_owned()
}

/// The first day of the month that has this one.
pub fn first_of_month(days: u16) -> u16 {
    let (_, _, day) = civil(days.into());
    days.saturating_sub((day - 1) as u16)
}

/// The last day of the month that has this one.
pub fn last_of_month(days: u16) -> u16 {
    first_of_month(first_of_month(days).saturating_add(31)).saturating_sub(1)
}

/// `2026-11-25T01:02:03.004Z`. A time before 1970 is shown as 1970.
pub fn time(unix_ns: i64) -> String {
    let ns = unix_ns.max(0);
    let (year, month, day) = civil(ns / DAY_NS);
    let ms = ns % DAY_NS / 1_000_000;
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// `20261125T010203Z`, for names of files.
pub fn stamp(unix_ns: i64) -> String {
    let time = time(unix_ns);
    let digits: String = time[..19].chars().filter(|c| *c != '-' && *c != ':').collect();
    digits + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_note() {
        let seconds = |seconds: i64| seconds * 1_000_000_000;
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(seconds(951_782_400) + 7_000_000), "2000-02-29T00:00:00.007Z");
        assert_eq!(time(seconds(1_795_571_999)), "2026-11-25T01:59:59.000Z");
        assert_eq!(day(seconds(1_795_571_999)), "2026.11.25");
        assert_eq!(stamp(seconds(1_795_571_999)), "20261125T015959Z");
        assert_eq!(time(-5), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(i64::MAX), "2262-04-11T23:47:16.854Z");
    }

    #[test]
    fn months_begin_and_end() {
        // 2024-02-10, 2024-02-01, 2023-12-31, 1970-01-05.
        let days = [19_763, 19_754, 19_722, 4];
        assert_eq!(
            days.map(|day| date(first_of_month(day))),
            ["2024-02-01", "2024-02-01", "2023-12-01", "1970-01-01"]
        );
        assert_eq!(
            days.map(|day| date(last_of_month(day))),
            ["2024-02-29", "2024-02-29", "2023-12-31", "1970-01-31"]
        );
    }

    #[test]
    fn a_date_is_read_as_it_is_written() {
        for day in [0, 1, 59, 19_782, 20_787, 65_535] {
            assert_eq!(first_moment_ns(&date(day)), Some(i64::from(day) * DAY_NS));
        }
        for text in ["", "2026-11", "2026-02-30", "2026-11-31x", "1969-12-31", "9999-01-01", "heute"] {
            assert_eq!(first_moment_ns(text), None, "{text}");
        }
    }

    #[test]
    fn weeks_belong_to_the_year_of_their_thursday() {
        let days = [0, 3, 4, 10_956, 10_957, 10_959, 18_627, 18_630, 18_631, 20_787];
        let weeks = ["1970-W01", "1970-W01", "1970-W02", "1999-W52", "1999-W52", "2000-W01"];
        let later = ["2020-W53", "2020-W53", "2021-W01", "2026-W49"];
        let all: Vec<String> = weeks.iter().chain(&later).map(|&week| week.to_owned()).collect();
        let told: Vec<String> = days.iter().map(|&day| week(day)).collect();
        let dates: Vec<String> = days.iter().map(|&day| date(day)).collect();
        assert_eq!(told, all, "{dates:?}");
        assert_eq!((date(20_787), month(20_787)), ("2026-11-30".to_owned(), "2026-11".to_owned()));
    }
}
