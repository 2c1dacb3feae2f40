//! Errors as `application/problem+json` (RFC 9457).

use crate::{registry::RegistryError, uses::UsesError};
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::fmt::Display;
use tracing::error;

/// An error, as it is answered.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// An error with a status and one sentence for the client.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem { status, detail: detail.into() }
    }

    /// A failure of the server. The client is told that, and the log says why.
    pub fn unanswered(cause: impl Display) -> Self {
        error!("cannot answer an HTTP request: {cause:#}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to answer; its log says why")
    }
}

/// A client may try again later if the failure passes.
impl From<RegistryError> for Problem {
    fn from(cause: RegistryError) -> Self {
        match cause {
            RegistryError::Away(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, cause.to_string()),
            _ => Problem::unanswered(cause),
        }
    }
}

impl From<UsesError> for Problem {
    fn from(cause: UsesError) -> Self {
        match cause {
            UsesError::Registry(cause) => cause.into(),
            UsesError::Store(cause) => Problem::unanswered(cause),
            UsesError::Pattern(_) => Problem::new(StatusCode::BAD_REQUEST, cause.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
