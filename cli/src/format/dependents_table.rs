//! `ogrt dependents` for people: the nearest first.

use crate::format::sheet::Sheet;
use ogrt_answers::json_field::{number, software, text, time, user};
use serde_json::Value;

/// The builds that contain one build or file.
pub fn text_of(dependents: &Value) -> String {
    let builds = dependents["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = number(dependents, "count").max(builds.len() as u64);
    let more = if dependents["truncated"] == true { "at least " } else { "" };
    let mut out = Sheet::heading(&format!("{}: in {more}{count} builds", text(dependents, "of")));
    let mut sheet = Sheet::new();
    sheet.titles(&["depth", "software", "linked", "user", "signature"]);
    for build in builds {
        sheet.columns([
            text(build, "depth"),
            software(build),
            time(build, "time_ns"),
            user(build),
            text(build, "signature"),
        ]);
    }
    if !builds.is_empty() {
        out += &sheet.text();
    }
    out
}
