//! Questions to the API of the same server, by its routes.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::FromRequestParts,
    http::{HeaderMap, Request, StatusCode, header, request::Parts},
};
use serde_json::Value;
use std::{convert::Infallible, fmt::Display};
use tower::ServiceExt;

/// The largest answer that a page is made of, in bytes.
const ANSWER_MAX: usize = 32 << 20;

/// The type of an answer that says why there is none (RFC 9457).
const PROBLEM: &[u8] = b"application/problem+json";

/// The headers of a browser's request by which the API decides who may ask.
const KEPT: [header::HeaderName; 3] = [header::HOST, header::ORIGIN, header::AUTHORIZATION];

/// The routes that answer.
#[derive(Clone)]
pub struct Api(Router);

impl Api {
    /// Pages ask these routes.
    pub fn new(routes: Router) -> Self {
        Api(routes)
    }
}

/// Whoever looks at a page: the API is asked in their name.
#[derive(Clone)]
pub struct Reader {
    api: Api,
    headers: HeaderMap,
}

/// The reason for which the API gave no answer.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// A sentence.
    pub detail: String,
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let mut headers = HeaderMap::new();
        for name in KEPT {
            for value in parts.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Ok(Reader { api: api.clone(), headers })
    }
}

impl Reader {
    /// The answer to a question.
    pub async fn ask<V: Display + Sync>(
        &self,
        path: &str,
        parameters: &[(&str, V)],
    ) -> Result<Value, Refusal> {
        let parameters = parameters.iter().map(|(name, value)| (name, value.to_string()));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mut request = Request::builder().uri(format!("{path}?{query}"));
        if let Some(headers) = request.headers_mut() {
            *headers = self.headers.clone();
        }
        let request = request.body(Body::empty()).map_err(|_| Refusal::of("the question is too long"))?;
        // Routes do not fail: they answer.
        let response = match self.api.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        // Health is told with a status of its own, and is an answer all the same.
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_problem = kind.is_some_and(|kind| kind.as_bytes() == PROBLEM);
        let body = to_bytes(response.into_body(), ANSWER_MAX).await;
        let body = body.map_err(|_| Refusal::of("the answer broke off, or is too large for a page"))?;
        let answer = serde_json::from_slice::<Value>(&body);
        match (is_problem || (answer.is_err() && !status.is_success()), answer) {
            (false, Ok(answer)) => Ok(answer),
            (false, Err(_)) => Err(Refusal::of("the answer cannot be read")),
            (true, answer) => {
                let detail = answer.ok().and_then(|problem| problem["detail"].as_str().map(str::to_owned));
                Err(Refusal { status, detail: detail.unwrap_or_else(|| status.to_string()) })
            }
        }
    }

    /// The answer to a question; nothing where the server knows nothing of it.
    pub async fn find<V: Display + Sync>(
        &self,
        path: &str,
        parameters: &[(&str, V)],
    ) -> Result<Option<Value>, Refusal> {
        match self.ask(path, parameters).await {
            Ok(answer) => Ok(Some(answer)),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}

impl Refusal {
    /// The server could not make the answer.
    fn of(detail: &str) -> Self {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, detail: detail.to_owned() }
    }

    /// The question makes no sense.
    pub fn bad_question(detail: impl Into<String>) -> Self {
        Refusal { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }
}
