//! The packages that the Pythons of a process have imported, by their names.
//!
//! A process is read only where something that it has mapped lies on a path with `python` in it:
//! the interpreter, its library, or an extension module.

use crate::python::{pythons_within, top_level_packages};
use std::{collections::BTreeSet, time::Duration};

/// The time that one reading may take. It is less than a millisecond, unless the process keeps the
/// kernel waiting.
const WITHIN: Duration = Duration::from_millis(200);

/// Names of one process, at most.
const PACKAGES_MAX: usize = 2048;

/// The packages of a process that has these paths mapped. Modules of the standard library and
/// private ones are none.
pub fn python_packages<'p>(pid: u32, mut paths: impl Iterator<Item = &'p [u8]>) -> BTreeSet<String> {
    if !paths.any(names_python) {
        return BTreeSet::new();
    }
    let pythons = pythons_within(pid, WITHIN).unwrap_or_default();
    let packages = pythons.iter().flat_map(|python| {
        top_level_packages(python.version, python.modules.iter().map(String::as_str)).into_iter()
    });
    packages.take(PACKAGES_MAX).map(str::to_owned).collect()
}

fn names_python(path: &[u8]) -> bool {
    path.windows(6).any(|part| part == b"python")
}

#[cfg(test)]
mod tests {
    use super::names_python;

    #[test]
    fn a_python_is_recognised_by_what_it_has_mapped() {
        for path in ["/usr/bin/python3.11", "/opt/conda/lib/libpython3.12.so.1.0", "/usr/lib/python3/x.so"] {
            assert!(names_python(path.as_bytes()), "{path}");
        }
        assert!(!names_python(b"/usr/bin/perl") && !names_python(b""));
    }
}
