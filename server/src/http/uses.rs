//! `/v1/uses/{what}` and `/v1/unregistered`: who ran something, and which programs ran that nobody
//! registered.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer, bad_request, nanoseconds, page_limit},
    run_heavy,
};
use crate::uses::{UnregisteredPage, UnregisteredQuestion, UsesError, UsesQuestion};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The parameters that narrow the lists.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsesParameters {
    since: String,
    until: String,
    limit: String,
}

/// `GET /v1/uses/{what}`: who ran it, directly or through what contains it.
pub async fn of(
    State(sources): State<Sources>,
    Path(what): Path<String>,
    question: Result<Query<UsesParameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let question = question::read(question)?;
    let question = UsesQuestion {
        part: question::part(&what)?,
        since_ns: nanoseconds("since", &question.since)?,
        until_ns: nanoseconds("until", &question.until)?,
        limit: page_limit(&question.limit)?,
    };
    sources.uses.catch_up().await;
    let answer = run_heavy(&sources.clone(), move || sources.uses.answer(question)).await?;
    let Some(answer) = answer else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("{what} is not registered, and no process had it"),
        ));
    };
    let mut json = serde_json::to_value(&answer).unwrap_or_default();
    json["of"] = what.into();
    question::add_page(&mut json, None, answer.is_cut);
    Ok(Json(json))
}

/// The parameters that narrow the list of unregistered software.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnregisteredParameters {
    since: String,
    until: String,
    user: String,
    under: String,
    by: String,
    limit: String,
    cursor: String,
}

/// `GET /v1/unregistered`: programs or jobs, the latest first.
pub async fn unregistered(
    State(sources): State<Sources>,
    question: Result<Query<UnregisteredParameters>, QueryRejection>,
) -> JsonAnswer<Value> {
    let question = question::read(question)?;
    let by_job = match question.by.as_str() {
        "" | "program" => false,
        "job" => true,
        other => return Err(bad_request(format!("by={other}: expected program or job"))),
    };
    let from = question::number("cursor", &question.cursor)?.unwrap_or(0);
    let question = UnregisteredQuestion {
        since_ns: nanoseconds("since", &question.since)?,
        until_ns: nanoseconds("until", &question.until)?,
        user: question.user,
        under: question.under,
        from,
        limit: page_limit(&question.limit)?,
    };
    sources.uses.catch_up().await;
    let next = from.saturating_add(question.limit);
    run_heavy(&sources.clone(), move || {
        Ok::<_, UsesError>(if by_job {
            page("jobs", sources.uses.unregistered_by_job(&question)?, next)
        } else {
            page("programs", sources.uses.unregistered(&question)?, next)
        })
    })
    .await
    .map(Json)
}

fn page<T: Serialize>(name: &str, page: UnregisteredPage<T>, next: usize) -> Value {
    let mut answer = json!({});
    answer[name] = serde_json::to_value(&page.elements).unwrap_or_default();
    question::add_page(&mut answer, page.has_next.then(|| next.to_string()), page.is_cut);
    answer
}
