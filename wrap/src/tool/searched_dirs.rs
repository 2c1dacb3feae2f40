//! The directories that a driver says it searches unasked (`-v -###`), and what a remembered route
//! depends on there: linkers, and clang's configuration files, which may name one.
//!
//! gcc's follow from how it was built and from GCC_EXEC_PREFIX, clang's from where it lies and how
//! it was built; nothing here knows their names or their order. Two stamps are kept. The quick one
//! is of each directory's and file's time. A directory's time changes also when a build writes
//! there, so if the quick one differs, the other decides: it is of the linkers and configuration
//! files alone.

use crate::tool::known_tools;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What gcc says, at the start of a line: the directories of its programs.
const PROGRAMS: &str = "COMPILER_PATH=";

/// What gcc says of the machine that it compiles for.
const MACHINE: &str = "Target: ";

/// What clang says of the directories of its configuration files.
const CONFIGURATION: [&str; 3] =
    ["InstalledDir: ", "System configuration file directory: ", "User configuration file directory: "];

/// What clang says of each configuration file that it read.
const FILE: &str = "Configuration file: ";

/// The most entries of a directory that are looked at.
const ENTRIES_MAX: usize = 16_384;

/// The directories, in the order of their names.
#[derive(Debug, Default)]
struct SearchedDirs {
    programs: Vec<PathBuf>,
    configuration: Vec<PathBuf>,
}

/// Lines to be kept after a route; none for a driver that says of no directory.
pub fn lines(driver_says: &str) -> String {
    let dirs = SearchedDirs::said(driver_says);
    if dirs.programs.is_empty() && dirs.configuration.is_empty() {
        return String::new();
    }
    let files = dirs.configuration_files();
    let watched = [&dirs.programs[..], &dirs.configuration, &files].concat();
    let kept = |mark: char, paths: &[PathBuf]| -> String {
        paths.iter().map(|path| format!("\n{mark}{}", path.display())).collect()
    };
    format!(
        "\n{}\n{}{}{}{}",
        stamp(&watched),
        dirs.stamp(),
        kept('P', &dirs.programs),
        kept('C', &dirs.configuration),
        kept('F', &files)
    )
}

/// Tells whether everything is as it was when these lines were kept.
pub fn still_hold<'a>(mut lines: impl Iterator<Item = &'a str>) -> bool {
    let Some(quick) = lines.next() else { return true };
    let slow = lines.next();
    let marked: Vec<(&str, &str)> = lines.filter_map(|line| line.split_at_checked(1)).collect();
    let of = |mark: &str| -> Vec<PathBuf> {
        marked.iter().filter(|line| line.0 == mark).map(|line| PathBuf::from(line.1)).collect()
    };
    let dirs = SearchedDirs { programs: of("P"), configuration: of("C") };
    let watched = [&dirs.programs[..], &dirs.configuration, &of("F")].concat();
    quick == stamp(&watched) || slow == Some(&dirs.stamp())
}

impl SearchedDirs {
    fn said(driver_says: &str) -> SearchedDirs {
        let mut dirs = SearchedDirs::default();
        for line in driver_says.lines() {
            let place = CONFIGURATION.iter().find_map(|start| line.strip_prefix(start)).map(Path::new);
            let of_file = || Path::new(line.strip_prefix(FILE)?).parent();
            dirs.configuration.extend(place.or_else(of_file).map(Path::to_owned));
            let programs = line.strip_prefix(PROGRAMS).into_iter().flat_map(|path| path.split(':'));
            dirs.programs.extend(programs.map(PathBuf::from));
        }
        // gcc names only directories that exist. This one it searches as well, once it is there.
        let machine = driver_says.lines().find_map(|line| line.strip_prefix(MACHINE));
        let of_machine = |dir: &PathBuf| {
            let machine = machine.filter(|machine| dir.parent().is_some_and(|dir| dir.ends_with(machine)))?;
            Some(dir.join("../../../..").join(machine).join("bin"))
        };
        dirs.programs.extend(dirs.programs.iter().filter_map(of_machine).collect::<Vec<_>>());
        for dirs in [&mut dirs.programs, &mut dirs.configuration] {
            dirs.retain(|dir| dir.is_absolute());
            dirs.sort_unstable();
            dirs.dedup();
        }
        dirs
    }

    fn configuration_files(&self) -> Vec<PathBuf> {
        let entries = self.configuration.iter().flat_map(|dir| {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.take(ENTRIES_MAX).map(|entry| entry.path())
        });
        let mut files: Vec<PathBuf> =
            entries.filter(|file| file.extension() == Some(OsStr::new("cfg"))).collect();
        files.sort_unstable();
        files
    }

    /// The stamp of what decides.
    fn stamp(&self) -> String {
        let linkers =
            self.programs.iter().flat_map(|dir| known_tools::linker_names().map(|name| dir.join(name)));
        stamp(&linkers.chain(self.configuration_files()).collect::<Vec<_>>())
    }
}

fn stamp(paths: &[PathBuf]) -> String {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        path.hash(&mut hasher);
        let metadata = std::fs::metadata(path).ok();
        metadata.map(|is| (is.ino(), is.size(), is.mtime(), is.mtime_nsec())).hash(&mut hasher);
    }
    format!("{:x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(kept: &str) -> bool {
        still_hold(kept.lines().skip(1))
    }

    #[test]
    fn a_configuration_file_that_appears_changes_or_goes_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().display();
        let says = format!(
            "clang version 19.1.7\nInstalledDir: {dir}\nConfiguration file: {dir}/deep/c.cfg\n \"/usr/bin/ld\""
        );
        let without = lines(&says);
        assert!(holds(&without), "{without}");
        std::fs::write(root.path().join("other"), "").unwrap();
        assert!(holds(&without), "what a build writes there is nothing to us");
        let file = root.path().join("clang.cfg");
        std::fs::write(&file, "-O1\n").unwrap();
        assert!(!holds(&without), "it appeared");
        let with = lines(&says);
        assert!(holds(&with) && with.contains("/clang.cfg"), "{with}");
        std::fs::write(&file, "-fuse-ld=lld\n").unwrap();
        assert!(!holds(&with), "it was rewritten in place");
        let rewritten = lines(&says);
        std::fs::remove_file(&file).unwrap();
        assert!(!holds(&rewritten), "it went");
        let gone = lines(&says);
        std::fs::create_dir(root.path().join("deep")).unwrap();
        std::fs::write(root.path().join("deep/included.cfg"), "").unwrap();
        assert!(!holds(&gone), "in a directory that there was not");
    }

    #[test]
    fn a_linker_that_appears_beside_gccs_programs_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().display();
        let says = format!("COMPILER_PATH={dir}/none/:{dir}/:\nCOLLECT_GCC=gcc\n {dir}/collect2");
        let kept = lines(&says);
        std::fs::write(root.path().join("main.o"), "").unwrap();
        assert!(holds(&kept), "{kept}");
        std::fs::write(root.path().join("real-ld"), "").unwrap();
        assert!(!holds(&kept));
        let kept = lines(&says);
        std::fs::create_dir(root.path().join("none")).unwrap();
        assert!(holds(&kept));
        std::fs::write(root.path().join("none/ld.gold"), "").unwrap();
        assert!(!holds(&kept));
    }

    #[test]
    fn a_driver_that_says_of_no_directory_keeps_nothing() {
        assert_eq!(lines("Using built-in specs.\nTarget: x86_64-linux-gnu\n \"/usr/bin/ld\""), "");
        assert!(holds("0"));
    }
}
