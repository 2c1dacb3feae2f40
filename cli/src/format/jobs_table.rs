//! `ogrt jobs` for people: a line a job.

use crate::format::sheet::Sheet;
use ogrt_answers::{
    job_list::{array_name, cpu, failure, named, state, wall_ns},
    json_field::{number, text, time, user},
    units::{duration, grouped},
};
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

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_answers::job_list;
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
        let csv = job_list::csv(&[job]);
        assert_eq!(
            csv.lines().nth(1).unwrap(),
            "87,alpha,80,7,ann,kernel,chem,,,killed,1204,2,1,2,0,,9,1,61,7200.00,\"GROMACS 2024.3, zlib\""
        );
    }
}
