//! `/v1/export` and `/v1/import`: the registry as JSON lines.

use super::{Problem, Sources, callers::Caller, question::JsonAnswer, run_blocking};
use crate::registry::{
    RecordSender,
    transfer::{self, AT_ONCE, ExportPart, ExportPlace, ImportCounts, ImportError},
};
use crate::tokens::Scope;
use axum::{
    Extension, Json,
    body::{Body, Bytes},
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use std::io;

/// Bytes of a part of an export, about.
const PART_BYTES: usize = 256 << 10;

/// Parts up to this size need no share of memory. Those of usual records have less.
const LARGE: usize = 2 << 20;

/// `GET /v1/export`: all builds and installations, read from the registry as fast as the client
/// takes them.
pub async fn export(State(sources): State<Sources>) -> Response {
    let lines = futures_util::stream::try_unfold(
        (sources, ExportPlace::Builds(None), 1, None),
        |(sources, place, count, sent)| async move {
            // The share of the part that was sent is free.
            drop(sent);
            let registry = sources.registry.clone();
            let place_of_part = sources.places.part().await;
            let read = run_blocking(move || transfer::part(&*registry, place, count));
            // An answer that breaks off tells the client that it is not complete.
            let broken = |_| io::Error::other("the registry cannot be read");
            let Some(ExportPart { lines, count, next }) = read.await.map_err(broken)? else {
                return Ok(None);
            };
            // Records differ much in size: the next part has as many as fit.
            let count = (PART_BYTES * count / lines.len().max(1)).clamp(1, AT_ONCE);
            let share = match lines.len() {
                0..=LARGE => None,
                len => sources.places.share(len as u64).await.map_err(broken)?,
            };
            drop(place_of_part);
            Ok::<_, io::Error>(Some((Bytes::from(lines), (sources, next, count, share))))
        },
    );
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response()
}

/// `POST /v1/import`: registers the builds and installations of an export.
pub async fn import(
    State(sources): State<Sources>,
    Extension(Caller(holder)): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> JsonAnswer<ImportCounts> {
    let body = body.map_err(|cause| Problem::new(cause.status(), cause.body_text()))?;
    let registry = sources.registry.clone();
    run_blocking(move || {
        // Who administers the registry may move it, with what it knows.
        let stranger = holder.as_deref().is_none_or(|holder| !holder.scopes.has(Scope::Administer));
        let sender = RecordSender { holder: holder.as_deref(), ..RecordSender::default() };
        transfer::import(&*registry, &*body, stranger.then_some(sender))
    })
    .await
    .map(Json)
}

/// The client can mend a wrong line, but not the registry.
impl From<ImportError> for Problem {
    fn from(cause: ImportError) -> Self {
        match cause {
            ImportError::WrongLine { .. } => Problem::new(StatusCode::BAD_REQUEST, cause.to_string()),
            ImportError::Unreadable(_) => Problem::unanswered(cause),
            ImportError::Registry(cause) => cause.into(),
        }
    }
}
