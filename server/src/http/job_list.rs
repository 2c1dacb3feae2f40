//! `GET /v1/jobs`: a list of jobs, the newest first.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer, bad_request},
    run_blocking,
};
use crate::{job_name, registry::found_by::hexadecimal, reports::JobListQuestion, sums::JobState};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use ogrt_proto::hex;
use serde_json::{Value, json};

/// The parameters of the question.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    job_id: String,
    state: String,
    user: String,
    account: String,
    partition: String,
    cluster: String,
    software: String,
    array_job: String,
    array_task: String,
    since: String,
    until: String,
    limit: String,
    cursor: String,
}

/// The list. It is `truncated` where jobs are missing.
pub async fn list(
    State(sources): State<Sources>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let parameters = question::read(parameters)?;
    let states = parameters.state.split(',').filter(|state| !state.is_empty());
    // Jobs are known by the name that the uid has here.
    let user = match parameters.user.parse().ok().and_then(|uid| sources.intake.users.name(uid)) {
        Some(name) => name.to_string(),
        None => parameters.user,
    };
    let after = match &parameters.cursor[..] {
        "" => None,
        cursor => Some(hexadecimal(cursor).ok_or_else(|| {
            bad_request(format!("cursor={cursor}: expected the value of `next` in the page before"))
        })?),
    };
    let asked = JobListQuestion {
        states: states.map(state).collect::<Result<_, _>>()?,
        user,
        account: parameters.account,
        partition: parameters.partition,
        cluster: Some(parameters.cluster)
            .filter(|cluster| !cluster.is_empty())
            .map(|cluster| job_name::cluster_key_of(&cluster)),
        software: parameters.software,
        job: Some(parameters.job_id).filter(|id| !id.is_empty()).map(|id| job_name::key_of(id.as_bytes())),
        array_job: question::number("array_job", &parameters.array_job)?,
        array_task: question::number("array_task", &parameters.array_task)?,
        since_ns: question::nanoseconds("since", &parameters.since)?,
        until_ns: question::nanoseconds("until", &parameters.until)?,
        after,
        limit: question::page_limit(&parameters.limit)?,
    };
    sources.intake.settle().await;
    let counted_until_ns = sources.reports.catch_up().await;
    let reports = sources.reports.clone();
    let page = run_blocking(move || reports.jobs(&asked)).await?;
    let mut answer = json!({ "jobs": page.jobs });
    question::add_page(&mut answer, page.next.map(|next| hex(&next)), page.is_cut);
    question::add_counted_until(&mut answer, counted_until_ns);
    Ok(Json(answer))
}

fn state(text: &str) -> Result<JobState, Problem> {
    JobState::read(text).ok_or_else(|| {
        let all = JobState::ALL.map(JobState::text).join(", ");
        bad_request(format!("state={text}: expected one of {all}, or several with commas between"))
    })
}
