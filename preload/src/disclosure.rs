//! The variables of the environment that are sent: those that OGRT_ENV names. The value of a
//! variable that looks like a secret is withheld
//! (`the_environment_goes_as_far_as_asked_and_never_a_secret`).

use crate::{glob, settings::split};

/// Sent in place of a secret value.
pub const WITHHELD: &[u8] = b"[withheld]";

/// The part of one entry of the environment that may be sent.
pub enum Disclosure {
    /// Nothing.
    Hidden,
    /// Its name.
    NameOnly,
    /// All of it.
    Whole,
}

/// Judges an entry `NAME=value` by OGRT_ENV.
pub fn disclosure(wanted: &[u8], entry: &[u8]) -> Disclosure {
    let Some((name, value)) = split(entry) else { return Disclosure::Hidden };
    let asked_for = match wanted {
        b"" | b"none" => false,
        b"all" => true,
        _ => glob::any_matches(wanted, name),
    };
    match asked_for {
        false => Disclosure::Hidden,
        true if is_secret(name) || carries_password(value) => Disclosure::NameOnly,
        true => Disclosure::Whole,
    }
}

/// Names that look like secrets, in either case.
fn is_secret(name: &[u8]) -> bool {
    let mentions = |word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    mentions(b"PASS")
        || mentions(b"SECRET")
        || mentions(b"TOKEN")
        || mentions(b"KEY")
        || mentions(b"CREDENTIAL")
        || mentions(b"PRIVATE")
        || mentions(b"AUTH")
        || mentions(b"COOKIE")
        || mentions(b"_PWD")
        || mentions(b"_PAT")
        || mentions(b"SIGNATURE")
        || mentions(b"BEARER")
}

/// A URL with user and password, `scheme://user:password@host`.
fn carries_password(value: &[u8]) -> bool {
    let Some(at) = value.windows(3).position(|part| part == b"://") else { return false };
    let authority = value.get(at + 3..).and_then(|rest| rest.split(|&byte| byte == b'/').next());
    authority.is_some_and(|authority| authority.contains(&b'@'))
}
