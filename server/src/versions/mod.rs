//! Versions of software, in the order of whoever packaged it, and conditions on them.
//!
//! ```text
//! <1.2            older than 1.2
//! >=5.6.0,<5.6.2  both
//! 1.0||<0.9       one of them
//! ```
//! dpkg, RPM and Python each have an order of their own, and a site that asks for `<1.2` means the
//! packager's. All else is compared as people number releases ([`release`]).

mod debian;
mod python;
mod release;
mod rpm;

use std::cmp::Ordering;

/// Longest condition, in bytes, and most parts of it.
const CONDITION_MAX: usize = 4096;
const PARTS_MAX: usize = 256;

/// Whose order versions have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionScheme {
    Debian,
    Rpm,
    Python,
    #[default]
    Release,
}

impl VersionScheme {
    /// The order of a packager, as learned files name it.
    pub fn of_packager(packager: &str) -> Self {
        match packager {
            "dpkg" => VersionScheme::Debian,
            "rpm" => VersionScheme::Rpm,
            "python" => VersionScheme::Python,
            _ => VersionScheme::Release,
        }
    }

    /// Compares two versions.
    pub fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            VersionScheme::Debian => debian::compare(one, other),
            VersionScheme::Rpm => rpm::compare(one, other),
            VersionScheme::Python => python::compare(one, other),
            VersionScheme::Release => release::compare(one, other),
        }
    }
}

/// A condition on versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionCondition {
    /// One of these, of which all parts hold.
    any: Vec<Vec<(Relation, String)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// The ways to write them, the longer ones first.
const RELATIONS: [(&str, Relation); 8] = [
    ("<=", Relation::LessOrEqual),
    (">=", Relation::GreaterOrEqual),
    ("!=", Relation::NotEqual),
    ("==", Relation::Equal),
    ("=", Relation::Equal),
    ("<", Relation::Less),
    (">", Relation::Greater),
    ("", Relation::Equal),
];

impl VersionCondition {
    /// Reads one; the error says what was expected.
    pub fn read(text: &str) -> Result<Self, String> {
        let expected = || format!("{text}: expected a condition on versions, such as <1.2 or >=5.6.0,<5.6.2");
        if text.len() > CONDITION_MAX {
            return Err(format!("a condition on versions has at most {CONDITION_MAX} bytes"));
        }
        let part = |part: &str| {
            let part = part.trim();
            let (sign, relation) = RELATIONS.iter().find(|(sign, _)| part.starts_with(sign))?;
            let version = part[sign.len()..].trim();
            let is_version = !version.is_empty() && !version.contains(['<', '>', '=', '!', '|']);
            is_version.then(|| (*relation, version.to_owned()))
        };
        let all = |all: &str| all.split(',').map(part).collect::<Option<Vec<_>>>();
        let any: Vec<_> = text.split("||").map(all).collect::<Option<_>>().ok_or_else(expected)?;
        if any.iter().map(Vec::len).sum::<usize>() > PARTS_MAX {
            return Err(format!("a condition on versions has at most {PARTS_MAX} parts"));
        }
        Ok(VersionCondition { any })
    }

    /// True if a version meets it, in this order. An unknown version meets none.
    pub fn holds(&self, version: &str, scheme: VersionScheme) -> bool {
        let holds = |(relation, other): &(Relation, String)| {
            let order = scheme.compare(version, other);
            match relation {
                Relation::Less => order.is_lt(),
                Relation::LessOrEqual => order.is_le(),
                Relation::Equal => order.is_eq(),
                Relation::NotEqual => order.is_ne(),
                Relation::GreaterOrEqual => order.is_ge(),
                Relation::Greater => order.is_gt(),
            }
        };
        !version.is_empty() && self.any.iter().any(|all| all.iter().all(holds))
    }
}

/// Takes what fits off the front.
fn take_while<'a>(text: &mut &'a str, fits: impl Fn(char) -> bool) -> &'a str {
    let end = text.find(|letter| !fits(letter)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

/// Compares numbers of any length.
fn compare_digits(one: &str, other: &str) -> Ordering {
    let [one, other] = [one, other].map(|digits| digits.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the versions are in ascending order.
    pub fn ascend(scheme: VersionScheme, versions: &[&str]) {
        for (at, one) in versions.iter().enumerate() {
            for (behind, other) in versions.iter().enumerate() {
                assert_eq!(scheme.compare(one, other), at.cmp(&behind), "{scheme:?}: {one} and {other}");
            }
        }
    }

    #[test]
    fn a_condition_holds_as_it_is_written() {
        let holds = |condition: &str, version: &str| {
            VersionCondition::read(condition).unwrap().holds(version, VersionScheme::Release)
        };
        assert!(holds("<1.2", "1.1.9") && !holds("<1.2", "1.2") && holds("<=1.2", "1.2"));
        assert!(holds(">= 5.6.0, <5.6.2", "5.6.1") && !holds(">=5.6.0,<5.6.2", "5.6.2"));
        assert!(holds("1.0||<0.9", "1.0") && holds("=1.0||<0.9", "0.8") && !holds("1.0||<0.9", "0.95"));
        assert!(holds("!=3", "4") && !holds("!=3", "3.0.0") && holds("==3", "3") && holds(">3", "3.0.1"));
        assert!(!holds("!=3", ""), "an unknown version");
        for bad in ["", "<", "<1.2,", "<1.2||", "<<1", "=<1", "1|2", &"1,".repeat(3000)] {
            assert!(VersionCondition::read(bad).is_err(), "{bad}");
        }
        assert!(VersionCondition::read(&vec!["<1"; PARTS_MAX].join(",")).is_ok());
        assert!(VersionCondition::read(&vec!["<1"; PARTS_MAX + 1].join(",")).is_err());
    }

    #[test]
    fn every_order_is_one_for_whatever_texts() {
        let texts =
            ["", "1", "01", "a", "1a", "1.a", "~", "^", "1~", "-", "é1", "1:2", ":", "1.0", "..", "1e9"];
        for scheme in
            [VersionScheme::Debian, VersionScheme::Rpm, VersionScheme::Python, VersionScheme::Release]
        {
            for one in texts {
                assert_eq!(scheme.compare(one, one), Ordering::Equal);
                for other in texts {
                    let order = scheme.compare(one, other);
                    assert_eq!(order, scheme.compare(other, one).reverse(), "{scheme:?} {one} {other}");
                    for third in texts {
                        if order.is_lt() && scheme.compare(other, third).is_lt() {
                            assert!(scheme.compare(one, third).is_lt(), "{scheme:?} {one} {other} {third}");
                        }
                    }
                }
            }
        }
    }
}
