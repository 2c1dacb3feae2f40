//! The sources: archives as Debian, PyPI, npm, Go's proxy and the crates' registry ship them,
//! pinned by their digest.
//!
//! An archive is fetched once and kept in cargo's target folder; its digest is checked each time. A
//! Debian source package gives its upstream archive alone, so that a new Debian revision changes
//! nothing. apt knows the mirror: no address stands here, and neither /etc nor apt's own lists are
//! touched.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};
use xtask::{child, cleanup::Scratch, workspace::Workspace};

/// A released version of somebody's software.
#[derive(Clone, Copy, Debug)]
pub enum Archive {
    /// The upstream archive of a Debian source package.
    Debian {
        /// The source package.
        package: &'static str,
        /// The name of the archive.
        file: &'static str,
        /// Its SHA-256.
        sha256: &'static str,
    },
    /// A source distribution on PyPI.
    Sdist {
        /// The package and its version: `name==version`.
        requirement: &'static str,
        /// The name of the archive.
        file: &'static str,
        /// Its SHA-256.
        sha256: &'static str,
    },
    /// A package of npm.
    Npm {
        /// The package and its version: `name@version`.
        package: &'static str,
        /// The name of the archive.
        file: &'static str,
        /// Its SHA-256.
        sha256: &'static str,
    },
    /// A module of Go.
    Go {
        /// The module and its version: `path@version`.
        module: &'static str,
        /// The name under which the archive is kept.
        file: &'static str,
        /// Its SHA-256.
        sha256: &'static str,
    },
    /// Sources that a test holds, each with its path.
    Files(&'static [(&'static str, &'static str)]),
    /// A crate that `crates/Cargo.toml` pins.
    Crate {
        /// Its name.
        name: &'static str,
    },
}

impl Archive {
    /// Makes `folder` and puts the sources into it, without the folder that they are packed in.
    pub fn unpack(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        match self {
            Archive::Crate { name } => {
                let scratch = Scratch::new()?;
                let sources = fetch_crate(name, scratch.path())?;
                child::capture(Command::new("cp").arg("-aT").arg(sources).arg(folder))
            }
            Archive::Files(files) => {
                for (name, text) in *files {
                    fs::write(folder.join(name), text).with_context(|| (*name).to_owned())?;
                }
                Ok(String::new())
            }
            Archive::Go { module, file, sha256 } => {
                let archive = self.fetched(file, sha256)?;
                let scratch = Scratch::new()?;
                let mut unzip = Command::new("python3");
                child::capture(unzip.args(["-m", "zipfile", "-e"]).arg(archive).arg(scratch.path()))?;
                let sources = scratch.path().join(module);
                child::capture(Command::new("cp").arg("-aT").arg(sources).arg(folder))
            }
            Archive::Debian { file, sha256, .. }
            | Archive::Sdist { file, sha256, .. }
            | Archive::Npm { file, sha256, .. } => {
                let archive = self.fetched(file, sha256)?;
                let mut tar = Command::new("tar");
                tar.args(["--strip-components=1", "--no-same-owner", "-xf"]).arg(archive);
                child::capture(tar.arg("-C").arg(folder))
            }
        }
        .map(drop)
    }

