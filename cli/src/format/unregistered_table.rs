//! `ogrt unregistered` for people: a line a program, or a job with its programs.

use crate::format::sheet::Sheet;
use ogrt_answers::{
    json_field::{job_name, number, text, time, words},
    learned_name::name_or_resemblance,
};
use serde_json::Value;

/// A line for each program.
pub fn programs(programs: &[Value], with_software: bool) -> String {
    if programs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    let mut titles = vec!["program", "processes", "jobs", "users", "last", "build-id", "signature"];
    let with_software = with_software || programs.iter().any(|program| !program["resembles"].is_null());
    if with_software {
        titles.insert(1, "software");
    }
    sheet.titles(&titles);
    for program in programs {
        let mut columns = vec![
            text(program, "binpath"),
            processes(program),
            text(program, "jobs"),
            words(program, "users"),
            time(program, "last_ns"),
            text(program, "build_id"),
            text(program, "signature"),
        ];
        if with_software {
            columns.insert(1, name_or_resemblance(program));
        }
        sheet.columns(columns);
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
pub fn jobs(jobs: &[Value], with_software: bool) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    let mut titles = vec!["job", "user", "last", "processes", "program", "build-id"];
    let all = jobs.iter().flat_map(|job| job["programs"].as_array().into_iter().flatten());
    let with_software = with_software || all.into_iter().any(|program| !program["resembles"].is_null());
    if with_software {
        titles.insert(5, "software");
    }
    sheet.titles(&titles);
    for job in jobs {
        for program in job["programs"].as_array().into_iter().flatten() {
            let mut columns = vec![
                job_name(job),
                user(job),
                time(job, "last_ns"),
                text(program, "processes"),
                text(program, "binpath"),
                text(program, "build_id"),
            ];
            if with_software {
                columns.insert(5, name_or_resemblance(program));
            }
            sheet.columns(columns);
        }
    }
    sheet.text()
}
