//! `ogrt uses` for people: what it is and how often it ran, then users, jobs, containing builds and
//! hosts.

use crate::format::sheet::Sheet;
use ogrt_answers::{
    json_field::{job_name, software, text, time, words},
    uses::{learned_names, processes, sentence},
};
use serde_json::Value;

/// The uses of one build or file.
pub fn text_of(uses: &Value) -> String {
    let mut sheet = Sheet::new();
    sheet.line("of", text(uses, "of"));
    sheet.line("software", software(&uses["build"]));
    sheet.line("learned as", learned_names(&uses["names"]));
    sheet.line("counted by", words(uses, "counted_by").replace('_', "-"));
    for (label, counts) in [("ran directly", &uses["direct"]), ("ran in all", &uses["total"])] {
        sheet.line(label, sentence(counts));
    }
    sheet.line("first", time(&uses["total"], "first_ns"));
    sheet.line("last", time(&uses["total"], "last_ns"));
    if uses["truncated"] == true {
        sheet.line(
            "incomplete",
            "the server stopped at its limits; these numbers are the least that is known".to_owned(),
        );
    }
    if !uses["counted_until_ns"].is_null() {
        sheet.line("counted until", time(uses, "counted_until_ns") + "; the server is behind");
    }
    if uses["rounded"] == true {
        sheet.line(
            "rounded",
            "some counts hold processes before or after that time: of the same job, or the same day"
                .to_owned(),
        );
    }
    let mut out = sheet.text();
    out += &section("users", &["user", "processes", "jobs", "first", "last"], &uses["users"], |user| {
        vec![
            text(user, "user"),
            processes(user),
            text(user, "jobs"),
            time(user, "first_ns"),
            time(user, "last_ns"),
        ]
    });
    out += &section("jobs", &["job", "user", "processes", "first", "last"], &uses["jobs"], |job| {
        vec![job_name(job), text(job, "user"), processes(job), time(job, "first_ns"), time(job, "last_ns")]
    });
    out += &section(
        "through",
        &["software", "signature", "depth", "processes", "jobs", "last"],
        &uses["through"],
        |build| {
            vec![
                software(build),
                text(build, "signature"),
                text(build, "depth"),
                processes(build),
                text(build, "jobs"),
                time(build, "last_ns"),
            ]
        },
    );
    out += &section("hosts", &["host", "processes", "first", "last"], &uses["hosts"], |host| {
        vec![text(host, "hostname"), processes(host), time(host, "first_ns"), time(host, "last_ns")]
    });
    out
}

fn section(heading: &str, titles: &[&str], rows: &Value, columns: impl Fn(&Value) -> Vec<String>) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(titles);
    rows.iter().for_each(|row| sheet.columns(columns(row)));
    format!("\n{}{}", Sheet::heading(heading), sheet.text())
}
