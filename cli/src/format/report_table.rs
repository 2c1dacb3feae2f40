//! `ogrt report` for people, for spreadsheets and for pages.

use crate::{
    format::sheet::Sheet,
    json_field::{number, text as text_of},
};
use anyhow::Result;
use serde_json::Value;

/// The longest bar.
const BAR: f64 = 20.0;

/// Figures of a line: the title, the key, and what they are divided by.
const FIGURES: [(&str, &str, Unit); 11] = [
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

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Number,
    /// Microseconds, shown as hours.
    Hours,
}

impl Unit {
    fn shown(self, value: &Value) -> String {
        match (self, value.as_u64()) {
            (_, None) => String::new(),
            (Unit::Number, Some(number)) => number.to_string(),
            (Unit::Hours, Some(us)) => format!("{:.2}", us as f64 / 3.6e9),
        }
    }
}

fn keys(report: &Value) -> Vec<&str> {
    report["by"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).collect()
}

fn lines(report: &Value) -> &[Value] {
    report["lines"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The values of a line's keys. What is not known says so.
fn names(line: &Value, keys: &[&str]) -> Vec<String> {
    let name = |key: &&str| match text_of(line, key) {
        name if name.is_empty() && *key == "software" => "(unknown)".to_owned(),
        name if name.is_empty() => "-".to_owned(),
        name => name,
    };
    keys.iter().map(name).collect()
}

/// Figures that some line has; wall hours where they order the lines.
fn figures(report: &Value) -> Vec<(&'static str, &'static str, Unit)> {
    let has = |key: &str| number(&report["total"], key) > 0;
    let is_by_wall = report["order"] == "wall";
    let always =
        if is_by_wall { ["processes", "users", "wall_us"] } else { ["processes", "users", "cpu_us"] };
    let is_shown = |key: &str| always.contains(&key) || (has(key) && (key != "wall_us" || is_by_wall));
    FIGURES.into_iter().filter(|(_, key, _)| is_shown(key)).collect()
}

fn share(line: &Value) -> f64 {
    line["share"].as_f64().unwrap_or(0.0)
}

/// A table with a bar for the eye, and below it what the lines leave open.
pub fn text(report: &Value) -> String {
    let (keys, figures) = (keys(report), figures(report));
    let mut sheet = Sheet::new();
    let titles = keys.iter().copied().chain(figures.iter().map(|(title, _, _)| *title));
    sheet.titles(&titles.chain(["share", ""]).collect::<Vec<_>>());
    let most = lines(report).iter().map(share).fold(f64::MIN_POSITIVE, f64::max);
    let row = |sheet: &mut Sheet, names: Vec<String>, line: &Value, bar: String| {
        let values = figures.iter().map(|(_, key, unit)| unit.shown(&line[key]));
        let share = format!("{:.1} %", 100.0 * share(line));
        sheet.columns(names.into_iter().chain(values).chain([share, bar]));
    };
    for line in lines(report) {
        let bar = "▇".repeat((share(line) / most * BAR).round() as usize);
        row(&mut sheet, names(line, &keys), line, bar);
    }
    let below = |name: &str| {
        let blank = std::iter::repeat_n(String::new(), keys.len().saturating_sub(1));
        [name.to_owned()].into_iter().chain(blank).take(keys.len().max(1)).collect::<Vec<_>>()
    };
    if !keys.is_empty() {
        row(&mut sheet, below("= total"), &report["total"], String::new());
    }
    row(&mut sheet, below("= not registered"), &report["unregistered"], String::new());
    let mut text = sheet.text();
    let more = number(report, "lines_in_all").saturating_sub(lines(report).len() as u64);
    if more > 0 {
        text += &format!("{more} more lines: --top {}\n", number(report, "lines_in_all").min(10_000));
    }
    let whole = report["whole_months"].as_array().into_iter().flatten().filter_map(|month| month.as_str());
    let whole: Vec<&str> = whole.collect();
    if !whole.is_empty() {
        text += &format!("{} kept by month, and counted whole\n", whole.join(", "));
    }
    if report["lines_overlap"] == true {
        text += "a process counts in several lines: they do not add up to the total\n";
    }
    let not_told = number(&report["not_told"], "processes");
    if not_told > 0 {
        let hours = Unit::Hours.shown(&report["not_told"]["cpu_us"]);
        text +=
            &format!("of {not_told} processes ({hours} CPU-hours) it is not known what they had loaded\n");
    }
    let open = number(&report["total"], "end_unknown");
    if open > 0 {
        text += &format!("{open} processes have no known end: they are in no CPU hours\n");
    }
    let claimed = number(&report["total"], "claimed");
    if claimed > 0 {
        let hours = Unit::Hours.shown(&report["total"]["claimed_cpu_us"]);
        text += &format!("{claimed} processes ({hours} CPU-hours) are claimed: nobody proved them\n");
    }
    text
}

/// Comma-separated values: a line of titles, and one for each line of the report.
pub fn csv(report: &Value) -> Result<String> {
    let keys = keys(report);
    let mut csv = csv::Writer::from_writer(Vec::new());
    let titles = FIGURES.iter().map(|(title, _, _)| title.replace(' ', "_"));
    let titles = keys.iter().map(|key| (*key).to_owned()).chain(titles);
    csv.write_record(titles.chain(["end_unknown", "claimed", "share"].map(str::to_owned)))?;
    for line in lines(report) {
        let values = FIGURES.iter().map(|(_, key, unit)| unit.shown(&line[key]));
        let names = keys.iter().map(|key| text_of(line, key));
        let rest = [text_of(line, "end_unknown"), text_of(line, "claimed"), format!("{:.6}", share(line))];
        csv.write_record(names.chain(values).chain(rest))?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

/// A table in Markdown.
pub fn markdown(report: &Value) -> String {
    let (keys, figures) = (keys(report), figures(report));
    let cell = |text: String| text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
    let row =
        |cells: Vec<String>| format!("| {} |\n", cells.into_iter().map(cell).collect::<Vec<_>>().join(" | "));
    let titles = keys.iter().copied().chain(figures.iter().map(|(title, _, _)| *title)).chain(["share"]);
    let mut text = row(titles.map(str::to_owned).collect());
    let rule = keys.iter().map(|_| "---").chain(figures.iter().map(|_| "--:")).chain(["--:"]);
    text += &format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    for line in lines(report) {
        let values = figures.iter().map(|(_, key, unit)| unit.shown(&line[key]));
        let share = format!("{:.1} %", 100.0 * share(line));
        text += &row(names(line, &keys).into_iter().chain(values).chain([share]).collect());
    }
    text
}
