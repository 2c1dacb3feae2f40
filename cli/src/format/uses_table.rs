//! `ogrt uses` for people: what it is and how often it ran, then users, jobs, containing builds and
//! hosts.

use crate::{
    format::sheet::Sheet,
    json_field::{number, software, text, time},
};
use serde_json::Value;

/// The uses of one build or file.
pub fn text_of(uses: &Value) -> String {
    let mut sheet = Sheet::new();
    sheet.line("of", text(uses, "of"));
    sheet.line("software", software(&uses["build"]));
    for (label, counts) in [("ran directly", &uses["direct"]), ("ran in all", &uses["total"])] {
        sheet.line(label, sentence(counts));
    }
    sheet.line("first", time(&uses["total"], "first_ns"));
    sheet.line("last", time(&uses["total"], "last_ns"));
    if uses["truncated"] == true {
        sheet.line(
            "incomplete",
            "the server stopped at its limit; there may be more builds that contain it".to_owned(),
        );
    }
    let mut out = sheet.text();
    out += &section("users", &["user", "processes", "jobs", "first", "last"], &uses["users"], |user| {
        vec![
            text(user, "user"),
            count(user),
            text(user, "jobs"),
            time(user, "first_ns"),
            time(user, "last_ns"),
        ]
    });
    out += &section("jobs", &["job", "user", "processes", "first", "last"], &uses["jobs"], |job| {
        vec![text(job, "job_id"), text(job, "user"), count(job), time(job, "first_ns"), time(job, "last_ns")]
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
                count(build),
                text(build, "jobs"),
                time(build, "last_ns"),
            ]
        },
    );
    out += &section("hosts", &["host", "processes", "first", "last"], &uses["hosts"], |host| {
        vec![text(host, "hostname"), count(host), time(host, "first_ns"), time(host, "last_ns")]
    });
    out
}

fn sentence(counts: &Value) -> String {
    let later = number(counts, "loaded_later");
    let mut sentence = format!(
        "{} processes in {} jobs of {} users on {} hosts",
        number(counts, "processes"),
        number(counts, "jobs"),
        number(counts, "users"),
        number(counts, "hosts")
    );
    if later > 0 {
        sentence += &format!("; {later} more loaded it after their start");
    }
    sentence
}

/// The number of processes, and of those that loaded it only after their start.
fn count(row: &Value) -> String {
    match number(row, "loaded_later") {
        0 => text(row, "processes"),
        later => format!("{} (+{later} later)", text(row, "processes")),
    }
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
