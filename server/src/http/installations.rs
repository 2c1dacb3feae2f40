//! `/v1/installations`: what package managers installed, and the registration of an installation.

use super::{Problem, Sources, callers::Caller, run_blocking};
use crate::{
    clock::now_ns,
    registry::{InstallationFilter, InstallationId, RecordSender, read_installation},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ogrt_note::Signature;
use ogrt_proto::InstallationJson;
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};

/// How many installations a list has by default, and at most. They are few, because each holds the
/// list of its files; a page has fewer where these are long.
const LIMIT: usize = 20;
const LIMIT_MAX: usize = 1_000;

/// The parameters that narrow a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstallationsQuestion {
    prefix: Option<String>,
    module: Option<String>,
    signature: Option<String>,
    limit: Option<usize>,
    /// The value of `next` in the page before.
    cursor: Option<String>,
}

/// `GET /v1/installations?prefix=&module=&signature=&limit=&cursor=`: a list, the newest first.
pub async fn list(
    State(sources): State<Sources>,
    question: Result<Query<InstallationsQuestion>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(question) =
        question.map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, cause.body_text()))?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let signature = given(question.signature).map(|text| {
        Signature::parse(text.as_bytes())
            .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, format!("signature={text}: {cause}")))
    });
    let filter = InstallationFilter {
        prefix: given(question.prefix).map(String::into_bytes),
        module: given(question.module),
        signature: signature.transpose()?,
        before: given(question.cursor).map(|text| cursor(&text)).transpose()?,
        limit: question.limit.unwrap_or(LIMIT).min(LIMIT_MAX),
    };
    let registry = sources.registry.clone();
    let page = run_blocking(move || registry.installations(&filter)).await?;
    let bytes = page.installations.iter().map(Message::encoded_len);
    let share = sources.places.share_of_json(bytes.sum()).await?;
    let found: Vec<InstallationJson> = page.installations.iter().map(InstallationJson::from).collect();
    let mut answer = json!({ "installations": found });
    if let Some(next) = page.next {
        answer["next"] = format!("{:032x}", u128::from_be_bytes(next)).into();
    }
    Ok((share.map(Extension), Json(answer)).into_response())
}

fn cursor(text: &str) -> Result<InstallationId, Problem> {
    let number = u128::from_str_radix(text, 16);
    number.map(u128::to_be_bytes).map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("cursor={text}: expected the value of `next` in the page before"),
        )
    })
}

/// `POST /v1/installations`: registers a protobuf Installation; answered when it is durable.
pub async fn register(
    State(sources): State<Sources>,
    Extension(Caller(holder)): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = body.map_err(|cause| Problem::new(cause.status(), cause.body_text()))?;
    let mut installation = read_installation(&body)
        .map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, refused.to_string()))?;
    // The newest of a prefix is the one that is installed: nobody registers one for later.
    let now_ns = now_ns();
    installation.time_ns = Some(installation.time_ns.map_or(now_ns, |claimed_ns| claimed_ns.min(now_ns)));
    let sender = RecordSender { holder: holder.as_deref(), ..RecordSender::default() };
    installation.registrar = sender.registrar();
    let answer = json!({
        "prefix": String::from_utf8_lossy(installation.prefix()),
        "files": installation.files.len(),
    });
    run_blocking(move || sources.registry.register_installation(&installation)).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}
