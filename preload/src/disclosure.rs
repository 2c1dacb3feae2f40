//! The variables of the environment that are sent: those that OGRT_ENV names. The value of a
//! variable that looks like a secret is withheld
//! (`the_environment_goes_as_far_as_asked_and_never_a_secret`).

use crate::{glob, variables::split};

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
    const WORDS: &[u8] = b"PASS:SECRET:TOKEN:KEY:CREDENTIAL:PRIVATE:AUTH:COOKIE:_PWD:_PAT:SIGNATURE:BEARER";
    const EITHER_CASE: u8 = !0x20;
    glob::entries(WORDS).any(|word| glob::find(name, word, EITHER_CASE).is_some())
}

/// A URL with user and password, `scheme://user:password@host`.
fn carries_password(value: &[u8]) -> bool {
    let Some(at) = glob::find(value, b"://", u8::MAX) else { return false };
    let rest = value.get(at + 3..).unwrap_or_default();
    rest.iter().find(|&&byte| byte == b'/' || byte == b'@') == Some(&b'@')
}
