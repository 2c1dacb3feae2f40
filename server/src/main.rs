//! The command: reads the configuration, starts the daemon, tells it when to stop.

use anyhow::Context;
use clap::{Parser, Subcommand};
use ogrt_server::{Config, LogFormat, Reload, Shutdown, tokens};
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

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
    /// Makes, removes or lists tokens that permit the registration of builds.
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
}

#[derive(Subcommand)]
enum TokenAction {
    /// Makes a token and prints it, this once; its digest is kept.
    Add {
        /// Whose it is, one word.
        name: String,
    },
    /// Removes a token: it permits nothing any more.
    Remove {
        /// As it was given to `add`.
        name: String,
    },
    /// Prints the names of all tokens.
    List,
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
    let (file, data_dir) = (arguments.config.clone(), arguments.data_dir);
    let read = move || -> anyhow::Result<Config> {
        let mut config = file.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        if let Some(directory) = &data_dir {
            config.data_dir.clone_from(directory);
        }
        config.choose_places();
        Ok(config)
    };
    let config = read()?;
    if let Some(Command::CheckConfig) = arguments.command {
        let source = arguments.config.map_or("embedded defaults".into(), |path| path.display().to_string());
        println!("{source}: good, {} output(s)", config.outputs.len());
        return Ok(());
    }
    if let Some(Command::Token { action }) = arguments.command {
        return manage_tokens(action, &config.tokens_file());
    }
    let set_log = start_log(&config)?;
    match arguments.command {
        Some(Command::Export) => return ogrt_server::export(&config, std::io::stdout().lock()),
        Some(Command::Import) => {
            let imported = ogrt_server::import(&config, std::io::stdin().lock())?;
            println!("{imported}");
            return Ok(());
        }
        _ => {}
    }
    let reload = Reload { read: Box::new(read), set_log: Box::new(set_log) };
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let shutdown = stop_on_signals()?;
        ogrt_server::run(config, reload, arguments.ready_file, shutdown).await
    })
}

fn manage_tokens(action: TokenAction, path: &std::path::Path) -> anyhow::Result<()> {
    match action {
        TokenAction::Add { name } => println!("{}", tokens::add(path, &name)?),
        TokenAction::Remove { name } => tokens::remove(path, &name)?,
        TokenAction::List => {
            for name in tokens::names(path)? {
                println!("{name}");
            }
        }
    }
    Ok(())
}

/// A connection is a descriptor, and shells give few: as many as the system lets us have.
fn raise_descriptors() {
    use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(RLIMIT_NOFILE)
        && soft < hard
        && let Err(problem) = setrlimit(RLIMIT_NOFILE, hard, hard)
    {
        warn!("only {soft} descriptors can be open at once: {problem}");
    }
}

/// Starts the log; what sets its levels afterwards.
fn start_log(config: &Config) -> anyhow::Result<impl Fn(&str) -> anyhow::Result<()> + use<>> {
    use tracing_subscriber::{Registry, filter::Targets, prelude::*, reload};
    let levels =
        |text: &str| text.parse::<Targets>().with_context(|| format!("log_level = \"{text}\": no levels"));
    let (filter, handle) = reload::Layer::<Targets, Registry>::new(levels(&config.log_level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines: Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(move |text: &str| handle.reload(levels(text)?).context("the log cannot be changed"))
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