    /// The archive in cargo's target folder.
    fn fetched(&self, file: &str, sha256: &str) -> Result<PathBuf> {
        // One thread at a time: the first that asks apt fetches it for all.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = Workspace::find()?.target.join("source-archives");
        let archive = kept.join(file);
        if fs::read(&archive).is_ok_and(|bytes| hexadecimal_sha256(&bytes) == sha256) {
            return Ok(archive);
        }
        let scratch = Scratch::new()?;
        match self {
            Archive::Debian { package, .. } => fetch_from_debian(package, scratch.path())?,
            Archive::Sdist { requirement, .. } => fetch_from_pypi(requirement, sha256, scratch.path())?,
            Archive::Npm { package, .. } => fetch_from_npm(package, scratch.path())?,
            Archive::Go { module, .. } => fetch_from_go(module, &scratch.path().join(file))?,
            Archive::Files(..) | Archive::Crate { .. } => {}
        }
        let fetched = scratch.path().join(file);
        let bytes = fs::read(&fetched).with_context(|| format!("{file} was not fetched"))?;
        let found = hexadecimal_sha256(&bytes);
        ensure!(found == sha256, "{file}: SHA-256 {found} instead of {sha256}");
        // It is made under another name first, so that nobody finds half of it.
        let new = kept.join(format!("{file}.new-{}", std::process::id()));
        fs::create_dir_all(&kept).with_context(|| kept.display().to_string())?;
        fs::write(&new, bytes).and_then(|()| fs::rename(&new, &archive)).with_context(|| file.to_owned())?;
        Ok(archive)
    }
}

/// SHA-256 as `sha256sum` prints it.
pub fn hexadecimal_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetches an archive by apt, which checks it against the signed list. The lists lie in `folder`.
fn fetch_from_debian(package: &str, folder: &Path) -> Result<()> {
    let format = "deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)";
    let mut targets = Command::new("apt-get");
    let targets = child::capture(targets.args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    // The origin is known once apt has fetched its lists.
    let sources: String = targets
        .lines()
        .filter_map(|line| line.split_once('|'))
        .filter(|(_, origin)| *origin == "Debian" || origin.is_empty())
        .map(|(line, _)| format!("{line}\n"))
        .collect();
    ensure!(!sources.is_empty(), "apt knows no archive of Debian");
    let list = folder.join("sources.list");
    fs::write(&list, sources).with_context(|| list.display().to_string())?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        let option = |command: &mut Command, name: &str, path: &Path| {
            command.arg("-o").arg(format!("{name}={}", path.display()));
        };
        option(&mut command, "Dir::Etc::sourcelist", &list);
        option(&mut command, "Dir::Etc::sourceparts", Path::new("/dev/null"));
        option(&mut command, "Dir::State::lists", &folder.join("lists"));
        option(&mut command, "Dir::Cache", &folder.join("cache"));
        option(&mut command, "APT::Sandbox::User", Path::new(""));
        command.args(arguments).current_dir(folder);
        child::capture(&mut command)
    };
    fs::create_dir_all(folder.join("lists/partial")).context("a folder for lists")?;
    apt(&["update", "--quiet"])?;
    apt(&["source", "--quiet", "--download-only", "--tar-only", package]).map(drop)
}

/// A package of PyPI (`name==version`), and the SHA-256 of its wheel.
pub type Wheel = (&'static str, &'static str);

/// The folder in cargo's target folder that holds these packages of PyPI. They are installed at the
/// first call.
pub fn wheels(name: &str, packages: &[Wheel]) -> Result<PathBuf> {
    let folder = Workspace::find()?.target.join("source-archives").join(name);
    if folder.exists() {
        return Ok(folder);
    }
    let scratch = Scratch::new()?;
    let list = scratch.path().join("requirements.txt");
    let lines: String =
        packages.iter().map(|(package, sha256)| format!("{package} --hash=sha256:{sha256}\n")).collect();
    fs::write(&list, lines).with_context(|| list.display().to_string())?;
    // It is made under another name first, so that nobody finds half of it.
    let new = folder.with_extension(format!("new-{}", std::process::id()));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    child::capture(pip.arg("--target").arg(&new).arg("-r").arg(&list))?;
    fs::rename(&new, &folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Fetches an archive by pip, which checks the digest before it opens the archive.
fn fetch_from_pypi(requirement: &str, sha256: &str, folder: &Path) -> Result<()> {
    let list = folder.join("requirements.txt");
    fs::write(&list, format!("{requirement} --hash=sha256:{sha256}\n"))
        .with_context(|| list.display().to_string())?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes"]);
    child::capture(pip.arg("-r").arg(&list).arg("-d").arg(folder)).map(drop)
}

/// Fetches a package by npm. The registry is the one that npm is set up for.
fn fetch_from_npm(package: &str, folder: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--ignore-scripts"]).arg(package).current_dir(folder);
    child::capture(&mut npm).map(drop)
}

/// Fetches a module by Go into a cache that is deleted afterwards, and moves its archive to `file`.
fn fetch_from_go(module: &str, file: &Path) -> Result<()> {
    let cache = file.with_extension("cache");
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", module]).current_dir(std::env::temp_dir());
    go.env("GOMODCACHE", &cache).env("GOFLAGS", "-modcacherw");
    let answer: Value = serde_json::from_str(&child::capture(&mut go)?).context("go mod download")?;
    let archive = answer["Zip"].as_str().with_context(|| format!("{module}: {answer}"))?;
    fs::rename(archive, file).with_context(|| archive.to_owned())
}

/// Fetches a crate by cargo, which checks the digest in `crates/Cargo.lock`. Only `cargo vendor`
/// fetches a crate without a library.
fn fetch_crate(name: &str, folder: &Path) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/Cargo.toml");
    let mut cargo = Workspace::find()?.cargo(&["vendor", "--quiet", "--locked", "--manifest-path"]);
    child::capture(cargo.arg(&manifest).arg(folder))?;
    Ok(folder.join(name))
}
