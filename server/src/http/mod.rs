//! The HTTP interface: questions about builds and jobs, registration of builds, health and metrics.
//!
//! Every error is a problem document (RFC 9457). Work on the database runs where it may block.

mod builds;
mod connections;
mod dependents;
mod installations;
mod jobs;
mod problem;
mod question;
mod transfer;
mod uses;

use crate::{
    jobs::Jobs,
    metrics::Metrics,
    receive::Intake,
    registry::{Installations, Registry},
    uses::Uses,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use problem::Problem;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Semaphore;

pub use connections::serve;

/// The interface as machines read it; a test holds it against the routes.
const OPENAPI: &str = include_str!("../../openapi.json");

/// Questions that walk over millions of builds, at once; others wait.
pub const HEAVY_MAX: usize = 2;

/// What the answers are made from.
#[derive(Clone)]
pub struct Sources {
    /// Builds.
    pub registry: Arc<dyn Registry>,
    /// What package managers installed.
    pub installations: Arc<Installations>,
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Who ran what.
    pub uses: Arc<Uses>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Where registrations go.
    pub intake: Intake,
    /// Largest build record.
    pub body_max: usize,
    /// Bounds the questions that take much memory.
    pub heavy: Arc<Semaphore>,
}

/// Every path with what answers there.
fn routes() -> Vec<(&'static str, MethodRouter<Sources>)> {
    vec![
        ("/v1/builds/{signature}", get(builds::one)),
        ("/v1/builds", get(builds::list).post(builds::register)),
        ("/v1/dependents/{what}", get(dependents::of)),
        ("/v1/uses/{what}", get(uses::of)),
        ("/v1/unregistered", get(uses::unregistered)),
        ("/v1/installations", get(installations::list).post(installations::register)),
        ("/v1/jobs/{job_id}", get(jobs::one)),
        ("/v1/export", get(transfer::export)),
        ("/v1/import", post(transfer::import)),
        ("/v1/openapi.json", get(openapi)),
        ("/healthz", get(health)),
        ("/metrics", get(metrics_text)),
    ]
}

/// All of it, ready to be served.
pub fn router(sources: Sources) -> Router {
    let routes = routes().into_iter().fold(Router::new(), |all, (path, answers)| all.route(path, answers));
    routes
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes other methods")
        })
        .layer(DefaultBodyLimit::max(sources.body_max))
        .layer(from_fn_with_state(sources.clone(), require_token))
        .with_state(sources)
}

/// What changes anything needs the token, where the configuration asks for one.
async fn require_token(State(sources): State<Sources>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| value.strip_prefix("Bearer "));
    if request.method().is_safe() || sources.intake.tokens.permit(token) {
        return next.run(request).await;
    }
    sources.metrics.builds_unauthorized.add(1);
    let detail = "registering needs a token that this server knows: Authorization: Bearer; \
                  ogrt shows the one in OGRT_TOKEN_FILE";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

/// Healthy while every output works.
async fn health(State(sources): State<Sources>) -> Response {
    let outputs: BTreeMap<String, serde_json::Value> = sources
        .metrics
        .outputs()
        .into_iter()
        .map(|(name, metrics)| {
            let state = if metrics.up.get() == 1 { "up" } else { "failing" };
            let mut output = json!({ "state": state, "lag_batches": metrics.lag.get() });
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

async fn metrics_text(State(sources): State<Sources>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], sources.metrics.text())
        .into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// As [`run_blocking`], and few at once.
async fn run_heavy<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    sources: &Sources,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    let stops = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops");
    let permit = sources.heavy.clone().acquire_owned().await.map_err(stops)?;
    // The permit goes with the work: who hangs up does not make room while it still runs.
    run_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

/// Runs work that may block, away from the tasks that serve others.
async fn run_blocking<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer.map_err(E::into),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server stops")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_openapi_document_has_the_paths_that_are_answered() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let described = document["paths"].as_object().unwrap();
        let described: BTreeSet<&str> = described.keys().map(String::as_str).collect();
        let answered: BTreeSet<&str> = routes().iter().map(|(path, _)| *path).collect();
        assert_eq!(described, answered);
    }

    #[test]
    fn the_openapi_document_says_that_a_token_may_be_missing() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let posted = methods.get("post").map(|post| post["responses"].get("401").is_some());
            assert_ne!(posted, Some(false), "{path}");
        }
    }
}
