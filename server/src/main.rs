//! The command: reads the configuration, starts the daemon, and tells it when to stop.

use anyhow::Context;
use clap::{Parser, Subcommand};
use ogrt_proto::printable::escaped;
use ogrt_server::{
    Config, KnownServer, LogFormat, LogLines, Reload, ServersOfRegistry, Shutdown, XaltImport,
    tokens::{self, Scopes, TokenStore},
};
use std::{os::unix::fs::MetadataExt, path::PathBuf, process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt-server print-default-config > ogrt.conf  every key, to be edited\n\
\x20 ogrt-server -c ogrt.conf check-config         is the configuration valid?\n\
\x20 ogrt-server -c ogrt.conf                      run the server\n\
\x20 ogrt-server -c ogrt.conf export > builds      save builds and installations\n\
\x20 ogrt-server -c ogrt.conf backup /backup/new   save everything, while it runs\n\
\x20 ogrt-server -c ogrt.conf rebuild-sums --dry-run are the sums of reports right?\n\
\x20 ogrt-server -c ogrt.conf token add easybuild  a token to register builds";

const TOKEN_EXAMPLES: &str = "Examples:\n\
\x20 ogrt-server -c ogrt.conf token add easybuild > token  a file for OGRT_TOKEN_FILE\n\
\x20 ogrt-server -c ogrt.conf token add node7 --scope relay  for the relay on a node\n\
\x20 ogrt-server -c ogrt.conf token list                   who has a token, and for what?\n\
\x20 ogrt-server -c ogrt.conf token remove easybuild       end what it permits";

const SERVERS_EXAMPLES: &str = "Examples:\n\
\x20 ogrt-server -c ogrt.conf servers list           which servers share the registry?\n\
\x20 ogrt-server -c ogrt.conf servers remove node7   that one is gone for good";

const EXPORT_EXAMPLES: &str = "Examples:\n\
\x20 ogrt-server -c ogrt.conf export > builds            while the server does not run\n\
\x20 curl http://127.0.0.1:7972/v1/export > builds       while it runs";

const IMPORT_EXAMPLES: &str = "Examples:\n\
\x20 ogrt-server -c ogrt.conf import < builds            while the server does not run\n\
\x20 split -l 1000 builds part. && for part in part.*; do\n\
\x20     curl --data-binary @$part http://127.0.0.1:7972/v1/import; done   while it runs\n\
\x20 ogrt-server import --xalt /var/log/xalt --until 2026-11-01   XALT's records, while it runs\n\
\x20 ogrt-server import --xalt /home/*/.xalt.d                    the same, from home directories";

const BACKUP_EXAMPLES: &str = "Examples:\n\
\x20 ogrt-server -c ogrt.conf backup /backup/$(date +%F)  while the server runs, or not\n\
\x20 cp -a /backup/2026-11-29 /var/lib/ogrt               as data_dir, before the server starts";

const REBUILD_EXAMPLES: &str = "Examples:\n\
\x20 systemctl stop ogrt-server\n\
\x20 ogrt-server -c ogrt.conf rebuild-sums --dry-run  are the sums right?\n\
\x20 ogrt-server -c ogrt.conf rebuild-sums            make them again\n\
\x20 systemctl start ogrt-server";

/// Receives events and build records from clients, joins them, and writes documents to outputs.
#[derive(Parser)]
#[command(name = "ogrt-server", version, after_help = EXAMPLES)]
struct Arguments {
    /// Read the configuration from FILE (TOML) instead of using the built-in defaults.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep all durable data in DIR, instead of in `data_dir` of the configuration.
    #[arg(long, global = true, value_name = "DIR", env = "OGRT_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// When the server is ready, write a JSON object with its addresses to FILE.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration, and report what is wrong with it.
    CheckConfig,
    /// Print every key of the configuration with its default and its meaning.
    PrintDefaultConfig,
    /// Print all builds and installations as JSON lines. While the server runs, use GET /v1/export
    /// instead.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export,
    /// Register builds and installations from such lines on standard input. While the server runs,
    /// use POST /v1/import instead.
    ///
    /// The option --xalt imports what XALT recorded, into the server that runs. Only root and the
    /// server's user may do that.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        /// Directories with XALT's records (file transmission), or files of a syslog with them.
        #[arg(long, value_name = "PATH", num_args = 1..)]
        xalt: Vec<PathBuf>,
        /// Only runs that began, and links that were made, on this day or later (2026-11-24, UTC).
        #[arg(long, value_name = "DATE", value_parser = first_moment, requires = "xalt")]
        since: Option<i64>,
        /// Only those before this day.
        #[arg(long, value_name = "DATE", value_parser = first_moment, requires = "xalt")]
        until: Option<i64>,
    },
    /// Save everything that the server keeps: queue, registry, jobs, uses and tokens. The server
    /// may run meanwhile.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// A directory that is empty or does not exist. Afterwards a server can start with it as
        /// its data_dir.
        dir: PathBuf,
    },
    /// Make the sums of reports again from the events that are kept. The server must not run.
    ///
    /// Days of which not all events are kept stay as they are. Exit status: 0 the sums are right
    /// now, 1 they differ (--dry-run), 2 error.
    #[command(after_help = REBUILD_EXAMPLES)]
    RebuildSums {
        /// Say what differs, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Add, remove or list tokens: who may register builds, relay events, or withdraw builds.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
    /// List or remove the servers that share a registry in PostgreSQL. No old builds are deleted
    /// while one of them does not say what ran there.
    #[command(after_help = SERVERS_EXAMPLES)]
    Servers {
        #[command(subcommand)]
        action: ServersAction,
    },
}

