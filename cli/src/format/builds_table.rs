//! `ogrt builds` for people: a line a build.

use crate::format::sheet::Sheet;
use ogrt_answers::json_field::{software, text, time, user};
use serde_json::Value;

/// A line for each summary of a build.
pub fn text_of(builds: &[Value]) -> String {
    if builds.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&["linked", "software", "toolchain", "compiler", "user", "host", "signature"]);
    for build in builds {
        sheet.columns([
            time(build, "time_ns"),
            software(build),
            text(build, "toolchain"),
            text(build, "compiler"),
            user(build),
            text(build, "hostname"),
            text(build, "signature"),
        ]);
    }
    sheet.text()
}
