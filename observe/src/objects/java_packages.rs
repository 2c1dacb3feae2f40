//! The libraries of a Java program, by the jars that its virtual machine has open.
//!
//! A jar stays open from its first use to the end. Its name and version are those of its file, as
//! build tools write them: `commons-io-2.11.0.jar`. The jars of the virtual machine itself are
//! none.

use crate::process_directory::ProcessDirectory;
use std::collections::BTreeMap;

/// Descriptors that are looked at, at most.
const DESCRIPTORS_MAX: usize = 8192;

/// Longest name, and longest version.
const TEXT_MAX: usize = 128;

/// Each library of a process that has these paths mapped, with its version where that is known.
pub fn java_packages<'p>(
    directory: &ProcessDirectory,
    mut paths: impl Iterator<Item = &'p [u8]>,
) -> BTreeMap<String, Option<String>> {
    let Some(home) = paths.find_map(home_of_machine) else { return BTreeMap::new() };
    let jars = directory.open_files(b".jar", DESCRIPTORS_MAX);
    let own = |path: &Vec<u8>| path.strip_prefix(home).is_some_and(|rest| rest.starts_with(b"/"));
    jars.iter().filter(|path| !own(path)).filter_map(|path| library(path)).collect()
}

/// The folder of the virtual machine, by the path of its library.
fn home_of_machine(path: &[u8]) -> Option<&[u8]> {
    let folder = path.strip_suffix(b"/libjvm.so")?;
    let lib = folder.windows(5).rposition(|part| part == b"/lib/")?;
    let home = &folder[..lib];
    Some(home.strip_suffix(b"/jre").unwrap_or(home))
}

/// The name and the version in the path of a jar.
fn library(path: &[u8]) -> Option<(String, Option<String>)> {
    let file = path.rsplit(|byte| *byte == b'/').next()?;
    let stem = str::from_utf8(file.strip_suffix(b".jar")?).ok()?;
    let is_version = |at: &usize| stem[at + 1..].starts_with(|first: char| first.is_ascii_digit());
    let dash = stem.match_indices('-').map(|(at, _)| at).rfind(is_version);
    let (name, version) = match dash {
        Some(at) => (&stem[..at], Some(&stem[at + 1..])),
        None => (stem, None),
    };
    let is_good = !name.is_empty() && stem.len() <= TEXT_MAX && !stem.chars().any(char::is_control);
    is_good.then(|| (name.to_owned(), version.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_version_are_those_of_the_file() {
        let of = |path: &str| {
            library(path.as_bytes()).map(|(name, version)| format!("{name} {}", version.unwrap_or_default()))
        };
        for (path, expected) in [
            ("/m2/commons-io/2.11.0/commons-io-2.11.0.jar", "commons-io 2.11.0"),
            ("/x/guava-31.1-jre.jar", "guava 31.1-jre"),
            ("/x/log4j-1.2-api-2.17.1.jar", "log4j-1.2-api 2.17.1"),
            ("/x/netty-epoll-4.1.94.Final-linux-x86_64.jar", "netty-epoll 4.1.94.Final-linux-x86_64"),
            ("/x/solver.jar", "solver "),
        ] {
            assert_eq!(of(path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(
            [of("/x/-1.jar"), of("/x/.jar"), of("/x/a\nb.jar"), of("/x/solver.zip")],
            [const { None }; 4]
        );
    }

    #[test]
    fn jars_of_the_virtual_machine_are_none() {
        let of = |path: &str| {
            home_of_machine(path.as_bytes()).map(|home| String::from_utf8_lossy(home).into_owned())
        };
        assert_eq!(of("/usr/lib/jvm/java-17/lib/server/libjvm.so").as_deref(), Some("/usr/lib/jvm/java-17"));
        assert_eq!(of("/opt/jdk8/jre/lib/amd64/server/libjvm.so").as_deref(), Some("/opt/jdk8"));
        assert_eq!(of("/usr/lib/libc.so.6"), None);
    }
}
