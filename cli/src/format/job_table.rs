//! `ogrt job --table` for people: a line a process, in the order in which they were recorded.

use crate::format::sheet::Sheet;
use ogrt_answers::{job_document::Job, utc};

/// A line for each process of a job.
pub fn text_of(job: &Job) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&[
        "start",
        "host",
        "user",
        "pid",
        "software",
        "registered",
        "end",
        "cpu",
        "memory",
        "program",
    ]);
    for process in job.processes.iter().filter(|process| !process.is_end_alone) {
        let end = &process.end;
        sheet.columns([
            if process.start_ns > 0 { utc::from_nanoseconds(process.start_ns) } else { String::new() },
            process.host.to_string(),
            process.user.to_string(),
            if process.pid < 0 { String::new() } else { process.pid.to_string() },
            process.software.to_string(),
            if process.is_registered { "yes" } else { "no" }.to_owned(),
            end.ending.to_string(),
            end.cpu_time(),
            end.memory(),
            process.program.to_string(),
        ]);
    }
    sheet.text()
}
