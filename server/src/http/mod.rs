//! The HTTP interface: questions about builds and jobs, registration of builds, health and figures.
//!
//! Every error is a problem document (RFC 9457). Work on the database runs where it may block.

mod builds;
mod installations;
mod jobs;
mod problem;

use crate::{
    jobs::Jobs,
    metrics::Metrics,
    receive::Intake,
    registry::{Installations, Registry},
    shutdown::Shutdown,
};
use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use problem::Problem;
use serde_json::json;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// What the answers are made from.
#[derive(Clone)]
pub struct Sources {
    /// Builds.
    pub registry: Arc<dyn Registry>,
    /// What package managers installed.
    pub installations: Arc<Installations>,
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Where registrations go.
    pub intake: Intake,
    /// Largest build record.
    pub body_max: usize,
}

/// Listens on the address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen for HTTP on {address}"))
}

/// Answers until the shutdown.
pub async fn serve(listener: TcpListener, sources: Sources, shutdown: Shutdown) -> Result<()> {
    let routes = Router::new()
        .route("/v1/builds/{signature}", get(builds::one))
        .route("/v1/builds", get(builds::list).post(builds::register))
        .route("/v1/installations", get(installations::list).post(installations::register))
        .route("/v1/jobs/{job_id}", get(jobs::one))
        .route("/healthz", get(health))
        .route("/metrics", get(figures))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes other methods")
        })
        .layer(DefaultBodyLimit::max(sources.body_max))
        .with_state(sources);
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move { shutdown.wait().await })
        .await
        .context("the HTTP interface failed")
}

/// Healthy while every output works.
async fn health(State(sources): State<Sources>) -> Response {
    let outputs: BTreeMap<String, serde_json::Value> = sources
        .metrics
        .outputs()
        .into_iter()
        .map(|(name, metrics)| {
            let state = if metrics.up.get() == 1 { "up" } else { "failing" };
            let mut output = json!({ "state": state, "behind_batches": metrics.behind.get() });
            if let Some(problem) = metrics.problem() {
                output["problem"] = problem.into();
            }
            (name, output)
        })
        .collect();
    let good = outputs.values().all(|output| output["state"] == "up");
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if good { "ok" } else { "an output fails" };
    (status, Json(json!({ "status": word, "outputs": outputs }))).into_response()
}

async fn figures(State(sources): State<Sources>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], sources.metrics.text())
        .into_response()
}

/// Runs work that may block, away from the tasks that serve others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(cause)) => {
            tracing::error!("a question could not be answered: {cause:#}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server's log says why"))
        }
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server stops")),
    }
}
