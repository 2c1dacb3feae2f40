//! What Spack's compiler wrapper has in its environment, where nobody set OGRT_META_*.
//!
//! Spack tells its own `cc` the spec in short and where to install; it then runs us with the same
//! environment. Name, version and compiler are in SPACK_SHORT_SPEC, with seven characters of the
//! hash; the whole hash ends the name of the prefix, whose `lib` is the first of
//! SPACK_STORE_RPATH_DIRS (before Spack 0.23: of SPACK_RPATH_DIRS). A site may name its prefixes
//! otherwise; then only the seven characters are known.

use crate::environment;
use ogrt_proto::BuildMetadata;
use std::path::{Component, Path};

/// The letters of a hash in base 32, as Spack writes it.
const HASH_LEN: usize = 32;

/// The metadata of this process; `None` where Spack did not call us.
pub fn from_environment() -> Option<BuildMetadata> {
    let text = |name: &str| environment::var(name)?.to_str().map(str::to_owned);
    let rpath_dirs = text("SPACK_STORE_RPATH_DIRS").or_else(|| text("SPACK_RPATH_DIRS"));
    metadata(&text("SPACK_SHORT_SPEC")?, rpath_dirs.as_deref().unwrap_or_default())
}

fn metadata(short_spec: &str, rpath_dirs: &str) -> Option<BuildMetadata> {
    let spec = ShortSpec::read(short_spec)?;
    let short_hash = spec.hash.unwrap_or_default();
    let whole = rpath_dirs.split(':').next().and_then(hash_in).filter(|hash| hash.starts_with(short_hash));
    let package_id = whole.or(Some(short_hash)).filter(|hash| !hash.is_empty());
    Some(BuildMetadata {
        name: Some(spec.name.to_owned()),
        version: spec.version.map(str::to_owned),
        toolchain: spec.compiler,
        package_manager: Some("spack".to_owned()),
        package_id: package_id.map(str::to_owned),
        ..BuildMetadata::default()
    })
}

/// What a short spec says (Spack, `spack.spec_parser`): `NAME@VERSION %COMPILER +VARIANT KEY=VALUE
/// arch=TRIPLE/HASH`. Spaces and quotes separate; values may hold anything but spaces.
#[derive(Debug, Default, PartialEq, Eq)]
struct ShortSpec<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// `gcc@12.2.0`.
    compiler: Option<String>,
    hash: Option<&'a str>,
}

