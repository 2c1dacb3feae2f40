//! The connections of the HTTP interface: with or without TLS, bounded in number and in time.
//!
//! Slow peers are cut off: the head of a request may take ten seconds, a whole connection half an
//! hour, because somebody may import millions of builds. No peer holds a connection for longer.

use crate::{shutdown::Shutdown, tls_server::Tls};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// Most connections at once; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 1024;

const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1800);

/// Serves connections until the shutdown.
pub async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, routes: Router, shutdown: Shutdown) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.wait() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(problem) => {
                warn!("cannot accept an HTTP connection: {problem}. Trying again");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, routes, shutdown) = (tls.clone(), routes.clone(), shutdown.clone());
        tokio::spawn(async move {
            if let Err(problem) = timeout(CONNECTION_TIMEOUT, one(stream, tls, routes, shutdown)).await {
                debug!("the HTTP connection of {peer} is closed after {CONNECTION_TIMEOUT:?} ({problem})");
            }
            drop(permit);
        });
    }
}

async fn one(stream: TcpStream, tls: Option<Arc<Tls>>, routes: Router, shutdown: Shutdown) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => answer(stream, routes, shutdown).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => answer(stream, routes, shutdown).await,
            Err(problem) => debug!("an HTTP connection is closed before its first request: {problem:#}"),
        },
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, routes: Router, shutdown: Shutdown) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let service = TowerToHyperService::new(routes);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
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
