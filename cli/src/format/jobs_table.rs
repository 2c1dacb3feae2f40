//! `ogrt jobs` for people: a line a job.

use crate::{
    format::sheet::Sheet,
    json_field::{job_name, number, text, time},
};
use serde_json::Value;

/// A line for each job.
pub fn text_of(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&["job", "user", "state", "last", "failed", "killed", "oom", "end", "program"]);
    for job in jobs {
        let user = text(job, "username");
        let count = |key| Some(number(job, key)).filter(|count| *count > 0).map(|count| count.to_string());
        sheet.columns([
            job_name(job),
            if user.is_empty() { text(job, "uid") } else { user },
            text(job, "state"),
            time(job, "last_ns"),
            count("failed").unwrap_or_default(),
            count("killed").unwrap_or_default(),
            count("oom").unwrap_or_default(),
            match job["exit_status"].as_u64() {
                Some(status) => format!("exit {status}"),
                None => format!("signal {}", number(job, "signal")),
            },
            text(job, "binpath"),
        ]);
    }
    sheet.text()
}
