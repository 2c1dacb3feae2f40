//! Reads the parameters of questions, and has what all lists share: a limit, a cursor, a next page.
//!
//! Every parameter arrives as text, so that an empty one counts as missing, and an error can name a
//! wrong one.

use super::Problem;
use crate::registry::{ListCursor, Part};
use axum::{
    Json,
    extract::{FromRequestParts, Path, Query, rejection::QueryRejection},
    http::{StatusCode, request::Parts},
};
use serde_json::Value;

/// How many elements a list has by default, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// An answer as JSON, or the error.
pub type JsonAnswer<T> = Result<Json<T>, Problem>;

/// The end of the path, which names what is asked for.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, sources: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, sources).await {
            Ok(Path(name)) => Ok(Named(name)),
            Err(cause) => Err(bad_request(cause.body_text())),
        }
    }
}

/// A 400 with this reason.
pub fn bad_request(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

/// The parameters; an error if one of them is unknown.
pub fn read<T>(question: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    question.map(|Query(question)| question).map_err(|cause| bad_request(cause.body_text()))
}

/// Reads seconds of Unix time, as nanoseconds.
pub fn nanoseconds(name: &str, text: &str) -> Result<Option<i64>, Problem> {
    let seconds = number::<i64>(name, text)?;
    Ok(seconds.map(|seconds| seconds.saturating_mul(1_000_000_000)))
}

/// Reads the number of elements of a page.
pub fn page_limit(text: &str) -> Result<usize, Problem> {
    Ok(number::<usize>("limit", text)?.unwrap_or(LIMIT).clamp(1, LIMIT_MAX))
}

/// Reads a number, if there is one.
pub fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<Option<T>, Problem> {
    match text {
        "" => Ok(None),
        text => {
            text.parse().map(Some).map_err(|_| bad_request(format!("{name}={text}: expected a whole number")))
        }
    }
}

/// Reads true or false.
pub fn boolean(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        _ => Err(bad_request(format!("{name}={text}: expected true or false"))),
    }
}

/// Reads a signature or a digest.
pub fn part(text: &str) -> Result<Part, Problem> {
    Part::parse(text).ok_or_else(|| {
        bad_request(format!(
            "{text:?}: expected a signature (a UUID) or the 64 hexadecimal digits of a SHA-256"
        ))
    })
}

/// Reads the text of a cursor.
pub fn read_cursor(cursor: &str) -> Result<Option<ListCursor>, Problem> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let fields = cursor.split_once('.').and_then(|(time, number)| {
        Some(ListCursor { time_ns: time.parse().ok()?, number: number.parse().ok()? })
    });
    fields.map(Some).ok_or_else(|| {
        bad_request(format!("cursor={cursor}: expected the value of `next` in the page before"))
    })
}

/// The text of a cursor.
pub fn write_cursor(cursor: ListCursor) -> String {
    format!("{}.{}", cursor.time_ns, cursor.number)
}

/// Adds the cursor of the next page, and that the answer was cut.
pub fn add_page(answer: &mut Value, next: Option<String>, is_cut: bool) {
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    if is_cut {
        answer["truncated"] = true.into();
    }
}

/// Adds the time of receipt up to which events are in the answer, where it lacks later ones.
pub fn add_counted_until(answer: &mut Value, counted_until_ns: Option<i64>) {
    if let Some(counted_until_ns) = counted_until_ns {
        answer["counted_until_ns"] = counted_until_ns.into();
    }
}

/// What is said beside an answer of nothing, where later events may have something.
pub fn not_counted(counted_until_ns: Option<i64>) -> &'static str {
    match counted_until_ns {
        Some(_) => ". The server is behind: what it received last is not in this answer. Ask again later",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, extract::Request, http::header, routing::get};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    #[tokio::test]
    async fn a_name_that_is_not_text_is_refused_with_a_problem() {
        let routes = Router::new().route("/{what}", get(|Named(what): Named| async { what }));
        let routes = TowerToHyperService::new(routes);
        for (path, status) in [("/a%20b", 200), ("/%FF", 400), ("/a%E2%28", 400)] {
            let answer = routes.call(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
            assert_eq!(kind == "application/problem+json", status == 400, "{path}: {kind}");
        }
    }
}
