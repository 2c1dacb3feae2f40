//! Our environment, read once.
//!
//! A wrapper asks for some thirty variables, and hands all of them on. Each question to the C
//! library walks through all that are set, and std copies all for each list of them. With 35
//! variables, both together were half of the instructions before a linker starts. No code of ours
//! changes the environment of its own process.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::OnceLock;

static ALL: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Every variable and its value, in the order in which they were given to us.
pub fn all() -> &'static [(OsString, OsString)] {
    ALL.get_or_init(|| std::env::vars_os().collect())
}

/// The value of a variable. If it is set twice, the first value counts, as for getenv(3).
pub fn var(name: &str) -> Option<&'static OsStr> {
    all().iter().find(|(set, _)| set == name).map(|(_, value)| value.as_os_str())
}

/// The variable is set to `1`.
pub fn is_on(name: &str) -> bool {
    var(name).is_some_and(|value| value == "1")
}

/// The variable's value, unless it is unset or empty.
pub fn non_empty(name: &str) -> Option<&'static OsStr> {
    var(name).filter(|value| !value.is_empty())
}

/// `TMPDIR`, if it is absolute: a relative one would put our files into the build's directory.
pub fn temporary_directory() -> Option<PathBuf> {
    var("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_what_std_says() {
        assert!(!all().is_empty());
        for (name, value) in std::env::vars_os() {
            let text = name.to_str().expect("the test's variables have plain names").to_owned();
            assert_eq!(var(&text), std::env::var_os(&text).as_deref());
            assert!(all().contains(&(name, value)));
        }
        assert_eq!(var("OGRT_TEST_NO_SUCH_VARIABLE"), None);
    }
}
