//! `/builds`: builds that are registered, the newest first.

use super::{field, period_fields, spreadsheet};
use crate::{
    api::{Reader, Refusal},
    figures,
    frame::{Page, Section},
    link,
    list::ListKind,
    parameters::Parameters,
    shown,
    table::{Kind, Table},
};
use axum::response::Response;
use maud::{Markup, html};
use ogrt_answers::{
    builds,
    json_field::{software, text, user},
};
use serde_json::Value;

const COLUMNS: [(&str, Kind); 7] = [
    ("software", Kind::Text),
    ("toolchain", Kind::Text),
    ("compiler", Kind::Text),
    ("by", Kind::Text),
    ("host", Kind::Text),
    ("linked", Kind::Number),
    ("signature", Kind::Text),
];

const LIST: ListKind = ListKind {
    name: "builds",
    lines: "builds",
    narrowed_by: &[
        ("name", "--name"),
        ("version", "--version"),
        ("user", "--user"),
        ("compiler", "--compiler"),
        ("flag", "--flag"),
    ],
    more: "older builds",
};

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let list = LIST.of(&parameters)?;
    let answer = list.ask(&reader).await?;
    let table = table("Builds, the newest first", &answer);
    let body = html! {
        form.filter method="get" action="/builds" {
            (field(&parameters, "name", "software", "zlib"))
            (field(&parameters, "version", "version", "1.3.1"))
            (field(&parameters, "user", "linked by", "name or uid"))
            (field(&parameters, "compiler", "compiler", "gcc"))
            (field(&parameters, "flag", "flag", "-Ofast"))
            (period_fields(&list.period))
            button type="submit" { "Show" }
        }
        (list.complete(table, &answer).shown())
    };
    Ok(Page::new(Section::Builds, "Builds", body))
}

/// The same as comma-separated values, as `ogrt builds --csv` has them.
pub async fn csv(reader: Reader, parameters: Parameters) -> Result<Response, Refusal> {
    let lines = LIST.of(&parameters)?.lines(&reader).await?;
    Ok(spreadsheet("builds.csv", builds::csv(&lines)))
}

/// A line for each build.
pub fn table(title: &str, answer: &Value) -> Table {
    let mut table = Table::new(title, &COLUMNS).nothing("No build of this kind is registered.");
    for build in answer["builds"].as_array().into_iter().flatten() {
        let signature = text(build, "signature");
        table.row(vec![
            software_of(build).into(),
            text(build, "toolchain").into(),
            text(build, "compiler").into(),
            user(build).into(),
            text(build, "hostname").into(),
            figures::moment(build, "time_ns"),
            html! { a.mono href=(link::to("/build", &[("signature", &signature)])) { (signature) } }.into(),
        ]);
    }
    table
}

/// The name of a build's software, and its version.
pub fn software_of(build: &Value) -> Markup {
    let (name, all) = (text(build, "name"), software(build));
    let version = all.strip_prefix(&name).unwrap_or_default().trim();
    html! { (link::software(&name)) " " (shown::short(version)) }
}
