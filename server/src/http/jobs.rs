//! `GET /v1/jobs/{job_id}`: what a job ran, each process with its end, and the ranks of each launch
//! together. A job is known by its cluster and its id: without `cluster` the answer has the jobs of
//! all clusters with this id, and names them.

use super::{Problem, Sources, question, run_blocking};
use crate::{job_key::job_key, job_name, jobs::JobAnswer, launches::launches};
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

/// The path of all jobs.
const JOBS: &str = "/v1/jobs/";

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
    uri: Uri,
    parameters: Result<Query<JobParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let cluster = Some(question::read(parameters)?.cluster).filter(|cluster| !cluster.is_empty());
    let cluster = cluster.map(|name| job_name::cluster_key_of(&name));
    // A job id may be any bytes, which a path of text is not.
    let asked = job_name::unescaped(uri.path().strip_prefix(JOBS).unwrap_or_default().as_bytes());
    let named = job_name::key_of(&asked);
    let name = job_name::of_key(&named).into_owned();
    sources.intake.settle().await;
    sources.jobs.catch_up().await;
    let document = run_blocking(move || {
        // What answers call a job comes first; then an id that looks like another one's name.
        for key in [named, job_key(&asked).into_owned()] {
            let answer = sources.jobs.answer(&key, cluster.as_deref()).map_err(Problem::unanswered)?;
            if !answer.processes.is_empty() || !answer.summaries.is_empty() {
                return Ok::<_, Problem>(Some(document(&job_name::of_key(&key), &answer)));
            }
        }
        Ok(None)
    })
    .await?;
    match document {
        Some(document) => Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response()),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no event of job {name} is kept: it had none, or they are older than jobs.keep"),
        )),
    }
}

fn document(job_id: &str, answer: &JobAnswer) -> Vec<u8> {
    let mut body = b"{\"job_id\":".to_vec();
    body.extend(serde_json::to_vec(job_id).unwrap_or_default());
    let clusters: Vec<_> = answer.clusters.iter().map(|name| job_name::of_cluster(name)).collect();
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
