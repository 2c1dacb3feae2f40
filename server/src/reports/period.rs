//! Which days a report reads, and which months: whole months as months, which are far fewer rows,
//! and the rest by day.

use crate::dates;
use std::ops::Range;

/// The days of a report, as numbers of days since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// Months, from the first day of one to the first day of another.
    months: (u16, u16),
    /// Days before the months, and behind them.
    days: [(u16, u16); 2],
}

impl Period {
    /// Days from `first` on and before `behind`. Of months before `days_since` no days are kept, so
    /// they are read as a whole. `tells_days`: what can be read by day has to be.
    pub fn new(first: u16, behind: u16, days_since: u16, tells_days: bool) -> Self {
        if behind <= first {
            return Period { months: (0, 0), days: [(0, 0); 2] };
        }
        // The first month of which the period has all.
        let whole = match dates::first_of_month(first) {
            month if month == first => first,
            month => dates::last_of_month(month).saturating_add(1),
        };
        let end = if behind == u16::MAX { behind } else { dates::first_of_month(behind) };
        let months = match first < days_since {
            true => (dates::first_of_month(first), end.max(days_since.min(behind))),
            false => (whole.min(end), end),
        };
        let months = if tells_days { (months.0, months.1.min(days_since)) } else { months };
        let months = if months.0 < months.1 { months } else { (first, first) };
        Period { months, days: [(first, months.0.max(first)), (months.1.max(first), behind)] }
    }

    /// The months, by their first days.
    pub fn months(&self) -> impl Iterator<Item = Range<u16>> + use<> {
        Some(self.months).into_iter().filter(|(from, to)| from < to).map(|(from, to)| from..to)
    }

    /// The days.
    pub fn days(&self) -> impl Iterator<Item = Range<u16>> + use<> {
        self.days.into_iter().filter(|(from, to)| from < to).map(|(from, to)| from..to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-01-01.
    const JANUARY: u16 = 20_089;
    const FEBRUARY: u16 = JANUARY + 31;
    const MARCH: u16 = FEBRUARY + 28;
    const APRIL: u16 = MARCH + 31;

    type Days = Vec<(u16, u16)>;

    fn read(first: u16, behind: u16, days_since: u16, tells_days: bool) -> [Days; 2] {
        let period = Period::new(first, behind, days_since, tells_days);
        let bounds = |days: Range<u16>| (days.start, days.end);
        [period.months().map(bounds).collect(), period.days().map(bounds).collect()]
    }

    #[test]
    fn whole_months_are_read_as_months_and_the_rest_by_day() {
        let all = read(JANUARY, APRIL, 0, false);
        assert_eq!(all, [vec![(JANUARY, APRIL)], vec![]]);
        let with_ends = read(JANUARY + 5, APRIL + 3, 0, false);
        assert_eq!(with_ends, [vec![(FEBRUARY, APRIL)], vec![(JANUARY + 5, FEBRUARY), (APRIL, APRIL + 3)]]);
        assert_eq!(read(JANUARY + 5, JANUARY + 9, 0, false), [vec![], vec![(JANUARY + 5, JANUARY + 9)]]);
        assert_eq!(read(JANUARY + 5, FEBRUARY + 9, 0, false), [vec![], vec![(JANUARY + 5, FEBRUARY + 9)]]);
        assert_eq!(read(0, u16::MAX, 0, false), [vec![(0, u16::MAX)], vec![]]);
        assert_eq!(read(MARCH + 2, u16::MAX, 0, false), [vec![(APRIL, u16::MAX)], vec![(MARCH + 2, APRIL)]]);
        assert_eq!(read(JANUARY, APRIL, 0, true), [vec![], vec![(JANUARY, APRIL)]]);
        assert_eq!(read(APRIL, APRIL, 0, false), [vec![], vec![]]);
    }

    #[test]
    fn months_whose_days_are_gone_are_read_as_a_whole() {
        // January and February have no days any more.
        assert_eq!(read(JANUARY + 5, JANUARY + 9, MARCH, false), [vec![(JANUARY, JANUARY + 9)], vec![]]);
        let later = read(JANUARY + 5, MARCH + 9, MARCH, false);
        assert_eq!(later, [vec![(JANUARY, MARCH)], vec![(MARCH, MARCH + 9)]]);
        assert_eq!(
            read(FEBRUARY + 5, APRIL + 9, MARCH, true),
            [vec![(FEBRUARY, MARCH)], vec![(MARCH, APRIL + 9)]]
        );
        assert_eq!(read(MARCH + 1, APRIL, MARCH, false), [vec![], vec![(MARCH + 1, APRIL)]]);
    }
}
