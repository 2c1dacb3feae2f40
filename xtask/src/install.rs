//! `cargo xtask install`: the programs and the library into a prefix.
//!
//! PREFIX/bin holds the programs (`ogrt-c++` and `ogrt-fc` are other names of `ogrt-cc`), PREFIX/lib the library, and
//! PREFIX/libexec/ogrt the linker wrapper under each name that a compiler driver asks for, PREFIX/share/ogrt what EasyBuild,
//! Spack and schedulers read, PREFIX/share manual pages and completions, and PREFIX/lib/systemd/system the units of the server. Every
//! program and library is written under another name and then renamed, so that a running program or build is never caught by half a file.

use crate::{
    machine::{BUILD_TOOLS, install_tools, static_linkage},
    manuals,
    programs::{self, Built},
    share,
    steps::Steps,
    workspace::Workspace,
};
use anyhow::{Context, Result};
use clap::Args;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Build the programs and libogrt.so, and install them. DESTDIR is honoured.
#[derive(Args)]
pub struct Install {
    /// Where to: DIR/bin, DIR/lib, DIR/libexec, DIR/share.
    #[arg(long, value_name = "DIR")]
    prefix: PathBuf,
}

/// Names of one program besides its own, as symlinks beside it.
const OTHER_NAMES: [(&str, &str); 2] = [("ogrt-c++", "ogrt-cc"), ("ogrt-fc", "ogrt-cc")];

/// Names by which compiler drivers call linkers.
const LINKER_NAMES: [&str; 6] = ["ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold", "ld.wild"];

/// How systemd runs the server.
const UNITS: [(&str, &str); 2] = [
    ("ogrt-server.service", include_str!("../../server/systemd/ogrt-server.service")),
    ("ogrt-server.socket", include_str!("../../server/systemd/ogrt-server.socket")),
];

impl Install {
    /// Does the chore.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let prefix = std::path::absolute(&self.prefix).with_context(|| self.prefix.display().to_string())?;
        let place = match env::var_os("DESTDIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => Path::new(&dir).join(prefix.strip_prefix("/").unwrap_or(&prefix)),
            None => prefix.clone(),
        };
        let mut steps = Steps::new(4);
        steps.step("tools of this machine", |step| install_tools(step, BUILD_TOOLS))?;
        let linkage =
            steps.step("Rust target for static programs", |step| Ok(static_linkage(step, &workspace)))?;
        let built =
            steps.step("build programs and library", |step| programs::build(step, &workspace, &linkage))?;
        steps.step(&format!("install into {}", place.display()), |_| into_place(&place, &prefix, &built))
    }
}

/// Puts what was built into `prefix`.
pub fn into(prefix: &Path, built: &Built) -> Result<()> {
    into_place(prefix, prefix, built)
}

/// The same, to be moved from `place` to `prefix` by a packager.
fn into_place(place: &Path, prefix: &Path, built: &Built) -> Result<()> {
    let (bin, lib, libexec) = (place.join("bin"), place.join("lib"), place.join("libexec/ogrt"));
    let systemd = lib.join("systemd/system");
    for folder in [&bin, &lib, &libexec, &systemd] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    for program in &built.programs {
        copy(program, &bin)?;
    }
    copy(&built.library, &lib)?;
    for (name, program) in OTHER_NAMES {
        link(Path::new(program), &bin.join(name))?;
    }
    for name in LINKER_NAMES {
        link(Path::new("../../bin/ogrt-ld"), &libexec.join(name))?;
    }
    for (name, unit) in UNITS {
        let path = systemd.join(name);
        let text = unit.replace("@PREFIX@", &prefix.display().to_string());
        replace(&path, |new| fs::write(new, &text)).with_context(|| path.display().to_string())?;
    }
    share::install(place)?;
    manuals::install(place)
}

/// Copies a file into a folder.
pub(crate) fn copy(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().with_context(|| format!("{}: no file name", file.display()))?;
    replace(&folder.join(name), |new| copy_at_once(file, new))
        .with_context(|| format!("{} to {}", file.display(), folder.display()))
}

/// In one piece: so the kernel holds it in large ones, and a program that starts finds more of itself at each fault.
fn copy_at_once(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::write(to, fs::read(from)?)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

fn link(to: &Path, from: &Path) -> Result<()> {
    replace(from, |new| symlink(to, new)).with_context(|| from.display().to_string())
}

/// Makes a file under another name, then gives it its own.
fn replace(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let result = make(&new).and_then(|()| fs::rename(&new, path));
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result
}
