//! Packages of R, Julia, perl and MATLAB, by the paths of the objects that they load.
//!
//! | path | package |
//! |---|---|
//! | `/usr/lib/R/library/stats/libs/stats.so` | R, stats |
//! | `/home/u/.julia/compiled/v1.10/HDF5/f1hUF_kSS9i.so` | Julia, HDF5 |
//! | `/usr/lib/x86_64-linux-gnu/perl-base/auto/List/Util/Util.so` | Perl, List::Util |
//! | `/opt/matlab/R2024a/toolbox/images/images/imresizemex.mexa64` | MATLAB, images |

/// A language whose packages are known by paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// R, by `NAME/libs/NAME.so` in a library.
    R,
    /// Julia, by `compiled/vVERSION/NAME/` in a depot.
    Julia,
    /// Perl, by `auto/PATH/OF/NAME/NAME.so`.
    Perl,
    /// MATLAB, by `toolbox/NAME/`.
    Matlab,
}

impl Language {
    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Language::R => "R",
            Language::Julia => "Julia",
            Language::Perl => "Perl",
            Language::Matlab => "MATLAB",
        }
    }
}

/// The package that an object belongs to, by its path. The names of folders are not unique: a path
/// of another kind may look the same, so that the answer is as good as the path.
pub fn package_of_path(path: &str) -> Option<(Language, String)> {
    let parts: Vec<&str> = path.split('/').collect();
    let (file, folders) = parts.split_last()?;
    let package = r(file, folders)
        .map(|name| (Language::R, name))
        .or_else(|| julia(file, folders).map(|name| (Language::Julia, name)))
        .or_else(|| perl(file, folders).map(|name| (Language::Perl, name)))
        .or_else(|| matlab(file, folders).map(|name| (Language::Matlab, name)));
    package.filter(|(_, name)| !name.is_empty())
}

/// `library/NAME/libs/FILE.so`, and in folders of other names `NAME/libs/NAME.so`.
fn r(file: &str, folders: &[&str]) -> Option<String> {
    let [.., library, name, "libs"] = folders else { return None };
    let object = file.strip_suffix(".so")?;
    // Dots in a package's name are kept: `data.table`, whose object is `data_table.so`.
    let is_named_so = object == *name || object == name.replace('.', "_");
    (is_named_so || library.ends_with("library")).then(|| (*name).into())
}

/// `compiled/v1.10/NAME/HASH.so`.
fn julia(file: &str, folders: &[&str]) -> Option<String> {
    let [.., "compiled", version, name] = folders else { return None };
    let is_version = version
        .strip_prefix('v')
        .is_some_and(|version| version.split('.').all(|part| part.parse::<u16>().is_ok()));
    (is_version && file.ends_with(".so")).then(|| (*name).into())
}

/// `auto/List/Util/Util.so`, which is List::Util.
fn perl(file: &str, folders: &[&str]) -> Option<String> {
    let object = file.strip_suffix(".so")?;
    let auto = folders.iter().rposition(|folder| *folder == "auto")?;
    let name = folders.get(auto + 1..)?;
    (name.last() == Some(&object)).then(|| name.join("::"))
}

/// `toolbox/NAME/.../FILE.mexa64`, and libraries below it. `toolbox/matlab` and `toolbox/shared`
/// are MATLAB itself.
fn matlab(file: &str, folders: &[&str]) -> Option<String> {
    let toolbox = folders.iter().rposition(|folder| *folder == "toolbox")?;
    let name = folders.get(toolbox + 1)?;
    let is_object = [".mexa64", ".mexmaca64", ".so"].iter().any(|suffix| file.ends_with(suffix));
    (is_object && !["matlab", "shared", "local"].contains(name)).then(|| (*name).into())
}

#[cfg(test)]
mod tests {
    use super::{Language, package_of_path};

    fn package(path: &str) -> Option<(Language, String)> {
        package_of_path(path)
    }

    fn is(path: &str, language: Language, name: &str) {
        assert_eq!(package(path), Some((language, name.into())), "{path}");
    }

    #[test]
    fn packages_of_r() {
        is("/usr/lib/R/library/stats/libs/stats.so", Language::R, "stats");
        is("/usr/local/lib/R/site-library/Rcpp/libs/Rcpp.so", Language::R, "Rcpp");
        is(
            "/home/ada/R/x86_64-pc-linux-gnu-library/4.3/data.table/libs/data_table.so",
            Language::R,
            "data.table",
        );
        is("/usr/lib/R/library/grDevices/libs/cairo.so", Language::R, "grDevices");
        is("/home/ada/r-packages/xml2/libs/xml2.so", Language::R, "xml2");
        assert_eq!(package("/usr/lib/R/lib/libR.so"), None);
        assert_eq!(package("/usr/lib/R/modules/lapack.so"), None);
        assert_eq!(package("/opt/tool/libs/other.so"), None);
    }

    #[test]
    fn packages_of_julia() {
        is("/home/ada/.julia/compiled/v1.10/HDF5/f1hUF_kSS9i.so", Language::Julia, "HDF5");
        is("/opt/julia/share/julia/compiled/v1.11/Dates/p8See_0a1bc.so", Language::Julia, "Dates");
        assert_eq!(package("/opt/julia-1.10.0/lib/julia/libopenblas64_.so"), None);
        assert_eq!(package("/home/ada/.julia/artifacts/2829a1f6/lib/libhdf5.so"), None);
        assert_eq!(package("/home/ada/compiled/vector/App/app.so"), None);
    }

    #[test]
    fn packages_of_perl() {
        is("/usr/lib/x86_64-linux-gnu/perl-base/auto/List/Util/Util.so", Language::Perl, "List::Util");
        is("/usr/lib/x86_64-linux-gnu/perl/5.36/auto/POSIX/POSIX.so", Language::Perl, "POSIX");
        is("/usr/lib64/perl5/vendor_perl/auto/DBI/DBI.so", Language::Perl, "DBI");
        assert_eq!(package("/home/ada/auto/engine/libengine.so"), None);
        assert_eq!(package("/opt/auto/x.so"), None);
    }

    #[test]
    fn toolboxes_of_matlab() {
        let path = "/opt/matlab/R2024a/toolbox/images/images/private/imreconstructmex.mexa64";
        is(path, Language::Matlab, "images");
        let path = "/opt/matlab/R2024a/toolbox/stats/bin/glnxa64/libmwstats.so";
        is(path, Language::Matlab, "stats");
        assert_eq!(package("/opt/matlab/R2024a/toolbox/matlab/elfun/sin.mexa64"), None);
        assert_eq!(package("/opt/matlab/R2024a/bin/glnxa64/libmwmcr.so"), None);
        assert_eq!(package("/opt/matlab/R2024a/toolbox/images/readme.txt"), None);
    }

    #[test]
    fn other_paths() {
        for path in ["", "/", "libs/libs.so", "/usr/lib/x86_64-linux-gnu/libc.so.6", "auto/.so", "//libs/.so"]
        {
            assert_eq!(package(path), None, "{path}");
        }
    }
}
