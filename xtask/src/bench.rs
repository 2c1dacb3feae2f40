//! `cargo xtask bench`: what we cost, each figure beside the peers' and the budget, in one run.
//!
//! The compared cases take turns in shuffled order, so that whatever else the machine does falls on
//! all of them alike. A cost is a share of the bare case: the median of pairs, each of one round.
//! Machines differ by more than we cost, so budgets are shares too. A figure of a peer stands here
//! only where it was measured beside ours, in one run.

mod figure;
mod ingest;
mod link;
mod measure;
mod process;

use crate::{
    child,
    cleanup::Scratch,
    daemon::{Daemon, Ports},
    install,
    machine::{BUILD_TOOLS, install_tools, static_linkage},
    programs,
    steps::Steps,
    workspace::Workspace,
};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::{fs, process::Command};

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                  Measure everything
  cargo xtask bench --quick          See that it works
  cargo xtask bench --only link      Measure links alone";

/// Measure what each process and each link costs, and how many events the server takes without
/// loss.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// Run fewer rounds: enough to see that it works, too few to quote the figures.
    #[arg(long)]
    quick: bool,
    /// Send events to the server for a minute at the budget's rate, instead of 20 seconds.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Measure one part alone.
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// One part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The time that a tracked process loses.
    Process,
    /// The time that a link loses.
    Link,
    /// The events that the server takes without loss.
    Server,
}

impl Bench {
    /// Builds the programs as they are shipped and measures them.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let scratch = Scratch::new()?;
        let prefix = scratch.folder("prefix")?;
        let wants = |part: Part| self.only.is_none_or(|only| only == part);
        let parts = [Part::Process, Part::Link, Part::Server].map(|part| usize::from(wants(part)));
        let mut steps = Steps::new(3 + parts[0] + parts[1] + 2 * parts[2]);
        steps.step("tools of this machine", |step| install_tools(step, BUILD_TOOLS))?;
        let linkage =
            steps.step("Rust target for static programs", |step| Ok(static_linkage(step, &workspace)))?;
        let mut server = steps.step("build, install, start the server", |step| {
            install::into(&prefix, &programs::build(step, &workspace, &linkage)?)?;
            Daemon::start(&prefix.join("bin/ogrt-server"), &scratch.folder("server")?, &Ports::default())
        })?;
        let mut tables = Vec::new();
        if wants(Part::Process) {
            let rounds = if self.quick { 100 } else { 2_000 };
            let figures = steps.step(&format!("cost of a process, {rounds} rounds"), |_| {
                process::figures(&prefix, &mut server, &scratch.folder("process")?, rounds)
            })?;
            tables.push(("For each process", figures));
        }
        if wants(Part::Link) {
            let rounds = if self.quick { 20 } else { 100 };
            let figures = steps.step(&format!("cost of a link, {rounds} rounds"), |_| {
                link::figures(&prefix, &server, &scratch.folder("link")?, rounds)
            })?;
            tables.push(("For each link", figures));
        }
        server.stop();
        if wants(Part::Server) {
            let generator = steps.step("build the load generator", |step| {
                programs::build_generator(step, &workspace, &linkage, "flood")
            })?;
            let lengths = if self.quick {
                ingest::Lengths { climb_s: 2, budget_s: 2 }
            } else {
                ingest::Lengths { climb_s: 10, budget_s: if self.full { 60 } else { 20 } }
            };
            let title = format!(
                "events without loss, {} s a rate, {} s at the budget's",
                lengths.climb_s, lengths.budget_s
            );
            let figures = steps.step(&title, |step| ingest::figures(step, &generator, &prefix, lengths))?;
            tables.push(("The server, events", figures));
        }

        println!("\n{}\n", machine()?);
        for (title, figures) in &tables {
            figure::print(title, figures);
        }
        println!("{}", figure::PEERS);
        Ok(())
    }
}

/// `2026-11-23, Linux 6.1.0, 2 cores, Intel(R) Xeon(R)`.
fn machine() -> Result<String> {
    let date = child::capture(Command::new("date").args(["-u", "+%F %H:%M UTC"]))?;
    let kernel = child::capture(Command::new("uname").arg("-srm"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    Ok(format!(
        "{}, {}, {cores} cores, {}",
        date.trim(),
        kernel.trim(),
        model.trim_start_matches(['\t', ' ', ':'])
    ))
}
