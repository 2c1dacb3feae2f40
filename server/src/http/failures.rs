//! `GET /v1/jobs`: jobs in which something failed, the last failure first.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer},
    run_blocking,
};
use crate::{
    job_name,
    jobs::{FailureQuestion, JobState},
};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde_json::{Value, json};

/// The parameters of the question.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    state: String,
    user: String,
    cluster: String,
    since: String,
    until: String,
    limit: String,
}

/// The list. It is `truncated` where there are more, and where some of that time were dropped.
pub async fn list(
    State(sources): State<Sources>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let parameters = question::read(parameters)?;
    let states = parameters.state.split(',').filter(|state| !state.is_empty());
    let uid = match &parameters.user[..] {
        "" => None,
        user => match user.parse().ok().or_else(|| sources.intake.users.uid(user)) {
            Some(uid) => Some(uid),
            None => {
                return Err(question::bad_request(format!("user={user}: this server knows no such user")));
            }
        },
    };
    let asked = FailureQuestion {
        states: states.map(state).collect::<Result<_, _>>()?,
        uid,
        cluster: Some(parameters.cluster)
            .filter(|cluster| !cluster.is_empty())
            .map(|cluster| job_name::cluster_key_of(&cluster).to_vec()),
        since_ns: question::nanoseconds("since", &parameters.since)?,
        until_ns: question::nanoseconds("until", &parameters.until)?,
        limit: question::page_limit(&parameters.limit)?,
    };
    sources.intake.settle().await;
    let counted_until_ns = sources.jobs.catch_up().await;
    let jobs = sources.jobs.clone();
    let found = run_blocking(move || jobs.failures(&asked)).await?;
    let with_user = |(uid, mut job): (u32, Value)| {
        if let Some(name) = sources.intake.users.name(uid) {
            job["username"] = (*name).into();
        }
        job
    };
    let mut answer = json!({ "jobs": found.jobs.into_iter().map(with_user).collect::<Vec<_>>() });
    question::add_page(&mut answer, None, found.is_cut);
    question::add_counted_until(&mut answer, counted_until_ns);
    Ok(Json(answer))
}

fn state(text: &str) -> Result<JobState, Problem> {
    match text {
        "failed" => Ok(JobState::Failed),
        "killed" => Ok(JobState::Killed),
        "oom" => Ok(JobState::Oom),
        _ => Err(question::bad_request(format!("state={text}: expected failed, killed or oom"))),
    }
}
