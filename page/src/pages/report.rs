//! `/report`: what was used in a period, by any keys.

use super::{choice, period_fields, spreadsheet, warnings};
use crate::{
    api::{Reader, Refusal},
    command, figures,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    period::Period,
    shown,
    table::{Cell, Kind, Table},
};
use axum::response::Response;
use maud::{Markup, html};
use ogrt_answers::{
    json_field::{number, text},
    report,
};
use serde_json::Value;

/// Keys that a line may be told apart by, in the order of the list.
pub const KEYS: [&str; 19] = [
    "software",
    "version",
    "program",
    "executable",
    "compiler",
    "library",
    "module",
    "package",
    "installed_package",
    "known_by",
    "user",
    "account",
    "partition",
    "cluster",
    "host",
    "status",
    "day",
    "week",
    "month",
];

/// Reports that sites publish: their names, and their parameters.
const PRESETS: [(&str, &[(&str, &str)]); 8] = [
    ("top software, as XALT counts it", &[("by", "executable"), ("order", "wall")]),
    ("software by node-hours", &[("by", "software"), ("by", "version"), ("order", "node")]),
    ("may be retired", &[("by", "software"), ("by", "version"), ("registered", "yes")]),
    ("compilers", &[("by", "compiler")]),
    ("libraries", &[("by", "library")]),
    ("modules", &[("by", "module")]),
    ("packages of languages", &[("by", "package")]),
    ("accounts by month", &[("by", "account"), ("by", "month")]),
];

const TOP: &str = "100";

/// A question for a report, in the form of the page, of the API and of the command.
struct Question {
    keys: String,
    period: Period,
    order: String,
    top: String,
    registered: String,
    /// Keys and values that narrow it.
    only: Vec<(String, String)>,
}

impl Question {
    fn of(parameters: &Parameters) -> Result<Question, Refusal> {
        let keys: Vec<&str> = parameters.all("by").flat_map(|keys| keys.split(',')).collect();
        let mut chosen: Vec<&str> = Vec::new();
        for key in keys {
            if !chosen.contains(&key) {
                chosen.push(key);
            }
        }
        let mut only = Vec::new();
        for key in KEYS {
            if !parameters.of(key).is_empty() {
                only.push((key.to_owned(), parameters.of(key).to_owned()));
            }
        }
        // A form has one field for the key, and one for its value.
        let (key, value) = (parameters.of("where"), parameters.of("is"));
        if !key.is_empty() && !value.is_empty() && only.iter().all(|(known, _)| known != key) {
            only.push((key.to_owned(), value.to_owned()));
        }
        let or = |text: &str, usual: &str| if text.is_empty() { usual.to_owned() } else { text.to_owned() };
        Ok(Question {
            keys: or(&chosen.join(","), "software"),
            period: Period::of(parameters, "30d")?,
            order: parameters.of("order").to_owned(),
            top: or(parameters.of("top"), TOP),
            registered: parameters.of("registered").to_owned(),
            only,
        })
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let mut all = vec![
            ("by", &self.keys[..]),
            ("since", &self.period.since),
            ("until", &self.period.until),
            ("order", &self.order),
            ("top", &self.top),
            ("registered", &self.registered),
        ];
        all.extend(self.only.iter().map(|(key, value)| (&key[..], &value[..])));
        all.retain(|(_, value)| !value.is_empty());
        all
    }

    fn command(&self) -> String {
        let only: Vec<String> = self.only.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let registered = match self.registered.is_empty() {
            true => String::new(),
            false => format!("registered={}", self.registered),
        };
        let mut options = vec![
            ("--by", &self.keys[..]),
            ("--since", &self.period.since_text),
            ("--until", &self.period.until_text),
            ("--top", &self.top),
            ("--where", &registered),
            ("--order", &self.order),
        ];
        options.extend(only.iter().map(|only| ("--where", &only[..])));
        command::with_options(&["ogrt", "report"], &options)
    }
}

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let question = Question::of(&parameters)?;
    let answer = reader.ask("/v1/report", &question.parameters()).await?;
    let table = table("Lines", &answer)
        .command(question.command())
        .csv(parameters.address("/report.csv", &[]))
        .json(link::to("/v1/report", &question.parameters()));
    let more = number(&answer, "lines_in_all").saturating_sub(report::lines(&answer).len() as u64);
    let table = match more {
        0 => table,
        more => table.more(parameters.address("/report", &[("top", "10000")]), format!("{more} more lines")),
    };
    let body = html! {
        (form(&parameters, &question))
        p.summary { "CPU-hours, processes and users: " (question.period.words()) ". docs/report.md says what each figure counts." }
        (warnings(&answer, "more was used than the server keeps apart."))
        (table.shown())
        (presets(&question.period))
    };
    Ok(Page::new(Section::Report, "Report", body))
}

/// The same as comma-separated values.
pub async fn csv(reader: Reader, parameters: Parameters) -> Result<Response, Refusal> {
    let question = Question::of(&parameters)?;
    let answer = reader.ask("/v1/report", &question.parameters()).await?;
    Ok(spreadsheet("report.csv", report::csv(&answer)))
}

