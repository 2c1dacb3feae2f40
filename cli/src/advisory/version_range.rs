//! Ranges of versions as CSAF writes them: `vers:deb/>=1.0|<1.2`, or without what stands in front.
//!
//! A bar separates the bounds, which stand in the order of versions. A lower bound and the upper
//! one behind it are an interval; versions alone are these versions.

/// Most bounds of a range.
const BOUNDS_MAX: usize = 64;

/// The same as a condition on versions, empty where all fit; `None` where it cannot be read.
pub fn condition(text: &str) -> Option<String> {
    let bounds = match text.strip_prefix("vers:") {
        Some(rest) => rest.split_once('/')?.1,
        None => text,
    };
    let bounds: Vec<&str> = bounds.split('|').map(str::trim).filter(|bound| !bound.is_empty()).collect();
    if bounds == ["*"] {
        return Some(String::new());
    }
    if bounds.is_empty() || bounds.len() > BOUNDS_MAX {
        return None;
    }
    let (mut any, mut without, mut lower) = (Vec::new(), Vec::new(), None);
    for bound in bounds {
        let version = bound.trim_start_matches(['<', '>', '=', '!']);
        let (sign, version) = (&bound[..bound.len() - version.len()], decoded(version.trim())?);
        match sign {
            "" | "=" => any.push(format!("={version}")),
            "!=" => without.push(format!("!={version}")),
            ">" | ">=" => drop(lower.get_or_insert(format!("{sign}{version}"))),
            "<" | "<=" => any.push(match lower.take() {
                Some(lower) => format!("{lower},{sign}{version}"),
                None => format!("{sign}{version}"),
            }),
            _ => return None,
        }
    }
    any.extend(lower);
    if any.is_empty() {
        return Some(without.join(","));
    }
    let with = |one: &String| [std::slice::from_ref(one), &without].concat().join(",");
    Some(any.iter().map(with).collect::<Vec<_>>().join("||"))
}

/// The version with its percent-encoded bytes; `None` where it is no version.
pub fn decoded(version: &str) -> Option<String> {
    let version = crate::package_url::decoded(version)?;
    let is_version = !version.is_empty() && !version.contains(|c: char| " <>=!|,*".contains(c));
    is_version.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_condition() {
        for (range, expected) in [
            ("vers:deb/<5.4.1-0.2%2Bdeb12u1", Some("<5.4.1-0.2+deb12u1")),
            ("vers:pypi/>=1.0|<1.2|1.3|>=2.0|<=2.4", Some(">=1.0,<1.2||=1.3||>=2.0,<=2.4")),
            ("vers:rpm/>=1.0", Some(">=1.0")),
            ("vers:rpm/!=1.1|>=1.0|<2", Some(">=1.0,<2,!=1.1")),
            ("vers:generic/*", Some("")),
            (">=8.0.0|<8.1.5", Some(">=8.0.0,<8.1.5")),
            ("<= 2", Some("<=2")),
            ("all versions before 2", None),
            ("vers:rpm", None),
            ("<>1", None),
            ("<", None),
            ("", None),
        ] {
            assert_eq!(condition(range).as_deref(), expected, "{range}");
        }
    }
}
