//! `ogrt builds` for people: a line a build.

use crate::{
    format::sheet::Sheet,
    json_field::{software, text, time},
};
use serde_json::Value;

/// Summaries of builds.
pub fn text_of(builds: &[Value]) -> String {
    if builds.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&["linked", "software", "toolchain", "compiler", "user", "host", "signature"]);
    for build in builds {
        let user = Some(text(build, "username")).filter(|name| !name.is_empty());
        sheet.columns([
            time(build, "time_ns"),
            software(build),
            text(build, "toolchain"),
            text(build, "compiler"),
            user.unwrap_or_else(|| text(build, "uid")),
            text(build, "hostname"),
            text(build, "signature"),
        ]);
    }
    sheet.text()
}