/// The lines of a report, with its sums below them and what they leave open.
pub fn table(title: &str, answer: &Value) -> Table {
    let (keys, columns) = (report::keys(answer), report::figures(answer));
    // In the order of the question.
    let keys = keys.iter().filter_map(|asked| KEYS.into_iter().find(|key| key == asked));
    let keys: Vec<&'static str> = keys.collect();
    let titles = keys.iter().map(|key| (*key, Kind::Text));
    let titles = titles.chain(columns.iter().map(|(title, ..)| (*title, Kind::Number)));
    let titles: Vec<_> = titles.chain([("share", Kind::Number)]).collect();
    let most = report::lines(answer).iter().map(report::share).fold(0.0, f64::max);
    let figures_of = |line: &Value, with_bar: bool| {
        let cells = columns.iter().map(|(_, key, unit)| match unit {
            report::Unit::Number => figures::count(line, key),
            report::Unit::Hours => figures::hours(line, key),
        });
        let share = report::share(line);
        let share = match with_bar {
            true => figures::share(share, most),
            false => Cell::number(share, html! { (format!("{:.1} %", 100.0 * share)) }),
        };
        cells.chain([share]).collect::<Vec<_>>()
    };
    let mut table = Table::new(title, &titles)
        .notes(report::notes(answer))
        .nothing("Nothing of this was used in this time.");
    for line in report::lines(answer) {
        let names = keys.iter().map(|key| Cell::text(name(key, &text(line, key))));
        table.row(names.chain(figures_of(line, true)).collect());
    }
    if !keys.is_empty() {
        let sums = [("total", "total"), ("not registered", "unregistered")];
        for (name, key) in sums.into_iter().filter(|(_, key)| answer[*key].is_object()) {
            let blank = (1..keys.len()).map(|_| Cell::text(html! {}));
            let names = [Cell::text(html! { strong { (name) } })].into_iter().chain(blank);
            table.sum(names.chain(figures_of(&answer[key], false)).collect());
        }
    }
    table
}

/// The first figures alone, for tables that stand side by side.
pub fn small(title: &str, key: &'static str, answer: &Value) -> Table {
    let columns = [
        (key, Kind::Text),
        ("processes", Kind::Number),
        ("jobs", Kind::Number),
        ("CPU-hours", Kind::Number),
        ("share", Kind::Number),
    ];
    let most = report::lines(answer).iter().map(report::share).fold(0.0, f64::max);
    let notes = report::notes(answer);
    let mut table =
        Table::new(title, &columns).notes(notes).nothing("Nothing of this was used in this time.");
    for line in report::lines(answer) {
        table.row(vec![
            name(key, &text(line, key)).into(),
            figures::count(line, "processes"),
            figures::count(line, "jobs"),
            figures::hours(line, "cpu_us"),
            figures::share(report::share(line), most),
        ]);
    }
    table
}

/// The value of a key, as a link to what it is about.
pub fn name(key: &str, value: &str) -> Markup {
    match key {
        "software" => link::software(value),
        "user" => link::user(value),
        "account" if !value.is_empty() => {
            html! { a href=(link::to("/jobs", &[("account", value)])) { (shown::short(value)) } }
        }
        "library" if value.contains(".so") => {
            html! { a href=(link::to("/affected", &[("soname", value)])) { (shown::short(value)) } }
        }
        "library" => link::software(value),
        "program" if value.starts_with('/') => {
            html! { a href=(link::to("/affected", &[("path", value)])) { (shown::short(value)) } }
        }
        _ => shown::name_or(value, "-"),
    }
}

fn form(parameters: &Parameters, question: &Question) -> Markup {
    let chosen: Vec<&str> = question.keys.split(',').collect();
    let none = [("", "-")].into_iter();
    let keys: Vec<(&str, &str)> = none.chain(KEYS.map(|key| (key, key))).collect();
    let places = [("by1", "a line for each"), ("by2", "and"), ("by3", "and")];
    let narrowed = question.only.first().map(|(key, value)| (&key[..], &value[..])).unwrap_or_default();
    html! {
        form.filter method="get" action="/report" {
            @for (at, (id, label)) in places.into_iter().enumerate() {
                div.field {
                    label for=(id) { (label) }
                    select id=(id) name="by" {
                        @for (value, words) in &keys {
                            option value=(value) selected[chosen.get(at).is_some_and(|key| key == value)] { (words) }
                        }
                    }
                }
            }
            (choice("where", "only where", narrowed.0, &keys))
            div.field { label for="is" { "is" } input #is name="is" value=(narrowed.1) autocomplete="off" spellcheck="false"; }
            (period_fields(&question.period))
            (choice("order", "first the most", parameters.of("order"), &[("", "CPU-hours"), ("node", "node-hours"), ("wall", "wall-hours"), ("processes", "processes")]))
            (choice("registered", "registered", parameters.of("registered"), &[("", "or not"), ("yes", "only"), ("no", "not")]))
            button type="submit" { "Show" }
        }
    }
}

fn presets(period: &Period) -> Markup {
    html! {
        section {
            h2 { "Reports that many sites publish" }
            ul.inline {
                @for (name, parameters) in PRESETS {
                    @let all: Vec<(&str, &str)> = parameters.iter().copied().chain([("since", &period.since_text[..]), ("until", &period.until_text[..])]).collect();
                    li { a href=(link::to("/report", &all)) { (name) } }
                }
            }
        }
    }
}
