//! `GET /v1/jobs/{job_id}`: what a job ran, each process with its end, and the ranks of each launch
//! together. A job is known by its cluster and its id: without `cluster` the answer has the jobs of
//! all clusters with this id, and names them.

use super::{Problem, Sources, question, run_blocking};
use crate::{jobs::JobAnswer, launches::launches};
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// The job id that stands for processes without a job.
const NO_JOB: &str = "no-job";

/// The parameters of a question about a job.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobParameters {
    cluster: String,
}

/// The job's document, in the form of the `jobs` files, with `launches` if it had any, and with
/// `"truncated": true` if it has too many processes.
pub async fn one(
    State(sources): State<Sources>,
    Path(job_id): Path<String>,
    parameters: Result<Query<JobParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let cluster = Some(question::read(parameters)?.cluster).filter(|cluster| !cluster.is_empty());
    sources.intake.settle().await;
    sources.jobs.catch_up().await;
    let key = job_id.clone();
    let document = run_blocking(move || {
        let cluster = cluster.as_deref().map(str::as_bytes);
        let of = |job_id: &[u8]| sources.jobs.answer(job_id, cluster).map_err(Problem::unanswered);
        let mut answer = of(key.as_bytes())?;
        if answer.processes.is_empty() && key == NO_JOB {
            answer = of(b"")?;
        }
        let is_known = !answer.processes.is_empty() || !answer.summaries.is_empty();
        Ok::<_, Problem>(is_known.then(|| document(&key, &answer)))
    })
    .await?;
    match document {
        Some(document) => Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response()),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no event of job {job_id} is kept: it had none, or they are older than jobs.keep"),
        )),
    }
}

fn document(job_id: &str, answer: &JobAnswer) -> Vec<u8> {
    let mut body = b"{\"job_id\":".to_vec();
    body.extend(serde_json::to_vec(job_id).unwrap_or_default());
    let clusters: Vec<_> = answer.clusters.iter().map(|name| String::from_utf8_lossy(name)).collect();
    if let [cluster] = &clusters[..]
        && !cluster.is_empty()
    {
        body.extend_from_slice(b",\"cluster\":");
        body.extend(serde_json::to_vec(cluster).unwrap_or_default());
    }
    if clusters.len() > 1 {
        body.extend_from_slice(b",\"clusters\":");
        body.extend(serde_json::to_vec(&clusters).unwrap_or_default());
    }
    body.extend_from_slice(b",\"processes\":[");
    body.extend(answer.processes.join(&b','));
    body.push(b']');
    let launches = launches(&answer.processes);
    if !launches.is_empty() {
        body.extend_from_slice(b",\"launches\":");
        body.extend(serde_json::to_vec(&launches).unwrap_or_else(|_| b"[]".to_vec()));
    }
    if !answer.summaries.is_empty() {
        body.extend_from_slice(b",\"summaries\":[");
        body.extend(answer.summaries.join(&b','));
        body.push(b']');
    }
    if answer.is_cut {
        body.extend_from_slice(b",\"truncated\":true");
    }
    body.push(b'}');
    body
}
