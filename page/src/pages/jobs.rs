//! `/jobs`: a list of jobs, the newest first.

use super::{choice, field, period_fields, spreadsheet, warnings};
use crate::{
    api::{Reader, Refusal},
    figures,
    frame::{Page, Section},
    link,
    list::ListKind,
    parameters::Parameters,
    shown,
    table::{Kind, Table},
};
use axum::response::Response;
use maud::{Markup, html};
use ogrt_answers::{job_list, json_field::text};
use serde_json::Value;

const COLUMNS: [(&str, Kind); 10] = [
    ("job", Kind::Text),
    ("user", Kind::Text),
    ("account", Kind::Text),
    ("partition", Kind::Text),
    ("state", Kind::Text),
    ("first", Kind::Number),
    ("wall", Kind::Number),
    ("processes", Kind::Number),
    ("software", Kind::Text),
    ("what failed", Kind::Text),
];

/// Lines that tell of one job.
const LINES_OF_ONE: &str = "5";

const LIST: ListKind = ListKind {
    name: "jobs",
    lines: "jobs",
    narrowed_by: &[
        ("user", "--user"),
        ("account", "--account"),
        ("software", "--software"),
        ("state", "--state"),
        ("partition", "--partition"),
        ("cluster", "--cluster"),
    ],
    more: "older jobs",
};

const STATES: [(&str, &str); 7] = [
    ("", "any"),
    ("failed,killed,oom", "failed in any way"),
    ("failed", "failed"),
    ("killed", "killed"),
    ("oom", "out of memory"),
    ("running", "running"),
    ("completed", "completed"),
];

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let list = LIST.of(&parameters)?;
    let answer = list.ask(&reader).await?;
    let table = table("Jobs, the newest first", &answer);
    let body = html! {
        form.filter method="get" action="/jobs" {
            (field(&parameters, "user", "user", "name or uid"))
            (field(&parameters, "account", "account", ""))
            (field(&parameters, "software", "software", "GROMACS"))
            (choice("state", "state", parameters.of("state"), &STATES))
            (field(&parameters, "partition", "partition", ""))
            (field(&parameters, "cluster", "cluster", ""))
            (period_fields(&list.period))
            button type="submit" { "Show" }
        }
        (warnings(&answer, "jobs of that time are missing, because more ran than the server keeps."))
        (list.complete(table, &answer).shown())
    };
    Ok(Page::new(Section::Jobs, "Jobs", body))
}

/// The same as comma-separated values, as `ogrt jobs --csv` has them.
pub async fn csv(reader: Reader, parameters: Parameters) -> Result<Response, Refusal> {
    let lines = LIST.of(&parameters)?.lines(&reader).await?;
    Ok(spreadsheet("jobs.csv", job_list::csv(&lines)))
}

/// A line for each job.
pub fn table(title: &str, answer: &Value) -> Table {
    let mut table = Table::new(title, &COLUMNS).nothing("No job of this kind is known.");
    for job in answer["jobs"].as_array().into_iter().flatten() {
        table.row(vec![
            link::job(&text(job, "cluster"), &text(job, "job_id")).into(),
            user_of(job).into(),
            shown::short(&text(job, "account")).into(),
            shown::short(&text(job, "partition")).into(),
            state(&job_list::state(job)).into(),
            figures::moment(job, "first_ns"),
            figures::length(job_list::wall_ns(job)),
            figures::count(job, "processes"),
            software(job).into(),
            job_list::failure(job).into(),
        ]);
    }
    table
}

/// The software that used the most CPU time, and how many more there are.
fn software(job: &Value) -> Markup {
    let name = text(&job["software"][0], "software");
    let all = job_list::named(job, 1);
    let rest = all.strip_prefix(&name).unwrap_or_default().trim();
    html! { @if !name.is_empty() { (link::software(&name)) " " (shown::short(rest)) } }
}

/// The user, and whether anybody proved it.
fn user_of(job: &Value) -> Markup {
    html! {
        (link::user(&text(job, "username")))
        @if job["identity"] != ogrt_proto::KERNEL { " " span.faint { "(claimed)" } }
    }
}

/// The state of a job, in a colour and in a word.
pub fn state(word: &str) -> Markup {
    let kind = match word.split(',').next().unwrap_or_default() {
        "failed" | "killed" | "oom" => "bad",
        "completed" => "good",
        "running" => "now",
        _ => "faint",
    };
    html! { span class=(kind) { (word) } }
}

/// The first lines of one job in the list: there is one for each user of it. `part` holds some of
/// its processes, by whose starts it is found.
pub async fn of_one(reader: &Reader, job_id: &str, cluster: &str, part: &Value) -> Result<Value, Refusal> {
    let starts = part["processes"].as_array().into_iter().flatten();
    let first_ns = starts.filter_map(|process| process["start_time_ns"].as_i64()).min();
    let until = first_ns.map(|ns| (ns / 1_000_000_000 + 1).to_string()).unwrap_or_default();
    let question = [("job_id", job_id), ("cluster", cluster), ("until", &until), ("limit", LINES_OF_ONE)];
    reader.ask("/v1/jobs", &question).await
}

/// The number of jobs in an answer.
pub fn count(answer: &Value) -> usize {
    answer["jobs"].as_array().map_or(0, Vec::len)
}
