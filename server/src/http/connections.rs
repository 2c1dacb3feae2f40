//! The connections of the HTTP interface, with or without TLS: bounded in number, and each kept
//! only while its peer makes progress.
//!
//! No connection waits for a place, or `/healthz` would wait with it. Where all places are taken,
//! the connection is closed that has kept us waiting longest: for the head or the body of a
//! request, or for the next request; then one that reads its answer. One whose request we work on
//! is never closed for another, and of those there are at most [`super::places::REQUESTS_MAX`], far
//! less than places. The head of a request may take ten seconds; of a body and an answer some bytes
//! must move in each ten seconds ([`super::bodies`], [`ANSWER_PACE`]); and a whole connection may
//! last half an hour.

use super::occupant::Occupant;
use crate::{
    metrics::Metrics,
    progress::{Pace, Progress},
    shutdown::Shutdown,
    tls_server::Tls,
};
use axum::{Router, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    collections::HashMap,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// Most connections at once.
const CONNECTIONS_MAX: usize = 1024;

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1800);

/// Largest head of a request, and the most of an answer that is gathered for one write, in bytes.
const BUFFER_MAX: usize = 64 << 10;

/// How fast an answer must be read.
const ANSWER_PACE: Pace = Pace { bytes: 64 << 10, within: Duration::from_secs(10) };

/// The connections that are open.
pub struct Connections {
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Open {
    next: u64,
    occupants: HashMap<u64, Arc<Occupant>>,
}

impl Connections {
    /// None so far.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Connections { open: Mutex::default(), metrics }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection.
    fn enter(&self) -> (u64, Arc<Occupant>) {
        if self.open().occupants.len() >= CONNECTIONS_MAX {
            self.make_room();
        }
        let mut open = self.open();
        let (number, occupant) = (open.next, Arc::new(Occupant::default()));
        open.next += 1;
        open.occupants.insert(number, occupant.clone());
        (number, occupant)
    }

    fn leave(&self, number: u64) {
        self.open().occupants.remove(&number);
    }

    /// Closes the connection that has kept us waiting longest.
    fn make_room(&self) {
        let mut open = self.open();
        let idle = open.occupants.iter().filter_map(|(number, occupant)| Some((occupant.idle()?, *number)));
        if let Some((_, number)) = idle.min()
            && let Some(occupant) = open.occupants.remove(&number)
        {
            occupant.close();
            self.metrics.http_displaced.add(1);
        }
    }
}

/// Serves connections until the shutdown.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    routes: Router,
    connections: Arc<Connections>,
    shutdown: Shutdown,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.wait() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(problem) => {
                warn!("cannot accept an HTTP connection: {problem}. Trying again");
                // Out of descriptors, most likely.
                connections.make_room();
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let (number, occupant) = connections.enter();
        let (tls, routes, shutdown) = (tls.clone(), routes.clone(), shutdown.clone());
        let connections = connections.clone();
        tokio::spawn(async move {
            let served = timeout(CONNECTION_TIMEOUT, one(stream, tls, routes, occupant.clone(), shutdown));
            tokio::select! {
                served = served => if let Err(problem) = served {
                    debug!("the HTTP connection of {peer} is closed after {CONNECTION_TIMEOUT:?} ({problem})");
                },
                () = occupant.closed() => debug!("the HTTP connection of {peer} is closed: others need its place"),
            }
            connections.leave(number);
        });
    }
}

async fn one(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    routes: Router,
    occupant: Arc<Occupant>,
    shutdown: Shutdown,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => answer(stream, routes, occupant, shutdown).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => answer(stream, routes, occupant, shutdown).await,
            Err(problem) => debug!("an HTTP connection is closed before its first request: {problem:#}"),
        },
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: Router,
    occupant: Arc<Occupant>,
    shutdown: Shutdown,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER_MAX);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(occupant.clone());
        let (occupant, answer) = (occupant.clone(), routes.call(request));
        async move { answer.await.map(|answer| occupant.until_sent(answer)) }
    });
    let stream = TokioIo::new(Prompt { stream, progress: Progress::new(ANSWER_PACE) });
    let mut connection = pin!(server.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.wait() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(problem) = ended {
        debug!("an HTTP connection ended early: {problem}");
    }
}

/// A stream whose peer must read what is written, at the pace of answers.
struct Prompt<S> {
    stream: S,
    progress: Progress,
}

impl<S> Prompt<S> {
    /// Passes on what a write came to, unless the peer is too slow.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Ok(done)) => {
                self.progress.moved(bytes(&done));
                Poll::Ready(Ok(done))
            }
            Poll::Pending if self.progress.poll_too_slow(context).is_ready() => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is read too slowly")))
            }
            other => other,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written, |written| *written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut, |()| 0)
    }
}
