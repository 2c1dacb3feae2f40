//! `/builds`: builds that are registered, the newest first.

use super::{field, period_fields, spreadsheet};
use crate::{
    api::{Reader, Refusal},
    command, figures,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    period::Period,
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

const PAGE: &str = "100";
const FILE: &str = "10000";

const COLUMNS: [(&str, Kind); 7] = [
    ("software", Kind::Text),
    ("toolchain", Kind::Text),
    ("compiler", Kind::Text),
    ("by", Kind::Text),
    ("host", Kind::Text),
    ("linked", Kind::Number),
    ("signature", Kind::Text),
];

/// What narrows the list: its name in the address and in the API, and the option of the command.
const NARROWED_BY: [(&str, &str); 5] = [
    ("name", "--name"),
    ("version", "--version"),
    ("user", "--user"),
    ("compiler", "--compiler"),
    ("flag", "--flag"),
];

fn question<'a>(parameters: &'a Parameters, period: &'a Period, limit: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<(&str, &str)> =
        NARROWED_BY.iter().map(|(name, _)| (*name, parameters.of(name))).collect();
    all.extend([("since", &period.since[..]), ("until", &period.until), ("limit", limit)]);
    all.push(("cursor", parameters.of("cursor")));
    all
}

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let period = Period::of(&parameters, "")?;
    let question = question(&parameters, &period, PAGE);
    let answer = reader.ask("/v1/builds", &question).await?;
    let mut options: Vec<(&str, &str)> =
        NARROWED_BY.iter().map(|(name, option)| (*option, parameters.of(name))).collect();
    options.extend([("--since", &period.since_text[..]), ("--until", &period.until_text)]);
    let table = table("Builds, the newest first", &answer)
        .command(command::with_options(&["ogrt", "builds"], &options))
        .csv(parameters.address("/builds.csv", &[("cursor", "")]))
        .json(link::to("/v1/builds", &question));
    let table = match answer["next"].as_str() {
        Some(next) => table.more(parameters.address("/builds", &[("cursor", next)]), "older builds"),
        None => table,
    };
    let body = html! {
        form.filter method="get" action="/builds" {
            (field(&parameters, "name", "software", "zlib"))
            (field(&parameters, "version", "version", "1.3.1"))
            (field(&parameters, "user", "linked by", "name or uid"))
            (field(&parameters, "compiler", "compiler", "gcc"))
            (field(&parameters, "flag", "flag", "-Ofast"))
            (period_fields(&period))
            button type="submit" { "Show" }
        }
        (table.shown())
    };
    Ok(Page::new(Section::Builds, "Builds", body))
}

/// The same as comma-separated values, as `ogrt builds --csv` has them.
pub async fn csv(reader: Reader, parameters: Parameters) -> Result<Response, Refusal> {
    let period = Period::of(&parameters, "")?;
    let answer = reader.ask("/v1/builds", &question(&parameters, &period, FILE)).await?;
    let all = answer["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(spreadsheet("builds.csv", builds::csv(all)))
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
