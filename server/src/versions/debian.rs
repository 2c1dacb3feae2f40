//! The order of dpkg: deb-version(7).

use super::{compare_digits, take_while};
use std::cmp::Ordering;

/// Compares `[epoch:]upstream[-revision]`. A missing epoch is 0, a missing revision too.
pub fn compare(one: &str, other: &str) -> Ordering {
    let ([epoch, upstream, revision], other) = (parts(one), parts(other));
    compare_digits(epoch, other[0])
        .then_with(|| compare_part(upstream, other[1]))
        .then_with(|| compare_part(revision, other[2]))
}

fn parts(version: &str) -> [&str; 3] {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
        _ => ("", version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    [epoch, upstream, revision]
}

/// Texts and numbers in turn. A tilde is before the end, letters are before all other signs.
fn compare_part(mut one: &str, mut other: &str) -> Ordering {
    let rank = |letter: Option<char>| match letter {
        Some('~') => (0, '~'),
        None => (1, ' '),
        Some(letter) if letter.is_ascii_alphabetic() => (2, letter),
        Some(letter) => (3, letter),
    };
    while !one.is_empty() || !other.is_empty() {
        let is_text = |letter: char| !letter.is_ascii_digit();
        let (mut a, mut b) = (take_while(&mut one, is_text).chars(), take_while(&mut other, is_text).chars());
        loop {
            let (a, b) = (a.next(), b.next());
            match rank(a).cmp(&rank(b)) {
                Ordering::Equal if a.is_none() => break,
                Ordering::Equal => {}
                order => return order,
            }
        }
        let is_digit = |letter: char| letter.is_ascii_digit();
        let order = compare_digits(take_while(&mut one, is_digit), take_while(&mut other, is_digit));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::{
        super::{VersionScheme::Debian, tests::ascend},
        *,
    };

    #[test]
    fn versions_are_in_the_order_of_dpkg() {
        ascend(
            Debian,
            &[
                "~~",
                "~~a",
                "~",
                "",
                "1.0~beta1~svn1245",
                "1.0~beta1",
                "1.0",
                "1.0-0.1",
                "1.0-1~bpo11+1",
                "1.0-1",
                "1.0-1+deb12u1",
                "1.0a",
                "1.0+dfsg-1",
                "1.2.3-4",
                "1.10-1",
                "5.4.1-0.2",
                "5.6.1+really5.4.5-1",
                "9.1-1",
                "10",
                "1:0.1",
            ],
        );
        assert_eq!(compare("1.0", "0:1.0-0"), Ordering::Equal);
        assert_eq!(compare("1.01", "1.1"), Ordering::Equal);
    }
}
