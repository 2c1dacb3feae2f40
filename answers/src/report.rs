//! A report: which figures its lines have, what they leave open, and its table for spreadsheets.

use crate::{
    json_field::{number, text as text_of},
    spreadsheet::Spreadsheet,
    utc,
};
use serde_json::Value;

/// A figure of a line: its title, its key, and its unit.
pub type Figure = (&'static str, &'static str, Unit);

/// Every figure of a line.
pub const FIGURES: [Figure; 11] = [
    ("processes", "processes", Unit::Number),
    ("jobs", "jobs", Unit::Number),
    ("users", "users", Unit::Number),
    ("accounts", "accounts", Unit::Number),
    ("cpu hours", "cpu_us", Unit::Hours),
    ("wall hours", "wall_us", Unit::Hours),
    ("node hours", "node_us", Unit::Hours),
    ("core hours", "core_us", Unit::Hours),
    ("failed", "failed", Unit::Number),
    ("killed", "killed", Unit::Number),
    ("oom", "oom", Unit::Number),
];

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A number of something.
    Number,
    /// Microseconds, shown as hours.
    Hours,
}

impl Unit {
    /// The value as tables show it; empty where it is not known.
    pub fn shown(self, value: &Value) -> String {
        match (self, value.as_u64()) {
            (_, None) => String::new(),
            (Unit::Number, Some(number)) => number.to_string(),
            (Unit::Hours, Some(us)) => format!("{:.2}", us as f64 / 3.6e9),
        }
    }
}

/// The keys that its lines are told apart by.
pub fn keys(report: &Value) -> Vec<&str> {
    report["by"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).collect()
}

/// Its lines.
pub fn lines(report: &Value) -> &[Value] {
    report["lines"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The values of a line's keys. What is not known says so.
pub fn names(line: &Value, keys: &[&str]) -> Vec<String> {
    let name = |key: &&str| match text_of(line, key) {
        name if name.is_empty() && *key == "software" => "(unknown)".to_owned(),
        name if name.is_empty() => "-".to_owned(),
        name => name,
    };
    keys.iter().map(name).collect()
}

/// Figures that some line has; wall hours where they order the lines.
pub fn figures(report: &Value) -> Vec<Figure> {
    let has = |key: &str| number(&report["total"], key) > 0;
    let is_by_wall = report["order"] == "wall";
    let always =
        if is_by_wall { ["processes", "users", "wall_us"] } else { ["processes", "users", "cpu_us"] };
    let always = always.map(|key| if report["total"].get(key).is_some() { key } else { "" });
    let is_shown = |key: &str| always.contains(&key) || (has(key) && (key != "wall_us" || is_by_wall));
    FIGURES.into_iter().filter(|(_, key, _)| is_shown(key)).collect()
}

/// The part of the whole, 0 to 1.
pub fn share(line: &Value) -> f64 {
    line["share"].as_f64().unwrap_or(0.0)
}

/// What the figures leave open, a sentence each.
pub fn notes(report: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    let months = report["whole_months"].as_array().into_iter().flatten();
    let months: Vec<&str> = months.filter_map(Value::as_str).collect();
    if !months.is_empty() {
        notes.push(format!("{} kept by month, and counted whole", months.join(", ")));
    }
    if report["lines_overlap"] == true {
        notes.push("a process counts in several lines: they do not add up to the total".to_owned());
    }
    let not_told = number(&report["not_told"], "processes");
    if not_told > 0 {
        let hours = Unit::Hours.shown(&report["not_told"]["cpu_us"]);
        notes.push(format!(
            "of {not_told} processes ({hours} CPU-hours) it is not known what they had loaded"
        ));
    }
    if let Some(since_ns) = report["hosts_since_ns"].as_i64() {
        let since = utc::from_nanoseconds(since_ns);
        notes.push(format!("processes are counted by host since {since}: earlier ones are not here"));
    }
    let limited = number(report, "limited");
    if limited > 0 {
        notes.push(format!("{limited} processes were only counted, over a job's limit: they are in no line"));
    }
    let open = number(&report["total"], "end_unknown");
    if open > 0 {
        notes.push(format!("{open} processes have no known end: they are in no CPU hours"));
    }
    let claimed = number(&report["total"], "claimed");
    if claimed > 0 {
        let hours = Unit::Hours.shown(&report["total"]["claimed_cpu_us"]);
        notes.push(format!("{claimed} processes ({hours} CPU-hours) are claimed: nobody proved them"));
    }
    notes
}

/// Comma-separated values: a line of titles, and one for each line of the report.
pub fn csv(report: &Value) -> String {
    let mut table = Spreadsheet::default();
    let keys = keys(report);
    let titles = FIGURES.iter().map(|(title, _, _)| title.replace(' ', "_"));
    let titles = keys.iter().map(|key| (*key).to_owned()).chain(titles);
    table.row(titles.chain(["end_unknown", "claimed", "share"].map(str::to_owned)));
    for line in lines(report) {
        let values = FIGURES.iter().map(|(_, key, unit)| unit.shown(&line[key]));
        let names = keys.iter().map(|key| text_of(line, key));
        let rest = [text_of(line, "end_unknown"), text_of(line, "claimed"), format!("{:.6}", share(line))];
        table.row(names.chain(values).chain(rest));
    }
    table.text()
}
