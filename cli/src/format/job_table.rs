//! `ogrt job --table` for people: a line a process, in the order in which they were recorded.

use crate::{
    format::sheet::Sheet,
    json_field::{cpu_time, ending, memory, software, text, user},
    utc,
};
use serde_json::Value;

/// A line for each process of a job's document.
pub fn text_of(job: &Value) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&[
        "start",
        "host",
        "user",
        "pid",
        "software",
        "registered",
        "end",
        "cpu",
        "memory",
        "program",
    ]);
    for process in job["processes"].as_array().into_iter().flatten().filter(|one| one["type"] != "end") {
        let build = &process["build"];
        sheet.columns([
            process["time"].as_i64().map(utc::from_seconds).unwrap_or_default(),
            text(process, "hostname"),
            user(process),
            text(process, "pid"),
            software(build),
            if build["source"] == "record" { "yes" } else { "no" }.to_owned(),
            ending(process),
            cpu_time(process),
            memory(process),
            text(process, "binpath"),
        ]);
    }
    sheet.text()
}
