//! `ogrt report` for people and for pages.

use crate::format::sheet::Sheet;
use ogrt_answers::{
    json_field::number,
    report::{figures, keys, lines, names, notes, share},
};
use serde_json::Value;

/// The longest bar.
const BAR: f64 = 20.0;

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
    if report["unregistered"].is_object() {
        row(&mut sheet, below("= not registered"), &report["unregistered"], String::new());
    }
    let mut text = sheet.text();
    let more = number(report, "lines_in_all").saturating_sub(lines(report).len() as u64);
    if more > 0 {
        text += &format!("{more} more lines: --top {}\n", number(report, "lines_in_all").min(10_000));
    }
    for note in notes(report) {
        text += &(note + "\n");
    }
    text
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
