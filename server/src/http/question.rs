//! How questions are read, and what all lists have: a limit, a cursor, a next page.
//!
//! Every parameter arrives as text, so that an empty one is as if it were not there, and one that makes no sense is
//! answered with its name.

use super::Problem;
use crate::registry::{ListCursor, Part};
use axum::{
    Json,
    extract::{Query, rejection::QueryRejection},
    http::StatusCode,
};
use serde_json::Value;

/// Elements in a list, unless the question says otherwise, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// An answer, or what was wrong.
pub type JsonAnswer<T> = Result<Json<T>, Problem>;

/// The question makes no sense, and why.
pub fn bad_request(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

/// The parameters, if all of them are known.
pub fn read<T>(question: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    question.map(|Query(question)| question).map_err(|cause| bad_request(cause.body_text()))
}

/// Seconds of Unix time, as nanoseconds.
pub fn nanoseconds(name: &str, text: &str) -> Result<Option<i64>, Problem> {
    let seconds = number::<i64>(name, text)?;
    Ok(seconds.map(|seconds| seconds.saturating_mul(1_000_000_000)))
}

/// How many elements.
pub fn page_limit(text: &str) -> Result<usize, Problem> {
    Ok(number::<usize>("limit", text)?.unwrap_or(LIMIT).clamp(1, LIMIT_MAX))
}

/// A number, if there is one.
pub fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<Option<T>, Problem> {
    match text {
        "" => Ok(None),
        text => {
            text.parse().map(Some).map_err(|_| bad_request(format!("{name}={text}: expected a whole number")))
        }
    }
}

/// True or false.
pub fn boolean(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        _ => Err(bad_request(format!("{name}={text}: expected true or false"))),
    }
}

/// A signature or a digest.
pub fn part(text: &str) -> Result<Part, Problem> {
    Part::parse(text).ok_or_else(|| {
        bad_request(format!(
            "{text:?}: neither a signature (a UUID) nor the 64 hexadecimal digits of a SHA-256"
        ))
    })
}

/// The place that a cursor names.
pub fn read_cursor(cursor: &str) -> Result<Option<ListCursor>, Problem> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let place = cursor.split_once('.').and_then(|(time, number)| {
        Some(ListCursor { time_ns: time.parse().ok()?, number: number.parse().ok()? })
    });
    place.map(Some).ok_or_else(|| bad_request(format!("cursor={cursor}: not one of ours")))
}

/// The cursor that names a place.
pub fn write_cursor(cursor: ListCursor) -> String {
    format!("{}.{}", cursor.time_ns, cursor.number)
}

/// Where the answer goes on, and that it was cut.
pub fn add_page(answer: &mut Value, next: Option<String>, is_cut: bool) {
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    if is_cut {
        answer["truncated"] = true.into();
    }
}
