//! `cargo xtask demo`: the whole path on real software, from nothing to the answer, each part
//! checked.
//!
//! zlib and zlib-ng are built by their own build systems (`configure && make`, CMake) with our
//! wrappers as the compiler. Their programs run under libogrt.so as job `demo`. Then the questions
//! are asked that a site asks. The demo prints what the commands print, and fails when something is
//! missing in it.
//!
//! With `--keep` or `--site` a server stays that holds a site in a box, to try questions on it
//! (`kept_site.rs`).

mod answers;
mod kept_site;
mod software;

use crate::{
    cleanup::Scratch,
    daemon::{Daemon, Ports},
    install,
    machine::{BUILD_TOOLS, install_tools, static_linkage},
    programs,
    site::Site,
    steps::Steps,
    workspace::Workspace,
};
use anyhow::Result;
use clap::Args;
use kept_site::KeptSite;
use software::Software;
use std::path::Path;

/// Build real software with our wrappers, run it tracked, and ask about it.
///
/// Starts a server of its own, builds zlib and zlib-ng with ogrt-cc, and runs their programs under
/// libogrt.so. Then it prints the answers of `ogrt show`, `ogrt query` and `ogrt job`. It fails
/// when an answer is incomplete, and leaves nothing behind outside of cargo's target folder.
///
/// A server with a site in a box runs afterwards, if --keep or --site asks for it: 14 months of
/// users, jobs and software that never were. Every question of the documents can be tried on it.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Then run a server with a site in a box, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Run that server alone: zlib and zlib-ng are not built.
    #[arg(long)]
    site: bool,
    #[command(flatten)]
    kept: KeptSite,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                            Show the whole path once
  cargo xtask demo --site                     Run a server with a site in a box, until Ctrl-C
  cargo xtask demo --site --jobs 300          The same with a small site, which is there sooner
  cargo xtask demo --site --folder /srv/box   Keep it, and start it again in a second";

impl Demo {
    /// The demo, top to bottom.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let scratch = Scratch::new()?;
        let is_kept = self.keep || self.site;
        let own_steps = if self.site { 4 } else { 9 };
        let mut steps = Steps::new(own_steps + if is_kept { KeptSite::STEPS } else { 0 });

        steps.step("tools of this machine", |step| install_tools(step, BUILD_TOOLS))?;
        let linkage =
            steps.step("Rust target for static programs", |step| Ok(static_linkage(step, &workspace)))?;
        let built = steps.step("build ogrt, ogrt-cc, ogrt-ld, ogrt-server and libogrt.so", |step| {
            programs::build_for_demo(step, &workspace, &linkage)
        })?;
        let prefix = scratch.folder("prefix")?;
        steps.step("install", |_| install::into(&prefix, &built))?;
        if !self.site {
            show(&workspace, &scratch, &prefix, &mut steps)?;
        }
        match is_kept {
            true => self.kept.run(&workspace, &scratch, &prefix, &built, &mut steps),
            false => Ok(()),
        }
    }
}

/// Builds real software, runs it, and asks about it.
fn show(workspace: &Workspace, scratch: &Scratch, prefix: &Path, steps: &mut Steps) -> Result<()> {
    let program = prefix.join("bin/ogrt-server");
    let server = Daemon::start(&program, &scratch.folder("server")?, &Ports::default())?;
    let site = Site::new(prefix, &server, &scratch.folder("spool")?)?;

    let sources = steps.step("sources of zlib and zlib-ng", |step| software::fetch(step, workspace))?;
    let zlib = steps.step("zlib: ./configure && make, CC=ogrt-cc", |step| {
        Software::zlib(step, &site, &sources, &scratch.folder("zlib")?)
    })?;
    let zlib_ng = steps.step("zlib-ng: CMake, CC=ogrt-cc", |step| {
        Software::zlib_ng(step, &site, &sources, &scratch.folder("zlib-ng")?)
    })?;
    let software = [zlib, zlib_ng];
    let runs = steps.step("run their programs under libogrt.so, JOBID=demo", |step| {
        software.iter().map(|software| software.run_programs(step, &site)).sum::<Result<usize>>()
    })?;
    let report = steps.step("ask", |step| answers::ask(step, &site, &software, runs))?;

    print!("{report}");
    println!(
        "\nThe demo is complete: every note was read, every build was joined ({:.0} s).",
        steps.seconds()
    );
    server.stop();
    Ok(())
}
