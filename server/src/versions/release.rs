//! The order in which people number releases: `2024.3`, `4.1.5rc2`, `1.2.3-beta.1`, `2023b`.
//!
//! Numbers and words in turn. A number is behind a word, except that words of a release that is
//! still to come (`alpha`, `beta`, `rc`, `pre`, `dev`) are before the end. Zeros at the end, or
//! before a word, count for nothing. What follows a `+` names the same release, as semantic
//! versions have it.

use super::{compare_digits, take_while};
use std::cmp::Ordering;

/// Words before a release, in their order.
const BEFORE: [&[&str]; 5] =
    [&["dev"], &["a", "alpha"], &["b", "beta"], &["pre", "preview", "snapshot"], &["c", "rc"]];

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Before(usize),
    End,
    Word(String),
    Number(&'a str),
}

/// Compares two versions.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    for at in 0..one.len().max(other.len()) {
        let (one, other) = (one.get(at).unwrap_or(&Part::End), other.get(at).unwrap_or(&Part::End));
        let order = match (one, other) {
            (Part::Before(one), Part::Before(other)) => one.cmp(other),
            (Part::Word(one), Part::Word(other)) => one.cmp(other),
            (Part::Number(one), Part::Number(other)) => compare_digits(one, other),
            _ => rank(one).cmp(&rank(other)),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn rank(part: &Part<'_>) -> u8 {
    match part {
        Part::Before(_) => 0,
        Part::End => 1,
        Part::Word(_) => 2,
        Part::Number(_) => 3,
    }
}

fn parts(version: &str) -> Vec<Part<'_>> {
    let mut rest = version.split('+').next().unwrap_or_default();
    if let Some(number) =
        rest.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        rest = number;
    }
    let mut parts = Vec::new();
    loop {
        take_while(&mut rest, |letter| !letter.is_alphanumeric());
        let Some(first) = rest.chars().next() else { break };
        if first.is_ascii_digit() {
            parts.push(Part::Number(take_while(&mut rest, |letter| letter.is_ascii_digit())));
            continue;
        }
        let word = take_while(&mut rest, |letter| letter.is_alphanumeric() && !letter.is_ascii_digit());
        let word = word.to_lowercase();
        without_last_zeros(&mut parts);
        // `2023b` is a release: only between numbers, or behind a sign, is a letter one to come.
        let is_lone = word.len() == 1 && !rest.starts_with(|letter: char| letter.is_ascii_digit());
        match BEFORE.iter().position(|words| words.contains(&word.as_str())).filter(|_| !is_lone) {
            Some(before) => parts.push(Part::Before(before)),
            None => parts.push(Part::Word(word)),
        }
    }
    without_last_zeros(&mut parts);
    parts
}

/// Removes numbers at the end that are zero.
fn without_last_zeros(parts: &mut Vec<Part<'_>>) {
    let is_zero = |part: &Part<'_>| matches!(part, Part::Number(digits) if digits.bytes().all(|b| b == b'0'));
    while parts.last().is_some_and(is_zero) {
        parts.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{VersionScheme::Release, tests::ascend},
        *,
    };

    #[test]
    fn releases_are_in_the_order_in_which_they_came() {
        ascend(
            Release,
            &[
                "0.9",
                "1.0-dev",
                "1.0-alpha.1",
                "1.0-alpha.2",
                "1.0b1",
                "1.0rc1",
                "1.0-rc.2",
                "1.0",
                "1.0.1",
                "1.2",
                "1.10",
                "2.0",
                "2023a",
                "2023b",
                "2024.1",
                "2024.3",
            ],
        );
        for (one, other) in [("1.0", "1"), ("v1.2", "1.2.0"), ("1.2.3+build.7", "1.2.3"), ("1_2", "1.2")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
        assert_eq!(compare("1.1.1k", "1.1.1l"), Ordering::Less);
        assert_eq!(compare("1.1.1", "1.1.1k"), Ordering::Less);
    }
}
