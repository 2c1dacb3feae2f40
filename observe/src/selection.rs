//! Which processes are looked at: those of jobs or all, and of which users.

use std::{ops::RangeInclusive, str::FromStr};

/// Users, as ranges of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRanges(Vec<RangeInclusive<u32>>);

impl UserRanges {
    /// True if the user is in one of them.
    pub fn has(&self, uid: u32) -> bool {
        self.0.iter().any(|range| range.contains(&uid))
    }
}

impl Default for UserRanges {
    fn default() -> Self {
        UserRanges(vec![0..=u32::MAX])
    }
}

/// The error of a text that names no users.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not a user's number or a range of numbers: expected for example 1000-60000,70001")]
pub struct ParseUserRangesError(String);

impl FromStr for UserRanges {
    type Err = ParseUserRangesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last).then_some(first..=last)
        };
        let ranges = text.split(',').map(|part| range(part).ok_or_else(|| ParseUserRangesError(part.into())));
        Ok(UserRanges(ranges.collect::<Result<_, _>>()?))
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Processes outside of jobs are looked at as well.
    pub all: bool,
    /// The users.
    pub users: UserRanges,
}

impl Selection {
    /// True if a process of this user is looked at. `in_job`: a variable names its job.
    pub fn has(&self, uid: u32, in_job: bool) -> bool {
        (self.all || in_job) && self.users.has(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_users_are_read() {
        let users: UserRanges = "1000-60000, 70001".parse().unwrap();
        for (uid, expected) in
            [(0, false), (999, false), (1000, true), (60000, true), (60001, false), (70001, true)]
        {
            assert_eq!(users.has(uid), expected, "{uid}");
        }
        for wrong in ["", "ada", "5-", "9-3", "1,,2", "-1", "4294967296"] {
            assert!(wrong.parse::<UserRanges>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn jobs_alone_unless_all_are_wanted() {
        let jobs = Selection { all: false, users: "1000-2000".parse().unwrap() };
        assert!(jobs.has(1500, true) && !jobs.has(1500, false) && !jobs.has(5, true));
        assert!(Selection::default().users.has(0));
    }
}
