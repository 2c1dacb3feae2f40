//! `cargo xtask demo`: the whole path on real software, from nothing to the answer, each part
//! checked.
//!
//! zlib and zlib-ng are built by their own build systems (`configure && make`, CMake) with our
//! wrappers as the compiler. Their programs run under libogrt.so as job `demo`. Then the questions
//! are asked that a site asks. The demo prints what the commands print, and fails when something is
//! missing in it.

mod answers;
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
use software::Software;

/// Build real software with our wrappers, run it tracked, and ask about it.
///
/// Starts a server of its own, builds zlib and zlib-ng with ogrt-cc, and runs their programs under
/// libogrt.so. Then it prints the answers of `ogrt show`, `ogrt query` and `ogrt job`. It fails
/// when an answer is incomplete, and leaves nothing behind outside of cargo's target folder.
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask demo")]
pub struct Demo {}

impl Demo {
    /// The demo, top to bottom.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let scratch = Scratch::new()?;
        let mut steps = Steps::new(9);

        steps.step("tools of this machine", |step| install_tools(step, BUILD_TOOLS))?;
        let linkage =
            steps.step("Rust target for static programs", |step| Ok(static_linkage(step, &workspace)))?;
        let built = steps.step("build ogrt, ogrt-cc, ogrt-ld, ogrt-server and libogrt.so", |step| {
            programs::build_for_demo(step, &workspace, &linkage)
        })?;
        let prefix = scratch.folder("prefix")?;
        let server = steps.step("install, start the server", |_| {
            install::into(&prefix, &built)?;
            Daemon::start(&prefix.join("bin/ogrt-server"), &scratch.folder("server")?, &Ports::default())
        })?;
        let site = Site::new(&prefix, &server, &scratch.folder("spool")?)?;

        let sources = steps.step("sources of zlib and zlib-ng", |step| software::fetch(step, &workspace))?;
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
}
