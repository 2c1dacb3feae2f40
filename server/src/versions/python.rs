//! The order of Python packages: PEP 440. What is no such version is before all that are, in the
//! order of releases.

use super::release;
use pep440_rs::Version;
use std::{cmp::Ordering, str::FromStr};

/// Compares two versions.
pub fn compare(one: &str, other: &str) -> Ordering {
    match (Version::from_str(one), Version::from_str(other)) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        (Err(_), Err(_)) => release::compare(one, other),
        (one, other) => one.is_ok().cmp(&other.is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{VersionScheme::Python, tests::ascend},
        *,
    };

    #[test]
    fn versions_are_in_the_order_of_pep_440() {
        ascend(
            Python,
            &[
                "no version",
                "1.0.dev1",
                "1.0a1",
                "1.0b2",
                "1.0rc1",
                "1.0",
                "1.0+local",
                "1.0.post1",
                "1.1",
                "1!0.1",
            ],
        );
        assert_eq!(compare("1.0", "v1.0.0"), Ordering::Equal);
    }
}
