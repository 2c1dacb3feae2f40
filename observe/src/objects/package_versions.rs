//! Versions of packages, by what their installer wrote beside an object that is loaded.
//!
//! | object | where its version stands |
//! |---|---|
//! | `LIBRARY/stats/libs/stats.so` (R) | `LIBRARY/stats/DESCRIPTION`, line `Version:` |
//! | `site-packages/numpy/linalg/x.so` (Python) | the name of `site-packages/numpy-1.26.4.dist-info`, or `.egg-info`, whose `top_level.txt` or `RECORD` has `numpy` |
//!
//! Policy. Nothing is guessed. The folder must be the one that holds the very object that the
//! process has mapped, and what is read of it lies in the same filesystem, behind no link: so
//! nobody leads us to a file of somebody else. A Python package of which no object is loaded has no
//! version, because it may be another copy; nor has one that two installations claim.

use super::mapped_objects::CodeMapping;
use crate::process_directory::ProcessDirectory;
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::Read,
    os::fd::OwnedFd,
};

/// Longest version.
const VERSION_MAX: usize = 64;

/// Bytes of a DESCRIPTION that are read, and of a list of names or files.
const DESCRIPTION_MAX: u64 = 64 << 10;
const LIST_MAX: u64 = 512 << 10;

/// Entries of a folder with Python packages that are looked at.
const ENTRIES_MAX: usize = 8192;

/// Folders with Python packages that are remembered, and packages of each.
const FOLDERS_MAX: usize = 64;
const PACKAGES_MAX: usize = 4096;

/// The names of folders that hold Python packages.
const SITES: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// A folder as it was read: device, inode, time of its last change.
type FolderVersion = (u64, u64, i64, i64);

/// The version of each top-level name in a folder; `None` where two installations claim it.
type Versions = BTreeMap<String, Option<String>>;

/// What was read of folders with Python packages.
#[derive(Default)]
pub struct PackageVersions {
    sites: HashMap<FolderVersion, Versions>,
}

impl PackageVersions {
    /// The version of a Python package of which the process has mapped an object.
    pub fn of_python(
        &mut self,
        directory: &ProcessDirectory,
        mappings: &[CodeMapping],
        name: &str,
    ) -> Option<String> {
        let (mapping, site, rest) = mappings.iter().find_map(|mapping| {
            let path = str::from_utf8(&mapping.path).ok()?;
            let at = SITES.iter().filter_map(|site| Some(path.rfind(site)? + site.len())).max()?;
            let (site, rest) = path.split_at(at);
            // A module in a folder, or one that is an object itself.
            let behind = rest.strip_prefix(name)?;
            behind.starts_with(['/', '.']).then_some((mapping, site, rest))
        })?;
        let folder = folder_of(directory, mapping, site, rest)?;
        let status = fstat(&folder).ok()?;
        let version = (status.st_dev, status.st_ino, status.st_mtime as i64, status.st_mtime_nsec as i64);
        if self.sites.len() >= FOLDERS_MAX && !self.sites.contains_key(&version) {
            self.sites.clear();
        }
        self.sites.entry(version).or_insert_with(|| python_versions(&folder)).get(name)?.clone()
    }
}

/// The version of a package of R, by its mapped object.
pub fn version_of_r(directory: &ProcessDirectory, mapping: &CodeMapping) -> Option<String> {
    let path = str::from_utf8(&mapping.path).ok()?;
    let at = path.rfind("/libs/")?;
    let folder = folder_of(directory, mapping, &path[..at], &path[at + 1..])?;
    let text = text_in(&folder, "DESCRIPTION", DESCRIPTION_MAX)?;
    text.lines().find_map(|line| version(line.strip_prefix("Version:")?))
}

/// Opens a folder as the process sees it, if the object below it is the mapped one.
fn folder_of(
    directory: &ProcessDirectory,
    mapping: &CodeMapping,
    path: &str,
    object: &str,
) -> Option<OwnedFd> {
    let root = directory.open_root()?;
    let folder = openat2(
        &root,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
    );
    let folder = folder.ok()?;
    let found = fstat(within(&folder, object, OFlags::PATH)?).ok()?;
    let mapped = fstat(directory.open_file(&mapping.name)?).ok()?;
    let id = |status: &Stat| (status.st_dev, status.st_ino);
    (id(&found) == id(&mapped)).then_some(folder)
}

