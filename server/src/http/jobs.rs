//! `GET /v1/jobs/{job_id}`: what a job ran, each process with its end.

use super::{Problem, Sources, blocking};
use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// Processes without a job answer to this name.
const NO_JOB: &str = "no-job";

/// The job's document, in the shape of the `jobs` files; `"truncated": true` where it has too many processes.
pub async fn one(State(sources): State<Sources>, Path(job_id): Path<String>) -> Result<Response, Problem> {
    sources.intake.settle().await;
    sources.jobs.catch_up().await;
    let key = job_id.clone();
    let answer = blocking(move || {
        let answer = sources.jobs.answer(key.as_bytes())?;
        if answer.processes.is_empty() && key == NO_JOB { sources.jobs.answer(b"") } else { Ok(answer) }
    })
    .await?;
    if answer.processes.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("nothing is known of job {job_id}")));
    }
    let mut body = b"{\"job_id\":".to_vec();
    body.extend(serde_json::to_vec(&job_id).unwrap_or_default());
    body.extend_from_slice(b",\"processes\":[");
    body.extend(answer.processes.join(&b','));
    body.push(b']');
    if answer.is_cut {
        body.extend_from_slice(b",\"truncated\":true");
    }
    body.push(b'}');
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
