//! A list of builds: its table for spreadsheets.

use crate::{
    json_field::{text, user},
    spreadsheet::Spreadsheet,
    utc,
};
use serde_json::Value;

/// Comma-separated values: a line of titles, and one for each build. Times are ISO 8601 in UTC.
pub fn csv(builds: &[Value]) -> String {
    const TEXTS: [&str; 8] = [
        "signature",
        "name",
        "version",
        "version_suffix",
        "toolchain",
        "compiler",
        "hostname",
        "output_sha256",
    ];
    let mut table = Spreadsheet::default();
    table.row(TEXTS.into_iter().chain(["user", "time"]));
    for build in builds {
        let time = build["time_ns"].as_i64().map(utc::from_nanoseconds).unwrap_or_default();
        table.row(TEXTS.iter().map(|key| text(build, key)).chain([user(build), time]));
    }
    table.text()
}
