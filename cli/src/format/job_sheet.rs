//! `ogrt job` for people: who ran the job, where and when, what it used, and what failed.

use crate::format::sheet::Sheet;
use ogrt_answers::{
    job_document::{Job, JobPart},
    job_sheet,
    job_totals::JobTotals,
    units::{cpu_time, grouped},
};

/// Most lines of software and of failures.
const LINES_MAX: usize = 10;

/// The sheet of a job, or of a part of it.
pub fn text_of(job: &Job, part: &JobPart) -> String {
    let totals = JobTotals::of(job);
    let mut sheet = Sheet::new();
    for (label, text) in job_sheet::lines(job, part, &totals) {
        sheet.line(label, text);
    }
    sheet.text() + &software(&totals) + &failures(&totals)
}

fn software(totals: &JobTotals) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&["software", "processes", "cpu time"]);
    let all = totals.software.iter().map(|(name, used)| (&**name, *used));
    let unknown = Some(("(unknown)", totals.unknown)).filter(|(_, used)| used.processes > 0);
    for (name, used) in all.take(LINES_MAX).chain(unknown) {
        let cpu = if used.measured > 0 { cpu_time(used.cpu_us) } else { String::new() };
        sheet.columns([name.to_owned(), grouped(used.processes as u64), cpu]);
    }
    "\n".to_owned() + &sheet.text() + &more(totals.software.len())
}

fn failures(totals: &JobTotals) -> String {
    if totals.failures.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    sheet.titles(&["failed", "end", "times"]);
    for failure in totals.failures.iter().take(LINES_MAX) {
        let count = grouped(failure.count as u64);
        sheet.columns([failure.name.to_string(), failure.ending.to_string(), count]);
    }
    "\n".to_owned() + &sheet.text() + &more(totals.failures.len())
}

/// The line below a table that is cut.
fn more(lines: usize) -> String {
    match lines.saturating_sub(LINES_MAX) {
        0 => String::new(),
        more => format!(" ... and {more} more\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sheet_says_what_is_not_known() {
        let process = |status: u64| {
            json!({ "binpath": "/sw/app", "hostname": "n1", "uid": 7, "start_time_ns": 1_000_000_000,
                "account": "chem", "end": { "ended_by": "exit", "exit_status": status,
                "end_time_ns": 3_000_000_000_i64, "user_time_us": 20_000, "system_time_us": 0 } })
        };
        let mut processes = vec![process(0), process(3), process(3)];
        processes.push(json!({ "binpath": "/sw/app", "start_time_ns": 2_000_000_000, "username": "bob" }));
        let job = Job::of(&json!({ "job_id": "4711", "cluster": "alpha", "processes": processes,
            "summaries": [{ "type": "summary", "summary": { "starts": 5000 } }] }));
        let text = text_of(&job, &JobPart { step: Some("0".to_owned()), ..JobPart::default() });
        for line in [
            " job         alpha/4711",
            " step        0",
            " user        7 (claimed), bob (claimed)",
            " account     chem",
            " wall        2.00 s",
            " cpu time    0.06 s (not known of 1 processes)",
            " processes   4 (1 without a known end, 4 claimed); 5,000 more were only counted",
            " app     exit 3  2",
        ] {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.lines().any(|one| words(one) == words(line)), "{line}:\n{text}");
        }
    }
}
