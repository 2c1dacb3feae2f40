//! From the names of modules to the packages that somebody installed.

use super::{standard_library::is_standard, version::PythonVersion};
use std::collections::BTreeSet;

/// Modules of no package: what sites and tools put in.
const NOBODYS: [&str; 4] = ["cython_runtime", "distutils", "sitecustomize", "usercustomize"];

/// The top-level names among modules that come neither with Python nor with the program itself:
/// `numpy` of `numpy.linalg`. Names that begin with `_` are private, `__main__` among them. A
/// user's own modules are still there: only what is installed says which is which.
pub fn top_level_packages<'n>(
    version: PythonVersion,
    modules: impl IntoIterator<Item = &'n str>,
) -> BTreeSet<&'n str> {
    let is_package = |name: &&str| {
        is_identifier(name)
            && !name.starts_with('_')
            && !NOBODYS.contains(name)
            && !is_standard((version.major, version.minor), name)
    };
    modules.into_iter().filter_map(|name| name.split('.').next()).filter(is_package).collect()
}

fn is_identifier(name: &str) -> bool {
    name.chars().all(|character| character.is_alphanumeric() || character == '_')
        && name.starts_with(|first: char| !first.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::{PythonVersion, top_level_packages};

    fn packages(major: u8, minor: u8, modules: &str) -> String {
        let packages = top_level_packages(PythonVersion::new(major, minor), modules.split(' '));
        packages.into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn packages_are_named_once_and_what_comes_with_python_is_not() {
        let modules = "__main__ _abc _cffi_backend builtins encodings.utf_8 json.decoder numpy numpy.linalg \
                       numpy.linalg._umath_linalg os.path sys yaml zipimport distutils";
        assert_eq!(packages(3, 11, modules), "numpy yaml");
    }

    #[test]
    fn a_module_belongs_to_the_versions_that_had_it() {
        assert_eq!(packages(3, 6, "dataclasses zoneinfo"), "dataclasses zoneinfo");
        assert_eq!(packages(3, 8, "dataclasses zoneinfo"), "zoneinfo");
        assert_eq!(packages(3, 13, "dataclasses zoneinfo cgi tomllib"), "cgi");
        assert_eq!(packages(3, 10, "cgi tomllib"), "tomllib");
        assert_eq!(packages(2, 7, "ConfigParser asyncio enum cPickle"), "asyncio enum");
        assert_eq!(packages(3, 20, "tomllib cgi annotationlib"), "cgi", "as in the newest known");
    }

    #[test]
    fn what_is_no_name_of_a_module_is_left_out() {
        assert_eq!(packages(3, 11, ".. a-b 3d a\nb \u{fc}ber x.y z"), "x z \u{fc}ber");
    }
}
