//! `/v1/identify`: what a file is, or resembles; `/v1/sketches`: what programs that ran look like.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer, bad_request},
    run_blocking,
};
use crate::{
    learned::read_sketch,
    registry::{RegistryError, found_by::hexadecimal},
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Softwares of an answer: by default, and at most.
const LIMIT: usize = 3;
const LIMIT_MAX: usize = 100;

/// Most sketches of one request, and longest build-id in bytes.
const SKETCHES_MAX: usize = 20_000;
const BUILD_ID_MAX: usize = 64;

/// What is told of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileQuestion {
    build_id: String,
    path: String,
    sketch: String,
    limit: String,
}

/// `GET /v1/identify`: what a file is, else what it resembles.
pub async fn one(
    State(sources): State<Sources>,
    question: Result<Query<FileQuestion>, QueryRejection>,
) -> JsonAnswer<Value> {
    let question = question::read(question)?;
    let build_id = read_build_id(&question.build_id)?;
    let sketch = match question.sketch.as_str() {
        "" => None,
        text => Some(read_sketch(text).map_err(|refused| bad_request(format!("sketch={refused}")))?),
    };
    let limit = question::number("limit", &question.limit)?.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    run_blocking(move || {
        let names = &sources.names;
        names.catch_up();
        if let Some(name) = names.name(&build_id, question.path.as_bytes())? {
            return Ok::<_, RegistryError>(json!({ "known": name }));
        }
        let resembles = sketch.map(|sketch| names.resemblances(&sketch, limit)).transpose()?;
        Ok(json!({ "resembles": resembles.unwrap_or_default() }))
    })
    .await
    .map(Json)
}

fn read_build_id(text: &str) -> Result<Vec<u8>, Problem> {
    let bytes = hexadecimal(text).filter(|bytes| bytes.len() <= BUILD_ID_MAX);
    bytes.ok_or_else(|| bad_request(format!("build_id={text}: expected hexadecimal digits")))
}

/// Sketches of programs that ran.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SketchBatch {
    sketches: Vec<ObservedProgram>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObservedProgram {
    build_id: String,
    sketch: String,
}

/// `POST /v1/sketches`: keeps sketches of programs that ran; answered when they are durable.
pub async fn observe(
    State(sources): State<Sources>,
    body: Result<Bytes, BytesRejection>,
) -> JsonAnswer<Value> {
    let body = body.map_err(|cause| Problem::new(cause.status(), cause.body_text()))?;
    run_blocking(move || {
        let observed: SketchBatch = serde_json::from_slice(&body).map_err(|why| {
            bad_request(format!("the body is not a list of sketches as docs/api.md has it: {why}"))
        })?;
        if observed.sketches.len() > SKETCHES_MAX {
            return Err(bad_request(format!("a request has {SKETCHES_MAX} sketches at most: send several")));
        }
        let mut programs = Vec::new();
        for ObservedProgram { build_id, sketch } in observed.sketches {
            let build_id = read_build_id(&build_id)?;
            if build_id.is_empty() {
                return Err(bad_request("a sketch has no build-id"));
            }
            let sketch = read_sketch(&sketch).map_err(|refused| bad_request(refused.to_string()))?;
            programs.push((build_id, sketch));
        }
        let new = sources.learned.observe(&programs).map_err(Problem::from)?;
        Ok(json!({ "new": new, "known": programs.len() - new }))
    })
    .await
    .map(Json)
}
