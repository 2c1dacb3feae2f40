//! `cargo xtask CHORE`: the project's chores, one list.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xtask::{bench::Bench, cleanup, demo::Demo, generate::Generate, install::Install, suite::Test};

/// The project's chores
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask test\n  cargo xtask install --prefix /opt/ogrt"
)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Demo(Demo),
    Test(Test),
    Install(Install),
    Bench(Bench),
    Generate(Generate),
}

fn main() -> ExitCode {
    let result = cleanup::on_interrupt().and_then(|()| match Cli::parse().chore {
        Chore::Demo(demo) => demo.run(),
        Chore::Test(test) => test.run(),
        Chore::Install(install) => install.run(),
        Chore::Bench(bench) => bench.run(),
        Chore::Generate(generate) => generate.run(),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