/// Opens what lies in a folder, in its filesystem and behind no link.
fn within(folder: &OwnedFd, path: &str, flags: OFlags) -> Option<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(folder, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).ok()
}

/// The text of a regular file in a folder, as far as it is read.
fn text_in(folder: &OwnedFd, path: &str, bytes_max: u64) -> Option<String> {
    let file = within(folder, path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let is_file = FileType::from_raw_mode(fstat(&file).ok()?.st_mode) == FileType::RegularFile;
    let mut bytes = Vec::new();
    File::from(file).take(bytes_max).read_to_end(&mut bytes).ok().filter(|_| is_file)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The versions of all that is installed in a folder with Python packages.
fn python_versions(folder: &OwnedFd) -> Versions {
    let mut versions = Versions::new();
    let Ok(entries) = Dir::read_from(folder) else { return versions };
    for entry in entries.take(ENTRIES_MAX).map_while(Result::ok) {
        let Ok(entry) = entry.file_name().to_str() else { continue };
        let Some(version) = version_in(entry) else { continue };
        for name in names_of(folder, entry) {
            if versions.len() < PACKAGES_MAX || versions.contains_key(&name) {
                let known = versions.entry(name).or_insert_with(|| Some(version.clone()));
                if known.as_ref() != Some(&version) {
                    *known = None;
                }
            }
        }
    }
    versions
}

/// The version in the name of what an installer writes: `numpy-1.26.4.dist-info`, and
/// `PyYAML-6.0-py3.11.egg-info`.
fn version_in(entry: &str) -> Option<String> {
    let stem = entry.strip_suffix(".dist-info").or_else(|| entry.strip_suffix(".egg-info"))?;
    let (_, behind) = stem.split_once('-')?;
    version(behind.split('-').next()?)
}

/// The top-level names that an installation brought.
fn names_of(folder: &OwnedFd, entry: &str) -> BTreeSet<String> {
    if let Some(names) = text_in(folder, &format!("{entry}/top_level.txt"), LIST_MAX) {
        return names.split_whitespace().map(str::to_owned).collect();
    }
    let files = text_in(folder, &format!("{entry}/RECORD"), LIST_MAX).unwrap_or_default();
    // `numpy/core.py,sha256=...`; a module that is a file has its name before a dot.
    let names = files.lines().filter_map(|line| line.split(['/', '.', ',']).next());
    names.filter(|name| !name.is_empty()).take(PACKAGES_MAX).map(str::to_owned).collect()
}

/// A version, if it looks like one.
fn version(text: &str) -> Option<String> {
    let text = text.trim();
    let is_version = text.starts_with(|first: char| first.is_ascii_digit())
        && text.len() <= VERSION_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_version.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::mapped_objects::code_mappings;
    use std::{
        fs,
        io::{BufRead, BufReader},
        os::unix::fs::symlink,
        path::Path,
        process::{Child, Command, Stdio},
    };

    /// A program that has said that it is ready; `None`, said aloud, where it is not installed.
    fn ready(command: &mut Command) -> Option<Child> {
        let Ok(mut child) = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() else {
            assert!(std::env::var_os("CI").is_none(), "{command:?} cannot be run");
            eprintln!("skipped: needs {command:?}");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("ready"), "{line}");
        Some(child)
    }

    fn look(child: &Child) -> (ProcessDirectory, Vec<CodeMapping>) {
        let directory = ProcessDirectory::open(child.id(), None).unwrap();
        let mappings = code_mappings(&directory).unwrap();
        (directory, mappings)
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// An object of Python's own, as the object of a package.
    const INSTALL: &str = "import sys, shutil, pathlib, _json\n\
        object = pathlib.Path(_json.__file__)\n\
        for package in sys.argv[2:]:\n\
        \tfolder = pathlib.Path(sys.argv[1]) / package\n\
        \tfolder.mkdir()\n\
        \tshutil.copy(object, folder / object.name)\n\
        \t(folder / '__init__.py').write_text('')\n";

    #[test]
    fn versions_of_python_packages_are_those_of_the_copies_that_are_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| folder.path().join(name).join("site-packages"));
        let install = |site: &Path, packages: &[&str]| {
            fs::create_dir_all(site).unwrap();
            let mut python = Command::new("python3");
            python.args(["-c", INSTALL]).arg(site).args(packages).status().is_ok_and(|ended| ended.success())
        };
        if !install(&first, &["fast", "twice", "bare", "led"]) || !install(&second, &["fast"]) {
            assert!(std::env::var_os("CI").is_none(), "needs python3 with _json as an object");
            return eprintln!("skipped: needs python3 with _json as an object");
        }
        let write = |site: &Path, name: &str, file: &str, text: &str| {
            fs::create_dir_all(site.join(name)).unwrap();
            fs::write(site.join(name).join(file), text).unwrap();
        };
        write(&first, "Fast_Things-2.5.1.dist-info", "RECORD", "fast/__init__.py,,\nfast/_json.so,,\n");
        write(&second, "Fast_Things-9.9.dist-info", "RECORD", "fast/__init__.py,,\n");
        write(&first, "one-1.0.dist-info", "top_level.txt", "twice\n");
        write(&first, "two-2.0-py3.11.egg-info", "top_level.txt", "twice\n");
        // A link leads to somebody else's file.
        write(&first, "led-3.0.dist-info", "other.txt", "led\n");
        symlink("other.txt", first.join("led-3.0.dist-info/top_level.txt")).unwrap();
        let script = "import fast._json, twice._json, bare._json, led._json, time\n\
            print('ready', flush=True)\ntime.sleep(60)";
        let path = format!("{}:{}", first.display(), second.display());
        let Some(child) = ready(Command::new("python3").args(["-c", script]).env("PYTHONPATH", path)) else {
            return;
        };
        let (directory, mappings) = look(&child);
        let mut versions = PackageVersions::default();
        let mut of = |name: &str| versions.of_python(&directory, &mappings, name);
        assert_eq!(of("fast").as_deref(), Some("2.5.1"));
        assert_eq!([of("twice"), of("bare"), of("led"), of("fas"), of("json")], [const { None }; 5]);
        // What is there now is another file than the one that is loaded.
        fs::remove_dir_all(first.join("fast")).unwrap();
        assert!(install(&first, &["fast"]));
        assert_eq!(of("fast"), None);
        end(child);
    }

    #[test]
    fn the_version_of_an_r_package_stands_in_its_description() {
        let script = "cat(as.character(packageVersion('stats')), 'ready\\n'); Sys.sleep(60)";
        let mut command = Command::new("R");
        command.args(["--vanilla", "--slave", "-e", "library(stats); cat('ready\\n'); Sys.sleep(60)"]);
        let Some(child) = ready(&mut command) else { return };
        let asked =
            Command::new("R").args(["--vanilla", "--slave", "-e", &script.replace("60", "0")]).output();
        let asked = String::from_utf8(asked.unwrap().stdout).unwrap();
        let (directory, mappings) = look(&child);
        let stats = mappings.iter().find(|mapping| mapping.path.ends_with(b"/stats/libs/stats.so")).unwrap();
        assert_eq!(version_of_r(&directory, stats).as_deref(), asked.split_whitespace().next());
        end(child);
    }

    #[test]
    fn versions_stand_in_names_of_folders() {
        for (entry, expected) in [
            ("numpy-1.26.4.dist-info", Some("1.26.4")),
            ("PyYAML-6.0.1-py3.11.egg-info", Some("6.0.1")),
            ("zope.interface-5.5.2.egg-info", Some("5.5.2")),
            ("numpy.egg-info", None),
            ("x-dev.dist-info", None),
            ("numpy", None),
        ] {
            assert_eq!(version_in(entry).as_deref(), expected, "{entry}");
        }
    }
}
