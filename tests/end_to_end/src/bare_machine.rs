//! A machine that has only what the README asks for: Rust with rustup, a C compiler, and what the
//! chores themselves install before they build.
//!
//! It is a PATH: the programs of Debian's essential packages, of the compiler's and of the build
//! tools', and nothing else of this machine.

use anyhow::{Context, Result};
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};
use xtask::child;

/// Makes `folder` with links to the programs, and returns the PATH. `None` where the machine is not
/// Debian, so that nobody can tell what is essential.
pub fn bare_path(folder: &Path) -> Result<Option<String>> {
    if !child::exists("dpkg-query") {
        return Ok(None);
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let packages = packages()?;
    let files = child::capture(Command::new("dpkg").arg("--listfiles").args(&packages))?;
    for file in files.lines().map(Path::new) {
        let is_program =
            file.parent().is_some_and(|folder| folder.ends_with("bin") || folder.ends_with("sbin"));
        let link = file.file_name().map(|name| folder.join(name)).filter(|link| !link.exists());
        // A package's `/bin/sh` may be an alternative that this machine does not have.
        if let Some(link) = link.filter(|_| is_program && file.is_file()) {
            symlink(file, &link).with_context(|| link.display().to_string())?;
        }
    }
    // Debian makes `cc` and `awk` by alternatives, which belong to no package.
    for name in ["cc", "awk", "which"] {
        let alternative = Path::new("/usr/bin").join(name);
        if alternative.exists() && !folder.join(name).exists() {
            symlink(&alternative, folder.join(name))?;
        }
    }
    let cargo = cargo_folder().context("cargo is not on PATH")?;
    Ok(Some(format!("{}:{}", cargo.display(), folder.display())))
}

/// The essential packages, and those of the compiler and of the build tools.
fn packages() -> Result<Vec<String>> {
    let format = "--showformat=${Package} ${Essential} ${Status}\n";
    let all = child::capture(Command::new("dpkg-query").args(["--show", format]))?;
    let is_wanted = |package: &str| {
        let is = |name: &str| package == name || package.starts_with(&format!("{name}-"));
        let is_native =
            !package.contains("linux-gnu") || package.contains(env::consts::ARCH.replace('_', "-").as_str());
        is_native && (is("gcc") || is("cpp") || is("binutils") || is("make") || is("cmake"))
    };
    Ok(all
        .lines()
        .filter(|line| line.ends_with(" installed"))
        .filter_map(|line| line.split_once(' '))
        .filter(|(package, rest)| rest.starts_with("yes ") || is_wanted(package))
        .map(|(package, _)| package.to_owned())
        .collect())
}

/// The folder of rustup's programs.
fn cargo_folder() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find(|folder| folder.join("rustup").exists() && folder.join("cargo").exists())
}
