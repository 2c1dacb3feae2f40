//! Building the five static programs, libogrt.so, and the object for static programs of others.
//!
//! `preload` is built by a cargo call of its own (see ARCHITECTURE.md), into a folder of its own in
//! cargo's target folder.

use crate::{machine::Linkage, static_object, steps::Step, workspace::Workspace};
use anyhow::Result;
use std::{ffi::OsString, path::PathBuf, process::Command};

/// Each package and its program.
const PROGRAMS: [(&str, &str); 3] =
    [("ogrt-cli", "ogrt"), ("ogrt-observe", "ogrt-observe"), ("ogrt-server", "ogrt-server")];

/// The wrappers. Each is a package with one program of the same name.
const WRAPPERS: [&str; 2] = ["ogrt-cc", "ogrt-ld"];

/// Options that link a wrapper at a fixed address and in one piece.
///
/// A wrapper is started for each step of a build, and its cost is mostly pages that are touched for
/// the first time. At a fixed address no page has to be changed at the start, and in one piece
/// fewer have to be fetched (docs/decisions/0009-layout-of-the-wrappers.md).
const IN_ONE_PIECE: [&str; 4] = ["-C", "relocation-model=static", "-C", "link-arg=-Wl,-z,noseparate-code"];

/// The paths of what was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The programs `ogrt`, `ogrt-cc`, `ogrt-ld`, `ogrt-observe` and `ogrt-server`.
    pub programs: Vec<PathBuf>,
    /// The library `libogrt.so`.
    pub library: PathBuf,
    /// The object for static programs; `None` on a machine for which there is none.
    pub static_object: Option<PathBuf>,
}

impl Built {
    /// The profile of cargo that the programs were built with.
    pub fn profile(&self) -> &str {
        let folder = self.programs.first().and_then(|program| program.parent()?.file_name()?.to_str());
        folder.unwrap_or("release")
    }
}

/// Builds all of it as it is shipped, optimised.
pub fn build(step: &Step, workspace: &Workspace, linkage: &Linkage) -> Result<Built> {
    build_as(step, workspace, linkage, "release")
}

/// Builds all of it for the demo: as it is shipped where that was built before, else without
/// optimisation, which takes a third of the time.
pub fn build_for_demo(step: &Step, workspace: &Workspace, linkage: &Linkage) -> Result<Built> {
    let shipped = workspace.target.join(triple(linkage)).join("release");
    let is_there = programs().all(|program| shipped.join(program).exists());
    build_as(step, workspace, linkage, if is_there { "release" } else { "demo" })
}

fn triple(linkage: &Linkage) -> &str {
    match linkage {
        Linkage::Musl(triple) | Linkage::StaticGlibc(triple) => triple,
    }
}

fn programs() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().map(|(_, program)| program).chain(WRAPPERS)
}

fn build_as(step: &Step, workspace: &Workspace, linkage: &Linkage, profile: &str) -> Result<Built> {
    let mut cargo = cargo_for(workspace, linkage, &["build", "--profile", profile]);
    for (package, _) in PROGRAMS {
        cargo.args(["--package", package]);
    }
    step.run(&mut cargo)?;
    for package in WRAPPERS {
        let mut cargo = cargo_for(workspace, linkage, &["rustc", "--profile", profile]);
        step.run(cargo.args(["--package", package, "--bin", package, "--"]).args(IN_ONE_PIECE))?;
    }
    let folder = workspace.target.join(triple(linkage)).join(profile);
    let programs = programs().map(|program| folder.join(program)).collect();
    let static_object = static_object::build(workspace, |cargo| step.run(cargo))?;
    Ok(Built { programs, library: build_library(step, workspace)?, static_object })
}

/// Builds a load generator: a package of its own, so that no dependency of the server is compiled a
/// second time with other features.
pub fn build_generator(step: &Step, workspace: &Workspace, linkage: &Linkage, name: &str) -> Result<PathBuf> {
    let mut cargo = cargo_for(workspace, linkage, &["build", "--profile", "release"]);
    step.run(cargo.args(["--package", "ogrt-load", "--bin", name]))?;
    Ok(workspace.target.join(triple(linkage)).join("release").join(name))
}

fn cargo_for(workspace: &Workspace, linkage: &Linkage, arguments: &[&str]) -> Command {
    let mut cargo = workspace.cargo(arguments);
    let triple = triple(linkage);
    match linkage {
        Linkage::Musl(_) => {}
        Linkage::StaticGlibc(_) => {
            let flags = format!("target.{triple}.rustflags=[\"-Ctarget-feature=+crt-static\"]");
            cargo.args(["--config", &flags]);
        }
    }
    if triple != workspace.host {
        // One crate (ring, for TLS) has some C. It needs no libc, so any compiler will do for musl.
        // It is the same one on all machines: whether musl-gcc is installed changes nothing.
        cargo.env(format!("CC_{}", triple.replace('-', "_")), "gcc");
    }
    cargo.args(["--locked", "--target", triple]);
    cargo
}

/// Builds libogrt.so alone.
pub fn build_library(step: &Step, workspace: &Workspace) -> Result<PathBuf> {
    let target = workspace.target.join("preload");
    let mut cargo =
        workspace.cargo(&["build", "--release", "--locked", "--manifest-path", "preload/Cargo.toml"]);
    let option: OsString = "--target-dir".into();
    step.run(cargo.args([&option, target.as_os_str()]))?;
    Ok(target.join("release/libogrt.so"))
}
