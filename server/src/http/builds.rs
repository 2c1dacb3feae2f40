//! `/v1/builds`: one build, a list of builds, and the registration of one.

use super::{Problem, Sources, blocking};
use crate::{
    queue::{Refusal, Submission},
    registry::{Filter, Registration},
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::StatusCode,
};
use ogrt_note::Signature;
use ogrt_proto::{BuildJson, BuildSummary};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Builds in a list, unless the question says otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// `GET /v1/builds/{signature}`
pub async fn one(
    State(sources): State<Sources>,
    Path(signature): Path<String>,
) -> Result<Json<BuildJson>, Problem> {
    let signature = Signature::parse(signature.as_bytes())
        .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, format!("{signature:?}: {cause}")))?;
    match blocking(move || sources.registry.record(signature)).await? {
        Some(record) => Ok(Json(BuildJson::from(&record))),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no build with signature {signature} is registered"),
        )),
    }
}

/// What a list may be narrowed by.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Question {
    name: Option<String>,
    user: Option<String>,
    /// Seconds of Unix time.
    since: Option<i64>,
    limit: Option<usize>,
}

/// One line of a list.
#[derive(Debug, Serialize)]
pub struct Listed {
    time_ns: i64,
    #[serde(flatten)]
    build: BuildSummary,
}

/// `GET /v1/builds?name=&user=&since=&limit=`, the newest first.
pub async fn list(
    State(sources): State<Sources>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(question) =
        question.map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, cause.body_text()))?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = Filter {
        name: given(question.name),
        user: given(question.user),
        since_ns: question.since.map(|seconds| seconds.saturating_mul(1_000_000_000)),
        limit: question.limit.unwrap_or(LIMIT).min(LIMIT_MAX),
    };
    let builds = blocking(move || sources.registry.list(&filter)).await?;
    let builds: Vec<Listed> = builds.into_iter().map(|(time_ns, build)| Listed { time_ns, build }).collect();
    Ok(Json(json!({ "builds": builds })))
}

/// `POST /v1/builds`: a protobuf BuildRecord; answered when it is durable.
pub async fn register(
    State(sources): State<Sources>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = body.map_err(|cause| Problem::new(cause.status(), cause.body_text()))?;
    let submission = Submission { builds: vec![body], ..Submission::default() };
    let answer = sources.intake.submit_for_answer(submission).await.await.unwrap_or(Err(Refusal::Closed));
    let answer =
        answer.map_err(|refusal| Problem::new(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()))?;
    match answer.builds.first().copied().unwrap_or_default() {
        Registration::New(signature) => {
            Ok((StatusCode::CREATED, Json(json!({ "signature": signature.to_string() }))))
        }
        Registration::Known(signature) => {
            Ok((StatusCode::OK, Json(json!({ "signature": signature.to_string() }))))
        }
        Registration::Conflict(signature) => Err(Problem::new(
            StatusCode::CONFLICT,
            format!("another build is registered with signature {signature}"),
        )),
        Registration::Malformed => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the body is no BuildRecord, or has no signature of 16 bytes",
        )),
    }
}
