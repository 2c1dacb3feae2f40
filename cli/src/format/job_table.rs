//! `ogrt job --table` for people: a line a process, in the order in which they came.

use crate::{
    format::sheet::Sheet,
    json_field::{software, text},
    utc,
};
use serde_json::Value;

/// The processes of a job's document.
pub fn text_of(job: &Value) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&["started", "host", "user", "pid", "software", "registered", "path"]);
    for process in job["processes"].as_array().into_iter().flatten().filter(|one| one["type"] != "end") {
        let build = &process["build"];
        sheet.columns([
            process["time"].as_i64().map(utc::from_seconds).unwrap_or_default(),
            text(process, "hostname"),
            text(process, "username"),
            text(process, "pid"),
            software(build),
            if build["source"] == "record" { "yes" } else { "no" }.to_owned(),
            text(process, "binpath"),
        ]);
    }
    sheet.text()
}
