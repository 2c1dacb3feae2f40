//! The daemon in one function: opens what is durable, starts each stage, and stops them in the order of the line.

use crate::{
    config::{Config, OutputConfig},
    database::Store,
    http,
    jobs::{self, Jobs},
    join::{DocumentBatches, Join, Joiner, Rules},
    metrics::Metrics,
    outputs::{self, RelayBuilds, Surroundings},
    queue::{EventIds, HeldEntries, Queue, Room, Writer, WriterMessage},
    receive::{Complaints, Drain, Intake, Streams},
    registry::{self, Installations, Summaries},
    reload::{Reload, ReloadTargets},
    retention, sd_notify,
    shutdown::Shutdown,
    sockets::Sockets,
    tls_server::Tls,
    tokens::Tokens,
    uses::{self, Uses},
};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{info, warn};

/// Runs the server until `shutdown`; `ready_file` is written when everything listens.
pub async fn run(
    config: Config,
    reload: Reload,
    ready_file: Option<PathBuf>,
    shutdown: Shutdown,
) -> Result<()> {
    let runtime = Handle::current();
    let metrics = Arc::new(Metrics::default());

    // What is durable.
    let store = Store::open(&config.data_dir)?;
    let mut places: Vec<String> = config.outputs.keys().cloned().collect();
    places.extend([jobs::CONSUMER, uses::CONSUMER].map(str::to_owned));
    let queue = Arc::new(Queue::open(store.queue(), &places)?);
    let held = Arc::new(HeldEntries::new(store.held()));
    let replay_until = queue.tail().borrow().next;

    // The registry, with its memory in front.
    let (summaries, registered) =
        Summaries::new(config.registry.cached_builds_max, config.registry.backend.unknown_for());
    let summaries = Arc::new(summaries);
    let registry = registry::open(&config.registry, &store, summaries.clone(), metrics.clone())?;

    // receive ->
    let (writer, to_writer) = Writer::open(
        store.queue(),
        queue.clone(),
        held.clone(),
        registry.clone(),
        metrics.clone(),
        config.queue.clone(),
        config.data_dir.clone(),
    )?;
    let intake = Intake {
        writer: to_writer.clone(),
        room: Room::new(config.receive.pending_bytes_max.0),
        ids: Arc::new(EventIds::new()),
        metrics: metrics.clone(),
        tokens: Arc::new(Tokens::new(&config.access, &config.data_dir)),
        datagram_complaints: Arc::new(Complaints::new(10)),
        stream_complaints: Arc::new(Complaints::new(1000)),
        drained: watch::Sender::new(0),
        shutdown: shutdown.clone(),
    };
    let (staying, stays) = tokio::sync::mpsc::unbounded_channel();
    let mut sockets = Sockets::passed();
    let tcp = sockets.listen(address(&config.listen)?, "TCP").await?;
    let tcp_address = tcp.local_addr().context("the TCP socket has no address")?;
    // The same port for both, where the configuration leaves it open and it is free.
    let udp_address = match address(&config.listen)?.port() {
        0 => Drain::free_address(tcp_address),
        _ => tcp_address,
    };
    let drain =
        Drain::bind(udp_address, &config.unix, &config.receive, intake.clone(), staying, &mut sockets)?;
    let udp_address = drain.udp_address()?;
    let http = sockets.listen(address(&config.http)?, "HTTP").await?;
    let http_address = http.local_addr().context("the HTTP socket has no address")?;
    let tls = Tls::open(&config.tls)?;
    let mut encrypted = Encrypted::default();
    if !config.tls.listen.is_empty() {
        encrypted.tcp = Some(sockets.listen(address(&config.tls.listen)?, "TCP with TLS").await?);
    }
    if !config.tls.http.is_empty() {
        encrypted.http = Some(sockets.listen(address(&config.tls.http)?, "HTTP with TLS").await?);
    }
    sockets.complain();
    let streams = Streams::new(intake.clone(), &config.receive);

    // -> queue -> join -> outputs
    let joiner = Arc::new(Joiner::new(registry.clone(), summaries));
    let documents = Arc::new(DocumentBatches::new(queue.clone(), held.clone(), joiner.clone())?);
    let installations = Arc::new(Installations::new(store.installations()));
    let to_rules = watch::Sender::new(Arc::new(Rules::new(&config)));
    let join = Join::open(
        store.join(),
        documents.clone(),
        config.join.clone(),
        to_rules.subscribe(),
        metrics.clone(),
        registered,
        to_writer.clone(),
    )?;
    let uses = Arc::new(Uses::new(
        store.uses(),
        queue.clone(),
        documents.clone(),
        joiner.clone(),
        registry.clone(),
        metrics.clone(),
        config.uses.clone(),
    )?);
    let jobs = Arc::new(Jobs::new(
        store.jobs(),
        queue.clone(),
        documents.clone(),
        joiner,
        metrics.clone(),
        config.jobs.clone(),
    ));
    let (mut opened, mut passing_on) = (Vec::new(), Vec::new());
    for (name, output) in &config.outputs {
        let counts = metrics.output(name);
        let around = Surroundings {
            name,
            data_dir: &config.data_dir,
            queue: &queue,
            replay_until,
            metrics: counts.clone(),
        };
        opened.push((name.clone(), outputs::open(output, around)?, counts));
        if let OutputConfig::Ogrt(ogrt) = output
            && ogrt.builds
        {
            passing_on.push(RelayBuilds::new(name, ogrt, queue.clone(), registry.clone(), metrics.clone())?);
        }
    }

    // Everything is there: each stage gets its thread, streams and HTTP are tasks.
    let give_up = Shutdown::new();
    let broken = shutdown.clone();
    let writing = stage("queue", move || {
        let result = writer.run();
        // Without its queue the server must not go on.
        broken.ask();
        result
    })?;
    let broken = shutdown.clone();
    let joining = stage("join", {
        let runtime = runtime.clone();
        move || {
            let result = join.run(&runtime);
            broken.ask();
            result
        }
    })?;
    let mut delivering = Vec::new();
    for (name, output, counts) in opened {
        let (runtime, queue, documents, give_up) =
            (runtime.clone(), queue.clone(), documents.clone(), give_up.clone());
        delivering.push(stage(&format!("out {name}"), move || {
            runtime.block_on(outputs::drive(name, output, replay_until, queue, documents, counts, give_up));
            Ok(())
        })?);
    }
    for builds in passing_on {
        let (runtime, give_up) = (runtime.clone(), give_up.clone());
        delivering.push(stage("builds", move || {
            runtime.block_on(builds.pass_on(give_up));
            Ok(())
        })?);
    }
    delivering.push(stage("jobs", {
        let (runtime, jobs, give_up) = (runtime.clone(), jobs.clone(), give_up.clone());
        move || {
            runtime.block_on(jobs.keep(give_up));
            Ok(())
        }
    })?);
    delivering.push(stage("uses", {
        let (runtime, uses, give_up) = (runtime.clone(), uses.clone(), give_up.clone());
        move || {
            runtime.block_on(uses.count(give_up));
            Ok(())
        }
    })?);
    // Ends by itself at the shutdown; nothing waits for it.
    stage("retention", {
        let (runtime, stop) = (runtime.clone(), shutdown.clone());
        let work = retention::keep_bounded(registry.clone(), uses.clone(), config.registry.clone(), stop);
        move || {
            runtime.block_on(work);
            Ok(())
        }
    })?;
    let draining = stage("drain", {
        let runtime = runtime.clone();
        move || {
            drain.run(&runtime);
            Ok(())
        }
    })?;
    let mut receiving = JoinSet::new();
    let addresses = Addresses {
        udp: udp_address,
        tcp: tcp_address,
        http: http_address,
        tls: encrypted.tcp.as_ref().and_then(|socket| socket.local_addr().ok()),
        https: encrypted.http.as_ref().and_then(|socket| socket.local_addr().ok()),
        unix: &config.unix,
    };
    receiving.spawn(streams.clone().accept_tcp(tcp, None));
    if let Some(tcp) = encrypted.tcp {
        receiving.spawn(streams.clone().accept_tcp(tcp, tls.clone()));
    }
    receiving.spawn(streams.clone().accept_staying(stays));
    let sources = http::Sources {
        registry,
        installations,
        jobs,
        uses,
        metrics,
        intake,
        heavy: Arc::new(Semaphore::new(http::HEAVY_MAX)),
        body_max: usize::try_from(config.receive.message_bytes_max.0).unwrap_or(usize::MAX),
    };
    let routes = http::router(sources);
    let mut serving = JoinSet::new();
    serving.spawn(http::serve(http, None, routes.clone(), shutdown.clone()));
    if let Some(http) = encrypted.http {
        serving.spawn(http::serve(http, tls.clone(), routes, shutdown.clone()));
    }
    let reloading =
        tokio::spawn(reload.at_each_hangup(config.clone(), ReloadTargets { rules: to_rules, tls }));
    addresses.announce(ready_file.as_deref())?;
    sd_notify::ready();

    shutdown.wait().await;
    sd_notify::stopping();

    // In the order of the line, each stage empties itself into the next.
    let within = config.stop_timeout.0;
    let orderly = timeout(within, async {
        ended(draining).await?;
        // With the drain gone there are no more connections to take over; those handed over have begun by then.
        while receiving.join_next().await.is_some() {}
        streams.ended().await;
        let _ = to_writer.send(WriterMessage::Stop);
        ended(writing).await?;
        ended(joining).await?;
        for stage in delivering {
            ended(stage).await?;
        }
        Ok::<(), anyhow::Error>(())
    })
    .await;
    give_up.ask();
    serving.shutdown().await;
    reloading.abort();
    match orderly {
        Ok(result) => result?,
        Err(_) => warn!(
            "not everything went out within {within:?}; it is in the queue, and goes out after the next start"
        ),
    }
    info!("stopped");
    Ok(())
}

