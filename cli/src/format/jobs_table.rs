//! `ogrt jobs` for people and for spreadsheets: a line a job.

use crate::{
    format::{
        purl::base_name,
        sheet::Sheet,
        units::{cpu_time, duration, grouped},
    },
    json_field::{job_name, number, text, time, user},
};
use anyhow::Result;
use serde_json::Value;

/// A line for each job.
pub fn text_of(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&[
        "job",
        "user",
        "account",
        "partition",
        "state",
        "first",
        "wall",
        "processes",
        "cpu time",
        "software",
        "failed",
    ]);
    for job in jobs {
        sheet.columns([
            array_name(job),
            user(job),
            text(job, "account"),
            text(job, "partition"),
            state(job),
            time(job, "first_ns"),
            duration(wall_ns(job)),
            grouped(number(job, "processes")),
            cpu(job),
            named(job, 1),
            failure(job),
        ]);
    }
    sheet.text()
}

/// The job, and in brackets the task of an array that it is.
fn array_name(job: &Value) -> String {
    match (job["array_job"].as_u64(), job["array_task"].as_u64()) {
        (Some(array), Some(task)) => format!("{} ({array}_{task})", job_name(job)),
        _ => job_name(job),
    }
}

/// The state; of a job that has failed and still runs both.
fn state(job: &Value) -> String {
    let state = text(job, "state");
    let fails = ["failed", "killed", "oom"].contains(&&*state);
    let is_running = fails && number(job, "open") > 0 && job["identity"] == ogrt_proto::KERNEL;
    if is_running { format!("{state}, running") } else { state }
}

/// CPU time; nothing where none is known.
fn cpu(job: &Value) -> String {
    Some(number(job, "cpu_us")).filter(|us| *us > 0).map(cpu_time).unwrap_or_default()
}

fn wall_ns(job: &Value) -> u64 {
    number(job, "last_ns").saturating_sub(number(job, "first_ns"))
}

/// The first names of software, and how many more there are.
fn named(job: &Value, most: usize) -> String {
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
fn failure(job: &Value) -> String {
    let ending = match (job["exit_status"].as_u64(), job["signal"].as_u64()) {
        (Some(status), _) => format!("exit {status}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => return String::new(),
    };
    let count: u64 = ["failed", "killed", "oom"].iter().map(|key| number(job, key)).sum();
    let more = if count > 1 { format!(" ({} in all)", grouped(count)) } else { String::new() };
    let program = text(job, "binpath");
    let program = if program.is_empty() { program } else { format!("{}: ", base_name(&program)) };
    format!("{program}{ending}{more}")
}

/// Comma-separated values: a line of titles, and one for each job. Times are in seconds of Unix
/// time, CPU time in seconds.
pub fn csv(jobs: &[Value]) -> Result<String> {
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
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(TEXTS.iter().copied().chain(["first", "last", "cpu_seconds", "software"]))?;
    for job in jobs {
        let seconds = |key: &str| (number(job, key) / 1_000_000_000).to_string();
        let cpu = format!("{:.2}", number(job, "cpu_us") as f64 / 1e6);
        let rest = [seconds("first_ns"), seconds("last_ns"), cpu, named(job, usize::MAX)];
        csv.write_record(TEXTS.iter().map(|key| text(job, key)).chain(rest))?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_what_failed_and_that_it_still_runs() {
        let job = json!({ "job_id": "87", "cluster": "alpha", "array_job": 80, "array_task": 7,
            "username": "ann", "identity": "kernel", "account": "chem", "state": "killed", "open": 2,
            "first_ns": 1_000_000_000_i64, "last_ns": 61_000_000_000_i64, "processes": 1204,
            "cpu_us": 7_200_000_000_u64, "failed": 1, "killed": 2, "oom": 0, "signal": 9,
            "binpath": "/sw/bin/mdrun", "software": [{ "software": "GROMACS", "version": "2024.3" },
            { "software": "zlib", "version": "" }] });
        let line = text_of(std::slice::from_ref(&job));
        let words: Vec<&str> = line.lines().nth(1).unwrap().split("  ").map(str::trim).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let expected = [
            "alpha/87 (80_7)",
            "ann",
            "chem",
            "killed, running",
            "1970-01-01T00:00:01Z",
            "1:00 min",
            "1,204",
            "2.00 h",
            "GROMACS 2024.3 and 1 more",
            "mdrun: signal 9 (3 in all)",
        ];
        assert_eq!(words, expected);
        let csv = csv(&[job]).unwrap();
        assert_eq!(
            csv.lines().nth(1).unwrap(),
            "87,alpha,80,7,ann,kernel,chem,,,killed,1204,2,1,2,0,,9,1,61,7200.00,\"GROMACS 2024.3, zlib\""
        );
    }
}
