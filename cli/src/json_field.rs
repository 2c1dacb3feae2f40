//! Values out of the server's JSON, as tables show them. What is not there is empty.

use crate::utc;
use serde_json::Value;

/// A text or a number under `key`.
pub fn text(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A number under `key`.
pub fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or(0)
}

/// A point in time in nanoseconds under `key`.
pub fn time(object: &Value, key: &str) -> String {
    object[key].as_i64().filter(|ns| *ns > 0).map(utc::from_nanoseconds).unwrap_or_default()
}

/// Texts under `key`, with spaces between them.
pub fn words(object: &Value, key: &str) -> String {
    let words = object[key].as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// Name and version of a build.
pub fn software(build: &Value) -> String {
    let parts = ["name", "version", "version_suffix"].map(|key| text(build, key));
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
}
