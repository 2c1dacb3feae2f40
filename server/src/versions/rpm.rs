//! The order of RPM: rpm-version(7).

use super::{compare_digits, take_while};
use std::cmp::Ordering;

/// Compares `[epoch:]version[-release]`. A missing epoch is 0; a missing release is any.
pub fn compare(one: &str, other: &str) -> Ordering {
    let ([epoch, version, release], other) = (parts(one), parts(other));
    let of_releases = || match release.is_empty() || other[2].is_empty() {
        // A total order all the same: whoever has none is before.
        true => release.is_empty().cmp(&other[2].is_empty()).reverse(),
        false => compare_part(release, other[2]),
    };
    compare_digits(epoch, other[0]).then_with(|| compare_part(version, other[1])).then_with(of_releases)
}

fn parts(text: &str) -> [&str; 3] {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
        _ => ("", text),
    };
    let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
    [epoch, version, release]
}

/// Numbers and words in turn, whatever stands between. A tilde is before the end, a caret behind it
/// and before all else, a number behind a word.
fn compare_part(mut one: &str, mut other: &str) -> Ordering {
    let is_between = |letter: char| !letter.is_ascii_alphanumeric() && !['~', '^'].contains(&letter);
    loop {
        take_while(&mut one, is_between);
        take_while(&mut other, is_between);
        let rank = |text: &str| match text.chars().next() {
            Some('~') => 0,
            None => 1,
            Some('^') => 2,
            Some(letter) if letter.is_ascii_alphabetic() => 3,
            Some(_) => 4,
        };
        let kind = rank(one);
        match kind.cmp(&rank(other)) {
            Ordering::Equal => {}
            order => return order,
        }
        let order = match kind {
            1 => return Ordering::Equal,
            0 | 2 => {
                (one, other) = (&one[1..], &other[1..]);
                Ordering::Equal
            }
            3 => {
                let is_word = |letter: char| letter.is_ascii_alphabetic();
                take_while(&mut one, is_word).cmp(take_while(&mut other, is_word))
            }
            _ => {
                let is_digit = |letter: char| letter.is_ascii_digit();
                compare_digits(take_while(&mut one, is_digit), take_while(&mut other, is_digit))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{VersionScheme::Rpm, tests::ascend},
        *,
    };

    #[test]
    fn versions_are_in_the_order_of_rpm() {
        ascend(
            Rpm,
            &[
                "1.0~rc1",
                "1.0~rc1^git1",
                "1.0",
                "1.0-1",
                "1.0-1.el9",
                "1.0-2",
                "1.0^",
                "1.0^git1",
                "1.0^git1~pre",
                "1.0a",
                "1.0.1",
                "1.10",
                "2.0.1a",
                "2.0.1",
                "5.2.5-3.el9",
                "5.2.5-8.el9",
                "1:0.5",
            ]
            // The last ones of these are where RPM's own tests have them.
            .iter()
            .copied()
            .filter(|version| !["1.0^git1~pre", "2.0.1a", "2.0.1"].contains(version))
            .collect::<Vec<_>>(),
        );
        let orders =
            [("1.0^git1", "1.0^git1~pre"), ("2.0.1a", "2.0.1"), ("10xyz", "10.1xyz"), ("xyz.4", "8")];
        assert_eq!(
            orders.map(|(one, other)| compare(one, other)),
            [Ordering::Greater, Ordering::Greater, Ordering::Less, Ordering::Less]
        );
        assert_eq!(compare("0:1_0", "1.0"), Ordering::Equal);
    }
}
