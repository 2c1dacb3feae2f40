//! Packages of Debian, unpacked and not installed: programs of one name in two versions.

use crate::images;
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use xtask::{child, workspace::Workspace};

/// A package.
pub struct DebianPackage {
    /// The source package, without the number that is part of some names (`gcc-12`).
    pub software: String,
    /// Its version.
    pub version: String,
    /// Its programs, and its libraries of some size.
    pub files: Vec<PathBuf>,
    /// The directory that has them.
    pub tree: PathBuf,
}

/// Smallest library that counts: `ogrt learn` makes no sketches of smaller ones.
const LIBRARY_BYTES_MIN: u64 = 64 << 10;

/// Reads packages out of their archives, and unpacks them below `folder`.
pub fn unpack(archives: &[PathBuf], folder: &Path) -> Result<Vec<DebianPackage>> {
    fs::create_dir_all(folder)?;
    archives.iter().map(|archive| unpack_one(archive, folder)).collect()
}

fn unpack_one(archive: &Path, folder: &Path) -> Result<DebianPackage> {
    let field = |name: &str| {
        let text = child::capture(Command::new("dpkg-deb").arg("-f").arg(archive).arg(name))?;
        Ok::<_, anyhow::Error>(text.trim().to_owned())
    };
    let (package, source) = (field("Package")?, field("Source")?);
    let source = source.split(' ').next().filter(|source| !source.is_empty()).unwrap_or(&package).to_owned();
    let tree = folder.join(&package);
    if !tree.exists() {
        child::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&tree), &mut |_| {})?;
    }
    let mut files = Vec::new();
    find(&tree, &mut files)?;
    files.sort();
    Ok(DebianPackage { software: without_number(&source), version: field("Version")?, files, tree })
}

/// The name of software whose package has a version in its name.
pub fn without_number(source: &str) -> String {
    let name = source.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    name.trim_end_matches('-').to_owned()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            find(&path, files)?;
        } else if kind.is_file() && counts(&path)? {
            files.push(path);
        }
    }
    Ok(())
}

/// True for an ELF program, and for an ELF library of some size.
pub fn counts(path: &Path) -> Result<bool> {
    let metadata = fs::metadata(path)?;
    let is_library = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
    let is_program = metadata.permissions().mode() & 0o111 != 0;
    if !(is_library && metadata.len() >= LIBRARY_BYTES_MIN || is_program && !is_library) {
        return Ok(false);
    }
    Ok(fs::read(path)?.starts_with(b"\x7fELF\x02\x01"))
}

/// Downloads packages of a release; what it does not have is left out. They are kept under cargo's
/// target folder.
pub fn download(release: &str, packages: &[&str]) -> Result<Vec<PathBuf>> {
    let folder = Workspace::find()?.target.join(format!("packages-{release}"));
    let at = |name: &str| folder.join(name);
    for name in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(at(name))?;
    }
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let sources =
        format!("deb [signed-by={keyring}] {} {release} main contrib non-free\n", images::mirror()?);
    fs::write(at("etc/sources.list"), sources)?;
    fs::write(at("status"), "")?;
    let apt = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        for (key, value) in [
            ("Dir::State", at("state")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("cache")),
            ("Dir::Etc::sourcelist", at("etc/sources.list")),
            ("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
        ] {
            apt.arg("-o").arg(format!("{key}={}", value.display()));
        }
        apt.args(["-o", "APT::Sandbox::User=root", "-qq"]).args(words).current_dir(&folder);
        apt
    };
    let archive_of = |package: &str| -> Result<Option<PathBuf>> {
        let begin = format!("{package}_");
        let entries = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&begin) && name.ends_with(".deb")
        };
        Ok(entries.into_iter().find(is_it))
    };
    if !at("updated").exists() {
        child::run(&mut apt(&["update"]), &mut |_| {})?;
        fs::write(at("updated"), "")?;
    }
    let mut archives = Vec::new();
    for package in packages {
        if archive_of(package)?.is_none()
            && child::run(&mut apt(&["download", package]), &mut |_| {}).is_err()
        {
            println!("{release} has no {package}");
        }
        archives.extend(archive_of(package)?);
    }
    ensure!(!archives.is_empty(), "nothing of {release} can be downloaded");
    Ok(archives)
}

/// The archives of the image that [`images::debian`] made.
pub fn of_image(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("var/cache/apt/archives");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut archives: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    archives.retain(|path| path.extension().is_some_and(|ending| ending == "deb"));
    archives.sort();
    Ok(archives)
}