impl<'a> ShortSpec<'a> {
    fn read(text: &'a str) -> Option<ShortSpec<'a>> {
        let (name, mut rest) = split_word(text.trim_start(), is_name);
        let mut spec = ShortSpec { name, ..ShortSpec::default() };
        if name.is_empty() {
            return None;
        }
        while let Some(sign) = rest.chars().next() {
            let after = &rest[sign.len_utf8()..];
            rest = match sign {
                '@' => {
                    let (version, rest) = version(after);
                    spec.version = Some(version).filter(|version| !version.is_empty());
                    rest
                }
                '%' => {
                    let (compiler, rest) = compiler(after);
                    spec.compiler = spec.compiler.or(compiler);
                    rest
                }
                '/' => {
                    let (hash, rest) = split_word(after, |c| c.is_ascii_alphanumeric());
                    spec.hash = Some(hash).filter(|hash| !hash.is_empty());
                    rest
                }
                '+' | '~' | '-' => split_word(after.trim_start_matches(sign), is_name).1,
                _ if is_name(sign) => match split_word(rest, is_name) {
                    // The architecture is the last, and the hash follows at once.
                    ("arch", value) => split_word(value, |c| c != '/' && !c.is_whitespace()).1,
                    (_, value) => skip_value(value),
                },
                _ => after,
            };
        }
        Some(spec)
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn split_word(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// `=1.2`, `1.2:1.4`, `git.BRANCH=1.2`: a branch may hold slashes. `@=1.2` names exactly this
/// version.
fn version(text: &str) -> (&str, &str) {
    let text = text.strip_prefix('=').unwrap_or(text);
    let is_branch = text.starts_with("git.");
    let belongs = |c| is_name(c) || matches!(c, ':' | ',' | '=') || (is_branch && c == '/');
    let (version, rest) = split_word(text, belongs);
    // Before a hash the branch ends at the last slash.
    match (is_branch, version.rsplit_once('/')) {
        (true, Some((branch, hash))) if branch.contains('=') && !hash.contains('=') => {
            (branch, &text[branch.len()..])
        }
        _ => (version, rest),
    }
}

/// `gcc@12.2.0`, `c,cxx=gcc@12.2.0`, `[virtuals=c,cxx] gcc@12.2.0`.
fn compiler(text: &str) -> (Option<String>, &str) {
    let text = match text.strip_prefix('[') {
        Some(inside) => inside.split_once(']').map_or("", |(_, after)| after).trim_start(),
        None => text,
    };
    let (languages, after) = split_word(text, |c| is_name(c) || c == ',');
    let (name, rest) = match after.strip_prefix('=') {
        Some(after) => split_word(after, is_name),
        None => (languages, after),
    };
    if name.is_empty() {
        return (None, rest);
    }
    match rest.strip_prefix('@') {
        Some(after) => {
            let (version, rest) = version(after);
            (Some(format!("{name}@{version}")).filter(|_| !version.is_empty()), rest)
        }
        None => (Some(name.to_owned()), rest),
    }
}

/// A value in quotes may hold spaces, any other ends at a space.
fn skip_value(text: &str) -> &str {
    let value = text.trim_start_matches('=');
    match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => value[1..].split_once(quote).map_or("", |(_, rest)| rest),
        None => split_word(value, |c| !c.is_whitespace()).1,
    }
}

/// `/store/linux-x86_64/zlib-1.3.1-HASH/lib` -> HASH.
fn hash_in(dir: &str) -> Option<&str> {
    Path::new(dir).components().rev().find_map(|component| {
        let Component::Normal(name) = component else { return None };
        let (_, hash) = name.to_str()?.rsplit_once('-')?;
        let is_hash = hash.len() == HASH_LEN
            && hash.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte));
        is_hash.then_some(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "abcdefghijklmnopqrstuvwxyz234567";

    #[test]
    fn name_version_compiler_and_the_whole_hash_are_read() {
        let lib = format!("/opt/spack/linux-x86_64_v3/zlib-ng-2.1.6-{HASH}/lib:/opt/spack/gcc/lib");
        for (spec, version, toolchain, id) in [
            (
                "zlib-ng@2.1.6%gcc@12.2.0+opt arch=linux-debian12-x86_64/abcdefg",
                Some("2.1.6"),
                Some("gcc@12.2.0"),
                HASH,
            ),
            ("zlib-ng@=2.1.6~opt build_system=autotools /abcdefg", Some("2.1.6"), None, HASH),
            ("zlib-ng/abcdefg", None, None, HASH),
            // A prefix of another installation is not believed.
            ("zlib-ng@develop %clang/2345672", Some("develop"), Some("clang"), "2345672"),
        ] {
            let told = metadata(spec, &lib).unwrap();
            assert_eq!(
                (told.name.as_deref(), told.version.as_deref(), told.toolchain.as_deref()),
                (Some("zlib-ng"), version, toolchain),
                "{spec}"
            );
            assert_eq!(
                (told.package_manager.as_deref(), told.package_id.as_deref()),
                (Some("spack"), Some(id))
            );
        }
        let arch = "arch=linux-debian12-x86_64/abcdefg";
        for (spec, version, toolchain) in [
            ("a@1.2 sysconfdir=PREFIX/etc %gcc@12.2.0", "1.2", Some("gcc@12.2.0")),
            ("a@git.feature/x=1.2%gcc@12.2.0", "git.feature/x=1.2", Some("gcc@12.2.0")),
            ("a@1.2 cflags='-I/opt/x -O2' cxxflags=\"-I/y @3\"", "1.2", None),
            ("a@1.2 %c,cxx=gcc@12.2.0 %fortran=gcc@13", "1.2", Some("gcc@12.2.0")),
            ("a@1.2 %[virtuals=c,cxx] llvm@18.1.3", "1.2", Some("llvm@18.1.3")),
            ("a@1.2~~shared+mpi build_type=Release", "1.2", None),
        ] {
            let told = metadata(&format!("{spec} {arch}"), "").unwrap();
            assert_eq!(told.version.as_deref(), Some(version), "{spec}");
            assert_eq!(told.toolchain.as_deref(), toolchain, "{spec}");
            assert_eq!(told.package_id.as_deref(), Some("abcdefg"), "{spec}");
        }
        let told = metadata("a@git.main=1.2/abcdefg", "").unwrap();
        assert_eq!(
            (told.version.as_deref(), told.package_id.as_deref()),
            (Some("git.main=1.2"), Some("abcdefg"))
        );
        let told = metadata("a@1/abcdefg", "/site/software/a/1/lib").unwrap();
        assert_eq!(told.package_id.as_deref(), Some("abcdefg"));
    }

    #[test]
    fn nonsense_is_not_believed() {
        assert_eq!(metadata("", "/x"), None);
        assert_eq!(metadata("@1", ""), None);
        for spec in ["a@", "a@=", "a%", "a%@", "a/", "a é@ü/ö", "a@@@@", "////"] {
            let _ = metadata(spec, "::--");
        }
        assert_eq!(metadata("a/", "").unwrap().package_id, None);
    }
}
