//! `/v1/learned`: what unregistered programs and libraries are, and the learning of it.

use super::{
    Problem, Sources,
    callers::Caller,
    question::{self, JsonAnswer, bad_request, page_limit},
    run_blocking,
};
use crate::{
    clock::now_ns,
    learned::{FileFilter, LearnError, LearnedFile, read_batch},
    registry::{RegistryError, found_by::hexadecimal},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::StatusCode,
};
use ogrt_proto::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

/// The parameters that narrow a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnedQuestion {
    build_id: String,
    path: String,
    name: String,
    limit: String,
    cursor: String,
}

/// `GET /v1/learned`: a list of learned files.
pub async fn list(
    State(sources): State<Sources>,
    question: Result<Query<LearnedQuestion>, QueryRejection>,
) -> JsonAnswer<Value> {
    let question = question::read(question)?;
    let digits = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => match hexadecimal(text) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(bad_request(format!("{name}={text}: expected hexadecimal digits"))),
        },
    };
    let given = |text: String| (!text.is_empty()).then_some(text);
    let filter = FileFilter {
        build_id: digits("build_id", &question.build_id)?,
        path: given(question.path).map(String::into_bytes),
        name: given(question.name),
        after: digits("cursor", &question.cursor)?,
        limit: page_limit(&question.limit)?,
    };
    if filter.build_id.as_ref().is_some_and(|build_id| build_id.len() > usize::from(u8::MAX)) {
        return Err(bad_request("build_id: it is too long"));
    }
    run_blocking(move || {
        let page = sources.learned.list(&filter)?;
        let mut answer = json!({ "files": page.files.iter().map(in_json).collect::<Vec<_>>() });
        question::add_page(&mut answer, page.next.map(|key| hex(&key)), false);
        Ok::<_, RegistryError>(answer)
    })
    .await
    .map(Json)
}

fn in_json(file: &LearnedFile) -> Value {
    let mut json = serde_json::to_value(&file.names).unwrap_or_default();
    if let Some(keys) = json.as_object_mut() {
        keys.retain(|_, value| *value != "");
    }
    if !file.build_id.is_empty() {
        json["build_id"] = hex(&file.build_id).into();
    }
    if !file.path.is_empty() {
        json["path"] = String::from_utf8_lossy(&file.path).into();
    }
    json
}

/// `POST /v1/learned`: learns the files of packages; answered when they are durable.
pub async fn learn(
    State(sources): State<Sources>,
    Extension(Caller(holder)): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> JsonAnswer<Value> {
    let body = body.map_err(|cause| Problem::new(cause.status(), cause.body_text()))?;
    let by = holder.map(|holder| holder.name.clone()).unwrap_or_default();
    let learned = run_blocking(move || {
        let files = read_batch(&body, now_ns()).map_err(|refused| bad_request(refused.to_string()))?;
        sources.learned.learn(files).map_err(Problem::from)
    })
    .await?;
    let answer = serde_json::to_value(learned).unwrap_or_default();
    info!("files were learned, as the token {by} permits: {answer}");
    Ok(Json(answer))
}

impl From<LearnError> for Problem {
    fn from(cause: LearnError) -> Self {
        match cause {
            LearnError::Store(cause) => cause.into(),
            LearnError::Full => Problem::new(StatusCode::INSUFFICIENT_STORAGE, cause.to_string()),
        }
    }
}
