//! The bulk interface: the form of a request, and what its answer says of each document.
//!
//! The answer's status is 200 even if every document failed: each item has a status of its own.

use crate::{
    dates,
    outputs::remote::{Document, Fate},
};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::io::Write;

/// The body of a request, two lines for each document: the action, and the document with its time
/// in front.
pub fn body(documents: &[Document<'_>], index: impl Fn(&Document<'_>) -> String) -> Result<Vec<u8>> {
    let size: usize = documents.iter().map(|document| document.json().len() + 160).sum();
    let mut body = Vec::with_capacity(size);
    for document in documents {
        let inside = document.json().strip_prefix(b"{").context("a document is not a JSON object")?;
        // The index comes from the configuration and a date, the id is a UUID: nothing to escape.
        writeln!(body, r#"{{"create":{{"_index":"{}","_id":"{}"}}}}"#, index(document), document.id())?;
        write!(body, r#"{{"@timestamp":"{}","#, dates::time(document.time_ns()))?;
        body.extend_from_slice(inside);
        body.push(b'\n');
    }
    Ok(body)
}

#[derive(Deserialize)]
struct BulkAnswer {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: ItemResult,
}

#[derive(Deserialize)]
struct ItemResult {
    status: u16,
    error: Option<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    reason: String,
    caused_by: Option<Box<Cause>>,
}

/// The fate of each document, in the order of the request.
pub fn fates(answer: &[u8]) -> Result<Vec<Fate>> {
    let answer: BulkAnswer =
        serde_json::from_slice(answer).context("the response is not a valid bulk response")?;
    ensure!(!answer.items.is_empty(), "the bulk response has no items");
    Ok(answer.items.into_iter().map(|item| fate(item.create)).collect())
}

/// Only 400 means that the document itself is at fault. Other errors may pass: too much load (429),
/// a full disk (403, 429), an index that is closed or may not be created, a missing shard (503).
fn fate(created: ItemResult) -> Fate {
    let reason = || created.error.as_ref().map_or_else(|| format!("status {}", created.status), describe);
    match created.status {
        200..=299 => Fate::Done,
        409 => Fate::Known,
        400 if !is_about_the_index(created.error.as_ref()) => Fate::Refused(reason()),
        _ => Fate::Again(reason()),
    }
}

/// Some answers are 400 although every other document would get the same.
fn is_about_the_index(cause: Option<&Cause>) -> bool {
    const OF_THE_INDEX: [&str; 3] =
        ["index_closed_exception", "invalid_index_name_exception", "validation_exception"];
    cause.is_some_and(|cause| OF_THE_INDEX.contains(&cause.r#type.as_str()))
}

fn describe(cause: &Cause) -> String {
    let mut text = format!("{}: {}", cause.r#type, cause.reason);
    let mut next = cause.caused_by.as_deref();
    while let Some(cause) = next {
        text.push_str(&format!("; {}: {}", cause.r#type, cause.reason));
        next = cause.caused_by.as_deref();
    }
    text.chars().take(1000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_has_a_fate_of_its_own() {
        let answer = br#"{"errors":true,"items":[{"create":{"status":201}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse",
                "caused_by":{"type":"number_format_exception","reason":"For input string"}}}},
            {"create":{"status":400,"error":{"type":"index_closed_exception","reason":"closed"}}}]}"#;
        let refused = "mapper_parsing_exception: failed to parse; number_format_exception: For input string";
        let expected = [
            Fate::Done,
            Fate::Known,
            Fate::Again("es_rejected_execution_exception: full".into()),
            Fate::Refused(refused.into()),
            Fate::Again("index_closed_exception: closed".into()),
        ];
        assert_eq!(fates(answer).unwrap(), expected);
        assert!(fates(b"{\"error\":\"proxy\"}").is_err());
        assert!(fates(b"<html>").is_err());
    }
}
