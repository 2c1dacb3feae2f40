//! `/v1/builds`: one build, a list of builds, and the registration of a build.

use super::{
    Problem, Sources,
    callers::Caller,
    question::{self, JsonAnswer, Named, nanoseconds, page_limit},
    run_blocking,
};
use crate::{
    queue::{Refusal, Submission},
    registry::{BuildFilter, Page, Part, RecordSender, Registration, found_by, stamp, transfer::readable},
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
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// How long to wait for the outcome of a registration in the registry's own database. After that,
/// the answer is that it is accepted.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

/// `GET /v1/builds/{signature}`
pub async fn one(State(sources): State<Sources>, Named(signature): Named) -> Result<Response, Problem> {
    let signature = Signature::parse(signature.as_bytes())
        .map_err(|cause| Problem::new(StatusCode::BAD_REQUEST, format!("{signature:?}: {cause}")))?;
    let registry = sources.registry.clone();
    let Some(build) = run_blocking(move || registry.build(signature)).await? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no build with signature {signature} is registered"),
        ));
    };
    let share = sources.places.share_of_json(build.record.len()).await?;
    let build = run_blocking(move || readable(&build)).await?;
    Ok((share.map(Extension), Json(build)).into_response())
}

/// The parameters that narrow a list. All are text, so that an empty one counts as missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildsQuestion {
    name: String,
    version: String,
    user: String,
    since: String,
    until: String,
    compiler: String,
    flag: String,
    output_sha256: String,
    build_id: String,
    input_sha256: String,
    input_signature: String,
    transitive: String,
    limit: String,
    cursor: String,
}

/// `GET /v1/builds`: a list of builds, the newest first.
pub async fn list(
    State(sources): State<Sources>,
    question: Result<Query<BuildsQuestion>, QueryRejection>,
) -> JsonAnswer<Value> {
    let filter = filter(&question::read(question)?)?;
    let Page { builds, next, is_cut } = run_blocking(move || sources.registry.list(&filter)).await?;
    let mut answer = json!({ "builds": builds });
    question::add_page(&mut answer, next.map(question::write_cursor), is_cut);
    Ok(Json(answer))
}

fn filter(question: &BuildsQuestion) -> Result<BuildFilter, Problem> {
    let mut filter = BuildFilter {
        since_ns: nanoseconds("since", &question.since)?,
        until_ns: nanoseconds("until", &question.until)?,
        limit: page_limit(&question.limit)?,
        after: question::read_cursor(&question.cursor)?,
        ..BuildFilter::default()
    };
    let given = |text: &str| !text.is_empty();
    let digest = |name: &str, text: &str| match Part::parse(text) {
        Some(Part::Digest(digest)) => Ok(digest),
        _ => Err(question::bad_request(format!(
            "{name}={text}: expected the 64 hexadecimal digits of a SHA-256"
        ))),
    };
    let terms = &mut filter.terms;
    terms.extend(given(&question.name).then(|| found_by::name(&question.name)));
    terms.extend(given(&question.version).then(|| found_by::version(&question.version)));
    terms.extend(given(&question.user).then(|| found_by::user(&question.user)));
    terms.extend(question.compiler.split_whitespace().map(found_by::compiler_word));
    if given(&question.flag) {
        if !found_by::is_flag(&question.flag) {
            let why = "only flags that begin with - and hold no / can be searched";
            return Err(question::bad_request(format!("flag={}: {why}", question.flag)));
        }
        terms.push(found_by::flag(&question.flag));
    }
    if given(&question.output_sha256) {
        terms.push(found_by::output_digest(&digest("output_sha256", &question.output_sha256)?));
    }
    if given(&question.build_id) {
        let id = found_by::hexadecimal(&question.build_id);
        let id = id.ok_or_else(|| {
            question::bad_request(format!("build_id={}: expected hexadecimal digits", question.build_id))
        })?;
        terms.push(found_by::output_build_id(&id));
    }
    let mut inputs = Vec::new();
    if given(&question.input_sha256) {
        inputs.push(Part::Digest(digest("input_sha256", &question.input_sha256)?));
    }
    if given(&question.input_signature) {
        let signature = Signature::parse(question.input_signature.as_bytes()).map_err(|cause| {
            question::bad_request(format!("input_signature={}: {cause}", question.input_signature))
        })?;
        inputs.push(Part::Signature(signature));
    }
    if question::boolean("transitive", &question.transitive)? {
        match inputs[..] {
            [part] => filter.containing = Some(part),
            _ => {
                return Err(question::bad_request(
                    "transitive=true needs either input_sha256 or input_signature, and not both",
                ));
            }
        }
    } else {
        filter.terms.extend(inputs.iter().map(Part::as_input));
    }
    Ok(filter)
}

/// `POST /v1/builds`: registers a protobuf BuildRecord; answered when it is durable.
pub async fn register(
    State(sources): State<Sources>,
    Extension(Caller(holder)): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let body = body.map_err(|cause| Problem::new(cause.status(), cause.body_text()))?;
    let sender = RecordSender { holder: holder.as_deref(), ..RecordSender::default() };
    let submission = Submission { builds: vec![stamp(&body, sender)], ..Submission::default() };
    let answer = sources.intake.submit_for_answer(submission).await.await.unwrap_or(Err(Refusal::Closed));
    let answer =
        answer.map_err(|refusal| Problem::new(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()))?;
    let mut outcome = answer.builds.first().copied().unwrap_or_default();
    if let Registration::Accepted(_, ticket) = outcome {
        let settled =
            run_blocking(move || Ok::<_, Problem>(sources.registry.outcome(ticket, SETTLED_WITHIN))).await?;
        outcome = settled.unwrap_or(outcome);
    }
    match outcome {
        Registration::Accepted(signature, _) => {
            Ok((StatusCode::ACCEPTED, Json(json!({ "signature": signature.to_string() }))))
        }
        Registration::New(signature) => {
            Ok((StatusCode::CREATED, Json(json!({ "signature": signature.to_string() }))))
        }
        Registration::Known(signature) => {
            Ok((StatusCode::OK, Json(json!({ "signature": signature.to_string() }))))
        }
        Registration::Conflict(signature) => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "another build has the signature {signature}: the first registration stands, and this record is not kept"
            ),
        )),
        Registration::Malformed => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the body is not a protobuf BuildRecord, or has no signature of 16 bytes",
        )),
    }
}
