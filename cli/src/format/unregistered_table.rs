//! `ogrt unregistered` for people: a line a program, or a job with its programs.

use crate::{
    format::sheet::Sheet,
    json_field::{job_name, number, text, time, words},
};
use serde_json::Value;

/// A line for each program.
pub fn programs(programs: &[Value]) -> String {
    if programs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&["program", "processes", "jobs", "users", "last", "build-id", "signature"]);
    for program in programs {
        sheet.columns([
            text(program, "binpath"),
            processes(program),
            text(program, "jobs"),
            words(program, "users"),
            time(program, "last_ns"),
            text(program, "build_id"),
            text(program, "signature"),
        ]);
    }
    sheet.text()
}

/// The number of processes, and of those that nobody proved.
fn processes(program: &Value) -> String {
    match number(program, "claimed") {
        0 => text(program, "processes"),
        claimed => format!("{} ({claimed} claimed)", text(program, "processes")),
    }
}

/// The user of a job's processes, and how many of them nobody proved.
fn user(job: &Value) -> String {
    match number(job, "claimed") {
        0 => text(job, "user"),
        claimed => format!("{} ({claimed} claimed)", text(job, "user")),
    }
}

/// A line for each job and program.
pub fn jobs(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&["job", "user", "last", "processes", "program", "build-id"]);
    for job in jobs {
        for program in job["programs"].as_array().into_iter().flatten() {
            sheet.columns([
                job_name(job),
                user(job),
                time(job, "last_ns"),
                text(program, "processes"),
                text(program, "binpath"),
                text(program, "build_id"),
            ]);
        }
    }
    sheet.text()
}