/// Sockets that speak TLS.
#[derive(Default)]
struct Encrypted {
    tcp: Option<TcpListener>,
    http: Option<TcpListener>,
}

/// Where the server can be reached.
struct Addresses<'a> {
    udp: SocketAddr,
    tcp: SocketAddr,
    http: SocketAddr,
    tls: Option<SocketAddr>,
    https: Option<SocketAddr>,
    unix: &'a Path,
}

impl Addresses<'_> {
    /// Into the log, and into a file for who waits for it: that appears whole, or not at all.
    fn announce(&self, ready_file: Option<&Path>) -> Result<()> {
        let Addresses { udp, tcp, http, tls, https, unix } = self;
        info!(
            "ready: UDP {udp}, TCP {tcp}, HTTP {http}, Unix {}",
            if unix.as_os_str().is_empty() { "none".into() } else { unix.display().to_string() }
        );
        for (what, address) in [("TCP", tls), ("HTTP", https)] {
            if let Some(address) = address {
                info!("ready: {what} with TLS {address}");
            }
        }
        let Some(path) = ready_file else { return Ok(()) };
        let text = json!({
            "udp": udp.to_string(),
            "tcp": tcp.to_string(),
            "unix": unix.display().to_string(),
            "http": http.to_string(),
            "tls": tls.map(|address| address.to_string()),
            "https": https.map(|address| address.to_string()),
        });
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, format!("{text}\n"))
            .and_then(|()| std::fs::rename(&fresh, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| anyhow!("{text} is no address with a port"))
}

type Stage = (String, thread::JoinHandle<Result<()>>);

fn stage(name: &str, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Stage> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    Ok((name.to_owned(), thread.with_context(|| format!("cannot start the thread of {name}"))?))
}

/// Waits for the end of a stage.
async fn ended((name, thread): Stage) -> Result<()> {
    match tokio::task::spawn_blocking(move || thread.join()).await {
        Ok(Ok(result)) => result,
        _ => bail!("stage {name} ended by a panic"),
    }
}
