//! The sheet of a job: who ran it, where and when, and what it used.

use crate::{
    job_document::{Job, JobPart},
    job_totals::JobTotals,
    units::{cpu_time, duration, grouped},
    utc,
};
use std::{collections::BTreeSet, rc::Rc};

/// Most names in one line.
const NAMES_MAX: usize = 5;

/// A label, and what stands beside it; empty where it is not known.
pub type SheetLine = (&'static str, String);

/// The lines of a job's sheet, or of that of a part of it.
pub fn lines(job: &Job, part: &JobPart, totals: &JobTotals) -> Vec<SheetLine> {
    let time = |ns: i64| if ns > 0 { utc::from_nanoseconds(ns) } else { String::new() };
    let wall_ns = u64::try_from(totals.last_ns.saturating_sub(totals.first_ns)).unwrap_or(0);
    let wall = if totals.processes > 0 { duration(wall_ns) } else { String::new() };
    let memory = totals
        .peak
        .as_ref()
        .map(|(kib, name)| format!("{} MiB in one process ({name})", grouped(kib.div_ceil(1024))));
    vec![
        ("job", job_name(job)),
        ("array task", part.task.clone().unwrap_or_default()),
        ("step", part.step.clone().unwrap_or_default()),
        ("user", names(&totals.users)),
        ("account", names(&totals.accounts)),
        ("partition", names(&totals.partitions)),
        ("nodes", nodes(totals)),
        ("first", time(totals.first_ns)),
        ("last", time(totals.last_ns)),
        ("wall", wall),
        ("cpu time", used(totals).unwrap_or_default()),
        ("memory", memory.unwrap_or_default()),
        ("processes", processes(totals, job)),
    ]
}

fn job_name(job: &Job) -> String {
    match job.cluster.is_empty() {
        true => job.job_id.clone(),
        false => format!("{}/{}", job.cluster, job.job_id),
    }
}

fn names(names: &BTreeSet<Rc<str>>) -> String {
    let first: Vec<&str> = names.iter().take(NAMES_MAX).map(|name| &**name).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The number that the scheduler says, and the hosts that something came from.
fn nodes(totals: &JobTotals) -> String {
    match (totals.nodes, totals.hosts.is_empty()) {
        (0, _) => names(&totals.hosts),
        (nodes, true) => nodes.to_string(),
        (nodes, false) => format!("{nodes} ({})", names(&totals.hosts)),
    }
}

/// CPU time, and of how many processes it is not known.
fn used(totals: &JobTotals) -> Option<String> {
    let unknown = totals.processes - totals.measured;
    match (totals.measured, unknown) {
        (0, _) => None,
        (_, 0) => Some(cpu_time(totals.cpu_us)),
        _ => {
            Some(format!("{} (not known of {} processes)", cpu_time(totals.cpu_us), grouped(unknown as u64)))
        }
    }
}

fn processes(totals: &JobTotals, job: &Job) -> String {
    let mut text = grouped(totals.processes as u64);
    let notes = [(totals.open as u64, "without a known end"), (totals.claimed as u64, "claimed")];
    let notes: Vec<String> = notes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    if !notes.is_empty() {
        text += &format!(" ({})", notes.join(", "));
    }
    if job.only_counted > 0 {
        text += &format!("; {} more were only counted", grouped(job.only_counted));
    }
    text
}
