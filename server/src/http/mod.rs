//! The HTTP interface: questions about builds and jobs, registration of builds, health and metrics.
//!
//! Every error is a problem document (RFC 9457). Work on the database runs in threads that may
//! block.

mod admission;
mod bodies;
mod builds;
mod callers;
mod connections;
mod dependents;
mod file_names;
mod identify;
mod installations;
mod job_list;
mod jobs;
mod learned;
mod occupant;
mod places;
mod problem;
mod question;
mod report;
mod transfer;
mod uses;
mod withdrawals;

use crate::{
    jobs::Jobs,
    learned::{LearnedFiles, SoftwareNames},
    metrics::Metrics,
    receive::Intake,
    registry::Registry,
    reports::Reports,
    uses::Uses,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use places::Class;
use problem::Problem;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

pub use callers::HostNames;
pub use connections::{Connections, serve};
pub use places::Places;

/// The OpenAPI document; a test compares it with the routes.
const OPENAPI: &str = include_str!("../../openapi.json");

/// What the handlers answer from.
#[derive(Clone)]
pub struct Sources {
    pub registry: Arc<dyn Registry>,
    pub jobs: Arc<Jobs>,
    pub uses: Arc<Uses>,
    pub reports: Arc<Reports>,
    pub learned: Arc<LearnedFiles>,
    pub names: Arc<SoftwareNames>,
    pub metrics: Arc<Metrics>,
    /// The names that requests may call the server by.
    pub host_names: Arc<HostNames>,
    /// The intake that registers builds.
    pub intake: Intake,
    /// Bounds what all requests together take.
    pub places: Arc<Places>,
}

/// Every path with its class and its handlers.
fn routes() -> Vec<(&'static str, Class, MethodRouter<Sources>)> {
    use Class::{Always, Change, Heavy, Question, Stream};
    vec![
        ("/v1/builds/{signature}", Question, get(builds::one)),
        ("/v1/builds/{signature}", Change, delete(withdrawals::withdraw)),
        ("/v1/withdrawals", Question, get(withdrawals::list)),
        ("/v1/builds", Question, get(builds::list)),
        ("/v1/builds", Change, post(builds::register)),
        ("/v1/dependents/{what}", Heavy, get(dependents::of)),
        ("/v1/uses/{what}", Heavy, get(uses::of)),
        ("/v1/uses", Heavy, get(uses::loaded)),
        ("/v1/report", Heavy, get(report::make)),
        ("/v1/unregistered", Heavy, get(uses::unregistered)),
        ("/v1/installations", Question, get(installations::list)),
        ("/v1/installations", Change, post(installations::register)),
        ("/v1/learned", Question, get(learned::list)),
        ("/v1/learned", Change, post(learned::learn)),
        ("/v1/identify", Question, get(identify::one)),
        ("/v1/sketches", Change, post(identify::observe)),
        ("/v1/jobs", Heavy, get(job_list::list)),
        ("/v1/jobs/{job_id}", Stream, get(jobs::one)),
        ("/v1/export", Stream, get(transfer::export)),
        ("/v1/import", Change, post(transfer::import)),
        ("/v1/openapi.json", Always, get(openapi)),
        ("/healthz", Always, get(health)),
        ("/readyz", Always, get(ready)),
        ("/metrics", Always, get(metrics_text)),
    ]
}

/// The whole interface, ready to be served.
pub fn router(sources: Sources) -> Router {
    let routes = routes().into_iter().fold(Router::new(), |all, (path, class, answers)| {
        let place = from_fn_with_state((sources.places.clone(), class), admission::admit);
        all.route(path, answers.route_layer(place))
    });
    routes
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "this path does not exist: /v1/openapi.json lists all paths")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not take this method: /v1/openapi.json lists those that it takes",
            )
        })
        .layer(DefaultBodyLimit::max(sources.places.body_max))
        .layer(from_fn_with_state(sources.clone(), require_room))
        .layer(from_fn_with_state(sources.clone(), callers::check))
        .layer(from_fn(bodies::answer_refusals))
        .with_state(sources)
}

/// Nothing that is to be kept is taken while the store cannot keep it.
async fn require_room(State(sources): State<Sources>, request: Request, next: Next) -> Response {
    match request.method().is_safe() {
        false if !sources.intake.condition.takes_events() => not_ready(&sources).into_response(),
        _ => next.run(request).await,
    }
}

fn not_ready(sources: &Sources) -> Problem {
    let why = sources.intake.condition.refusals().join("; ");
    let why = if why.is_empty() { "the server starts or stops".into() } else { why };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("no events are taken: {why}"))
}

/// `GET /readyz`: ready while events are taken.
async fn ready(State(sources): State<Sources>) -> Response {
    match sources.intake.condition.takes_events() && !sources.intake.shutdown.asked() {
        true => Json(json!({ "status": "ready" })).into_response(),
        false => not_ready(&sources).into_response(),
    }
}

/// `GET /healthz`: healthy while events are taken and every output works.
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
    let follow = sources.intake.follow.offer();
    let has_observer = sources.metrics.observers.get() > 0;
    let mut answer = json!({ "status": word, "outputs": outputs, "follow": follow, "observe": has_observer,
        "accounting": sources.intake.follow.has_accounting() });
    let refusals = sources.intake.condition.refusals();
    if refusals.is_empty() {
        return (status, Json(answer)).into_response();
    }
    answer["status"] = "no events are taken".into();
    answer["problem"] = refusals.join("; ").into();
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

async fn metrics_text(State(sources): State<Sources>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], sources.metrics.text())
        .into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Runs work that may block in a thread where it holds up no other request.
async fn run_blocking<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    if cfg!(fuzzing) {
        // In one thread an input always takes the same way.
        return work().map_err(E::into);
    }
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
        let answered: BTreeSet<&str> = routes().iter().map(|(path, ..)| *path).collect();
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
