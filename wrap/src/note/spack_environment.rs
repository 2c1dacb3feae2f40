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

/// The characters that end a name or a version in a spec.
const SIGILS: &[char] = &['@', '%', '+', '~', ' ', '/', '='];

/// The metadata of this process; `None` where Spack did not call us.
pub fn from_environment() -> Option<BuildMetadata> {
    let text = |name: &str| environment::var(name)?.to_str().map(str::to_owned);
    let rpath_dirs = text("SPACK_STORE_RPATH_DIRS").or_else(|| text("SPACK_RPATH_DIRS"));
    metadata(&text("SPACK_SHORT_SPEC")?, rpath_dirs.as_deref().unwrap_or_default())
}

fn metadata(short_spec: &str, rpath_dirs: &str) -> Option<BuildMetadata> {
    let until = |text: &str| text.split(SIGILS).next().unwrap_or_default().to_owned();
    let part = |begin: char| Some(until(short_spec.split_once(begin)?.1)).filter(|part| !part.is_empty());
    let name = until(short_spec);
    if name.is_empty() {
        return None;
    }
    // `@=1.2` names exactly this version.
    let version = short_spec[name.len()..].strip_prefix('@').map(|rest| until(rest.trim_start_matches('=')));
    let short_hash = part('/').unwrap_or_default();
    let toolchain = short_spec.split_once('%').map(|(_, rest)| {
        let compiler = until(rest);
        match rest[compiler.len()..].strip_prefix('@') {
            Some(version) => format!("{compiler}-{}", until(version.trim_start_matches('='))),
            None => compiler,
        }
    });
    let whole = rpath_dirs.split(':').next().and_then(hash_in).filter(|hash| hash.starts_with(&short_hash));
    let package_id = whole.map(str::to_owned).or(Some(short_hash)).filter(|hash| !hash.is_empty());
    Some(BuildMetadata {
        name: Some(name),
        version: version.filter(|version| !version.is_empty()),
        toolchain,
        package_manager: Some("spack".to_owned()),
        package_id,
        ..BuildMetadata::default()
    })
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
                Some("gcc-12.2.0"),
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
