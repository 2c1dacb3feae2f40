//! `ogrt uses` for people: what it is and how often it ran, then users, jobs, containing builds and
//! hosts.

use crate::{
    format::sheet::Sheet,
    json_field::{job_name, number, software, text, time, words},
    learned_name::learned_name,
};
use anyhow::Result;
use serde_json::Value;

/// Most names of software in a line.
const NAMES_MAX: usize = 3;

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
            count(user),
            text(user, "jobs"),
            time(user, "first_ns"),
            time(user, "last_ns"),
        ]
    });
    out += &section("jobs", &["job", "user", "processes", "first", "last"], &uses["jobs"], |job| {
        vec![job_name(job), text(job, "user"), count(job), time(job, "first_ns"), time(job, "last_ns")]
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

/// Who ran it, as comma-separated values: a line of titles, and one for each user.
pub fn csv(answers: &[Value]) -> Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["of", "user", "processes", "loaded_later", "claimed", "jobs", "first", "last"])?;
    for uses in answers {
        for user in uses["users"].as_array().into_iter().flatten() {
            let numbers = ["processes", "loaded_later", "claimed", "jobs"].map(|key| text(user, key));
            let times = [time(user, "first_ns"), time(user, "last_ns")];
            let names = [text(uses, "of"), text(user, "user")];
            csv.write_record(names.into_iter().chain(numbers).chain(times))?;
        }
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

/// What the files are that were asked for: the first of them, each name once.
fn learned_names(files: &Value) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in files.as_array().into_iter().flatten().map(learned_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    names.join("; ") + &more
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
    let claimed = number(counts, "claimed");
    if claimed > 0 {
        sentence += &format!("; {claimed} of them are claimed");
    }
    sentence
}

/// The number of processes, of those that loaded it after their start, and of claimed ones.
fn count(row: &Value) -> String {
    let mut count = text(row, "processes");
    let (later, claimed) = (number(row, "loaded_later"), number(row, "claimed"));
    if later > 0 {
        count += &format!(" (+{later} later)");
    }
    if claimed > 0 {
        count += &format!(" ({claimed} claimed)");
    }
    count
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
