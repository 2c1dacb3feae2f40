//! Building what is shipped: the four static programs and libogrt.so.
//!
//! `preload` is built by a cargo call of its own (see ARCHITECTURE.md), into a folder beside cargo's target folder.

use crate::{child, machine::Linkage, steps::Step, workspace::Workspace};
use anyhow::Result;
use std::{ffi::OsString, path::PathBuf, process::Command};

/// Package and program.
const PROGRAMS: [(&str, &str); 2] = [("ogrt-cli", "ogrt"), ("ogrt-server", "ogrt-server")];

/// Programs that stand in front of others, and are their packages.
const WRAPPERS: [&str; 2] = ["ogrt-cc", "ogrt-ld"];

/// A wrapper is started for each step of a build, and most of what it costs is pages that are touched for the first time:
/// at a fixed address none has to be changed when it starts, and in one piece fewer have to be fetched
/// (docs/decisions/0009-layout-of-the-wrappers.md).
const IN_ONE_PIECE: [&str; 4] = ["-C", "relocation-model=static", "-C", "link-arg=-Wl,-z,noseparate-code"];

/// What was built, and where it lies.
#[derive(Clone, Debug)]
pub struct Built {
    /// `ogrt`, `ogrt-cc`, `ogrt-ld`, `ogrt-server`.
    pub programs: Vec<PathBuf>,
    /// `libogrt.so`.
    pub library: PathBuf,
}

/// Builds all of it, optimised: as it is shipped.
pub fn build(step: &Step, workspace: &Workspace, linkage: &Linkage) -> Result<Built> {
    build_as(step, workspace, linkage, "release")
}

/// The same to be looked at: what was built to be shipped where that is there, else the same programs without
/// optimisation, which takes a third of the time.
pub fn build_to_show(step: &Step, workspace: &Workspace, linkage: &Linkage) -> Result<Built> {
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
    Ok(Built { programs, library: build_library(step, workspace)? })
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
    if triple != workspace.host && !child::exists("musl-gcc") {
        // One crate (ring, for TLS) has a little C. It needs no libc, so any compiler will do for musl.
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
