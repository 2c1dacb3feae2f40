//! The command: reads the configuration, starts the daemon, tells it when to stop.

use anyhow::Context;
use clap::{Parser, Subcommand};
use ogrt_server::{Config, Shutdown};
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

/// Receives OGRT's events and build records, joins them, and hands them on.
#[derive(Parser)]
#[command(name = "ogrt-server", version)]
struct Arguments {
    /// Configuration (TOML); without one the embedded defaults hold.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything durable is kept, instead of `data_dir` of the configuration.
    #[arg(long, global = true, value_name = "DIR", env = "OGRT_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Written when the server is ready: a JSON object with the addresses in use.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Reads the configuration, says what is wrong with it, and ends.
    CheckConfig,
    /// Prints every key with its default and its meaning.
    PrintDefaultConfig,
    /// Prints all builds as JSON lines. While the server runs, ask it instead: GET /v1/export.
    Export,
    /// Takes builds in from such lines on the standard input. While the server runs: POST /v1/import.
    Import,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("ogrt-server: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(Command::PrintDefaultConfig) = arguments.command {
        print!("{}", Config::documented_defaults());
        return Ok(());
    }
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if let Some(directory) = arguments.data_dir {
        config.data_dir = directory;
    }
    config.choose_places();
    if let Some(Command::CheckConfig) = arguments.command {
        let source = arguments.config.map_or("embedded defaults".into(), |path| path.display().to_string());
        println!("{source}: good, {} output(s)", config.outputs.len());
        return Ok(());
    }
    start_log(&config)?;
    match arguments.command {
        Some(Command::Export) => return ogrt_server::export(&config, std::io::stdout().lock()),
        Some(Command::Import) => {
            let imported = ogrt_server::import(&config, std::io::stdin().lock())?;
            println!("{imported}");
            return Ok(());
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let shutdown = stop_on_signals()?;
        ogrt_server::run(config, arguments.ready_file, shutdown).await
    })
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    use tracing_subscriber::{filter::Targets, prelude::*};
    let levels: Targets = config.log.parse().with_context(|| format!("log = \"{}\"", config.log))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
    Ok(())
}

/// SIGTERM and SIGINT ask for an orderly stop; a second one ends the process at once.
fn stop_on_signals() -> anyhow::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if time > 0 {
                error!("asked a second time to stop: ending without draining");
                std::process::exit(1);
            }
            info!("stopping: receivers close, what was received goes out");
            asked.ask();
        }
    });
    Ok(shutdown)
}
