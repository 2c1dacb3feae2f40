//! A list of jobs: what its lines say, and its table for spreadsheets.

use crate::{
    json_field::{job_name, number, text},
    spreadsheet::Spreadsheet,
    units::{cpu_time, grouped},
    what_ran::base_name,
};
use serde_json::Value;

/// The job, and in brackets the task of an array that it is.
pub fn array_name(job: &Value) -> String {
    match (job["array_job"].as_u64(), job["array_task"].as_u64()) {
        (Some(array), Some(task)) => format!("{} ({array}_{task})", job_name(job)),
        _ => job_name(job),
    }
}

/// The state; of a job that has failed and still runs both.
pub fn state(job: &Value) -> String {
    let state = text(job, "state");
    let fails = ["failed", "killed", "oom"].contains(&&*state);
    let is_running = fails && number(job, "open") > 0 && job["identity"] == ogrt_proto::KERNEL;
    if is_running { format!("{state}, running") } else { state }
}

/// CPU time; nothing where none is known.
pub fn cpu(job: &Value) -> String {
    Some(number(job, "cpu_us")).filter(|us| *us > 0).map(cpu_time).unwrap_or_default()
}

/// The time from its first start to the last that was heard of it, in nanoseconds.
pub fn wall_ns(job: &Value) -> u64 {
    number(job, "last_ns").saturating_sub(number(job, "first_ns"))
}

/// The first names of software, and how many more there are.
pub fn named(job: &Value, most: usize) -> String {
    let all = job["software"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |one: &Value| {
        let version = text(one, "version");
        let name = text(one, "software");
        if version.is_empty() { name } else { format!("{name} {version}") }
    };
    let in_all = job["software_in_all"].as_u64().unwrap_or(all.len() as u64);
    let named = all.iter().take(most).map(name).collect::<Vec<_>>().join(", ");
    match in_all.saturating_sub(most.min(all.len()) as u64) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What failed first of the worst, and how many.
pub fn failure(job: &Value) -> String {
    let ending = match (job["exit_status"].as_u64(), job["signal"].as_u64()) {
        (Some(status), _) => format!("exit {status}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => return String::new(),
    };
    let count: u64 = ["failed", "killed", "oom"].iter().map(|key| number(job, key)).sum();
    let more = if count > 1 { format!(" ({} in all)", grouped(count)) } else { String::new() };
    let (program, name) = (text(job, "binpath"), text(job, "what_ran"));
    let name = if name.is_empty() { base_name(&program) } else { &name };
    let program = if name.is_empty() { String::new() } else { format!("{name}: ") };
    format!("{program}{ending}{more}")
}

/// Comma-separated values: a line of titles, and one for each job. Times are in seconds of Unix
/// time, CPU time in seconds.
pub fn csv(jobs: &[Value]) -> String {
    const TEXTS: [&str; 17] = [
        "job_id",
        "cluster",
        "array_job",
        "array_task",
        "username",
        "identity",
        "account",
        "partition",
        "nodes",
        "state",
        "processes",
        "open",
        "failed",
        "killed",
        "oom",
        "exit_status",
        "signal",
    ];
    let mut table = Spreadsheet::default();
    table.row(TEXTS.iter().copied().chain(["first", "last", "cpu_seconds", "software"]));
    for job in jobs {
        let seconds = |key: &str| (number(job, key) / 1_000_000_000).to_string();
        let cpu = format!("{:.2}", number(job, "cpu_us") as f64 / 1e6);
        let rest = [seconds("first_ns"), seconds("last_ns"), cpu, named(job, usize::MAX)];
        table.row(TEXTS.iter().map(|key| text(job, key)).chain(rest));
    }
    table.text()
}
