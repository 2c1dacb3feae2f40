//! The sockets: bound before anything runs, and then given to those who receive and those who
//! answer.

use super::{Addresses, Shared, Stage};
use crate::{
    http,
    receive::{Drain, StayingStream, Streams},
    reports::Reports,
    sockets::Sockets,
    tls_server::Tls,
};
use anyhow::{Context, Result, anyhow};
use axum::Router;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

/// All sockets.
pub struct Listeners {
    pub receive: ReceiveSockets,
    pub http: HttpSockets,
    pub addresses: Addresses,
    /// The certificate, where one of them speaks TLS.
    pub tls: Option<Arc<Tls>>,
}

/// The sockets for events and records.
pub struct ReceiveSockets {
    drain: Drain,
    /// Connections that the drain hands over.
    staying: UnboundedReceiver<StayingStream>,
    tcp: Encryptable,
}

/// The sockets for questions.
pub struct HttpSockets(Encryptable);

/// A socket, and the one beside it that speaks TLS.
struct Encryptable {
    plain: TcpListener,
    encrypted: Option<TcpListener>,
    tls: Option<Arc<Tls>>,
}

impl Listeners {
    /// Binds the sockets, or takes them from the service manager.
    pub async fn bind(shared: &Shared) -> Result<Self> {
        let config = &shared.config;
        let mut sockets = Sockets::passed();
        let tcp = sockets.listen(address(&config.listen)?, "TCP").await?;
        let tcp_address = tcp.local_addr().context("the TCP socket has no address")?;
        // The same port for both, where the configuration leaves it open and it is free.
        let udp_address = match address(&config.listen)?.port() {
            0 => Drain::free_address(tcp_address),
            _ => tcp_address,
        };
        let (to_streams, staying) = unbounded_channel();
        let intake = shared.intake.clone();
        let drain = Drain::bind(
            udp_address,
            &config.unix,
            &config.observe,
            &config.receive,
            intake,
            to_streams,
            &mut sockets,
        )?;
        let http = sockets.listen(address(&config.http)?, "HTTP").await?;
        let tls = Tls::open(&config.tls)?;
        let tls_tcp = listen_if_set(&mut sockets, &config.tls.listen, "TCP with TLS").await?;
        let tls_http = listen_if_set(&mut sockets, &config.tls.http, "HTTP with TLS").await?;
        sockets.complain();
        let addresses = Addresses {
            udp: drain.udp_address()?,
            tcp: tcp_address,
            http: http.local_addr().context("the HTTP socket has no address")?,
            tls: tls_tcp.as_ref().and_then(|socket| socket.local_addr().ok()),
            https: tls_http.as_ref().and_then(|socket| socket.local_addr().ok()),
            unix: config.unix.clone(),
        };
        let tcp = Encryptable { plain: tcp, encrypted: tls_tcp, tls: tls.clone() };
        let http = HttpSockets(Encryptable { plain: http, encrypted: tls_http, tls: tls.clone() });
        Ok(Listeners { receive: ReceiveSockets { drain, staying, tcp }, http, addresses, tls })
    }
}

/// The first stage while it runs.
pub struct Receive {
    drain: Stage,
    streams: Streams,
    accepting: JoinSet<()>,
}

impl Receive {
    /// Starts the thread that drains, and the tasks that accept streams.
    pub fn start(shared: &Shared, sockets: ReceiveSockets) -> Result<Self> {
        let ReceiveSockets { drain, staying, tcp } = sockets;
        let runtime = shared.runtime.clone();
        let drain = Stage::start("drain", move || {
            drain.run(&runtime);
            Ok(())
        })?;
        let streams = Streams::new(shared.intake.clone(), &shared.config.receive);
        let mut accepting = JoinSet::new();
        accepting.spawn(streams.clone().accept_tcp(tcp.plain, None));
        if let Some(encrypted) = tcp.encrypted {
            accepting.spawn(streams.clone().accept_tcp(encrypted, tcp.tls));
        }
        accepting.spawn(streams.clone().accept_staying(staying));
        Ok(Receive { drain, streams, accepting })
    }

    /// Returns when all that had arrived at the shutdown is handed to the queue.
    pub async fn ended(mut self) -> Result<()> {
        self.drain.ended().await?;
        // With the drain gone there are no more connections to take over; those handed over have
        // begun by then.
        while self.accepting.join_next().await.is_some() {}
        self.streams.ended().await;
        Ok(())
    }
}

/// The HTTP interface, with the pages for people.
pub fn routes(shared: &Shared) -> Router {
    let body_max = usize::try_from(shared.config.receive.message_bytes_max.0).unwrap_or(usize::MAX);
    ogrt_page::with_pages(http::router(http::Sources {
        registry: shared.registry.clone(),
        jobs: shared.jobs.clone(),
        uses: shared.uses.clone(),
        reports: Arc::new(Reports::new(shared.uses.clone(), shared.registry.clone(), shared.names.clone())),
        learned: shared.learned.clone(),
        names: shared.names.clone(),
        metrics: shared.metrics.clone(),
        host_names: Arc::new(http::HostNames::new(&shared.config.http_hosts)),
        intake: shared.intake.clone(),
        places: Arc::new(http::Places::new(body_max, shared.metrics.clone())),
    }))
}

/// Answers questions until the shutdown.
pub fn answer(shared: &Shared, HttpSockets(sockets): HttpSockets) -> JoinSet<()> {
    let connections = Arc::new(http::Connections::new(shared.metrics.clone()));
    let routes = routes(shared);
    let mut answering = JoinSet::new();
    let shutdown = shared.shutdown.clone();
    answering.spawn(http::serve(sockets.plain, None, routes.clone(), connections.clone(), shutdown));
    if let Some(encrypted) = sockets.encrypted {
        let shutdown = shared.shutdown.clone();
        answering.spawn(http::serve(encrypted, sockets.tls, routes, connections, shutdown));
    }
    answering
}

async fn listen_if_set(sockets: &mut Sockets, text: &str, what: &str) -> Result<Option<TcpListener>> {
    match text {
        "" => Ok(None),
        text => sockets.listen(address(text)?, what).await.map(Some),
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| anyhow!("{text} is not an address with a port"))
}