#[derive(Subcommand)]
enum ServersAction {
    /// Print the name and the number of each server, and how many seconds ago it was seen.
    List,
    /// Remove a server that is gone for good. What ran there counts until the day before it was
    /// gone. A server that runs cannot be removed.
    Remove {
        /// Its name or its number.
        #[arg(allow_hyphen_values = true)]
        server: String,
    },
}

#[derive(Subcommand)]
enum TokenAction {
    /// Make a token and print it. It is shown only now: the server keeps its digest.
    Add {
        /// Who gets the token, one word.
        name: String,
        /// What it permits, separated by commas: register, relay, read, administer.
        #[arg(long, value_name = "SCOPES", default_value_t = Scopes::REGISTER)]
        scope: Scopes,
    },
    /// Remove a token. It permits nothing from then on.
    Remove {
        /// The name that was given to `add`.
        name: String,
    },
    /// Print the names of all tokens, each with its scopes.
    List,
}

fn main() -> ExitCode {
    // What we write tells who ran what: nobody else reads it unless the configuration says so.
    private_files(UMASK);
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("ogrt-server: {}", escaped(&format!("{problem:#}")));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(Command::PrintDefaultConfig) = arguments.command {
        print!("{}", Config::documented_defaults());
        return Ok(ExitCode::SUCCESS);
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
        config.names.read_rules()?;
        let source = arguments.config.map_or("embedded defaults".into(), |path| path.display().to_string());
        println!("{source}: the configuration is valid, {} output(s)", config.outputs.len());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Command::Token { action }) = arguments.command {
        manage_tokens(action, &*ogrt_server::token_store(&config)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Command::Servers { action }) = arguments.command {
        manage_servers(action, &ogrt_server::servers(&config)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let set_log = start_log(&config)?;
    private_files(config.umask());
    match arguments.command {
        Some(Command::Export) => {
            ogrt_server::export(&config, std::io::stdout().lock())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Import { xalt, since, until }) if !xalt.is_empty() => {
            let period_ns = since.unwrap_or(0)..until.unwrap_or(i64::MAX);
            let wanted = XaltImport { paths: xalt, period_ns };
            print!("{}", ogrt_server::import_xalt(&config, &wanted)?);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Import { .. }) => {
            let imported = ogrt_server::import(&config, std::io::stdin().lock())?;
            println!("{imported}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Backup { dir }) => {
            raise_descriptors();
            let bytes = ogrt_server::backup(&config, &dir)?;
            println!("{}: a backup of {} MiB", dir.display(), bytes >> 20);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::RebuildSums { dry_run }) => return Ok(rebuild_sums(config, dry_run)),
        _ => {}
    }
    let reload = Reload { read: Box::new(read), set_log: Box::new(set_log) };
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let shutdown = stop_on_signals()?;
        ogrt_server::run(config, reload, arguments.ready_file, shutdown).await
    });
    // A thread may wait for a disk that is full.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.map(|()| ExitCode::SUCCESS)
}

/// Exit status 1 says that the sums differ, and not that something failed.
fn rebuild_sums(mut config: Config, is_trial: bool) -> ExitCode {
    raise_descriptors();
    let rebuilt = become_owner(&mut config)
        .and_then(|()| ogrt_server::rebuild_sums(&config, is_trial, std::io::stdout().lock()));
    match rebuilt {
        Ok(is_same) if is_same || !is_trial => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("ogrt-server: {}", escaped(&format!("{problem:#}")));
            ExitCode::from(2)
        }
    }
}

/// The directory in which we are, by a path that leads through no other.
const HERE: &str = "/proc/self/cwd";

/// Root becomes the user who owns the data directory, so that the server can read what is written.
/// That user may have no way to the directory, which systemd hides: so it is where we are.
fn become_owner(config: &mut Config) -> anyhow::Result<()> {
    use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
    let Ok(owner) = std::fs::metadata(&config.data_dir) else { return Ok(()) };
    if !geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let directory = config.data_dir.display();
    std::env::set_current_dir(&config.data_dir).with_context(|| format!("cannot enter {directory}"))?;
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    setgroups(&[gid])
        .and_then(|()| setresgid(gid, gid, gid))
        .and_then(|()| setresuid(uid, uid, uid))
        .with_context(|| format!("cannot become user {uid}, who owns {directory}"))?;
    config.data_dir = HERE.into();
    Ok(())
}

/// The bits that files and directories of ours do not have, before the configuration is read.
const UMASK: u32 = 0o077;

fn private_files(umask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
}

fn first_moment(text: &str) -> Result<i64, String> {
    ogrt_server::first_moment_ns(text).ok_or_else(|| "expected a date such as 2026-11-24".to_owned())
}

fn manage_tokens(action: TokenAction, store: &dyn TokenStore) -> anyhow::Result<()> {
    match action {
        TokenAction::Add { name, scope } => println!("{}", tokens::add(store, &name, scope)?),
        TokenAction::Remove { name } => tokens::remove(store, &name)?,
        TokenAction::List => {
            for token in store.list()? {
                println!("{} {}", token.holder.name, token.holder.scopes);
            }
        }
    }
    Ok(())
}

fn manage_servers(action: ServersAction, servers: &ServersOfRegistry) -> anyhow::Result<()> {
    match action {
        ServersAction::Remove { server } => servers.remove(&server)?,
        ServersAction::List => {
            for KnownServer { number, name, seen_s } in servers.list()? {
                println!("{name} {number} {seen_s}");
            }
        }
    }
    Ok(())
}

/// Each connection needs a descriptor, and shells permit few: raises the limit as far as the system
/// allows.
fn raise_descriptors() {
    use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(RLIMIT_NOFILE)
        && soft < hard
        && let Err(problem) = setrlimit(RLIMIT_NOFILE, hard, hard)
    {
        warn!(
            "cannot raise the limit of open descriptors: {problem}. At most {soft} connections and files are open at once"
        );
    }
}

/// Starts the log. Returns a function that changes its levels later.
fn start_log(config: &Config) -> anyhow::Result<impl Fn(&str) -> anyhow::Result<()> + use<>> {
    use tracing_subscriber::{Registry, filter::Targets, prelude::*, reload};
    let levels = |text: &str| {
        text.parse::<Targets>().with_context(|| {
            format!("log_level = \"{text}\": expected a level, such as info, or ogrt_server=debug,warn")
        })
    };
    let (filter, handle) = reload::Layer::<Targets, Registry>::new(levels(&config.log_level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogLines(std::io::stderr())).with_ansi(false);
    let lines: Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(move |text: &str| handle.reload(levels(text)?).context("cannot change the log's levels"))
}

/// Asks for an orderly stop at SIGTERM or SIGINT. A second signal ends the process at once.
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
                error!(
                    "a second signal to stop: ending at once. What is queued is sent after the next start"
                );
                std::process::exit(1);
            }
            info!("stopping: no more events are received, and outputs send what is queued");
            asked.ask();
        }
    });
    Ok(shutdown)
}
