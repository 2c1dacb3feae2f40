//! `/unregistered`: programs that ran and that neither a signature nor a learned package explains.

use super::{field, period_fields, spreadsheet, warnings};
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
    json_field::{number, text},
    learned_name::name_or_resemblance,
    units::grouped,
    unregistered,
};
use serde_json::Value;

const COLUMNS: [(&str, Kind); 7] = [
    ("program", Kind::Text),
    ("what it may be", Kind::Text),
    ("processes", Kind::Number),
    ("jobs", Kind::Number),
    ("users", Kind::Text),
    ("last", Kind::Number),
    ("build-id", Kind::Text),
];

const LIST: ListKind = ListKind {
    name: "unregistered",
    lines: "programs",
    narrowed_by: &[("user", "--user"), ("host", "--host"), ("cluster", "--cluster"), ("under", "--under")],
    more: "further programs",
};

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let list = LIST.of(&parameters)?;
    let answer = list.ask(&reader).await?;
    let mut table =
        Table::new("Programs, the latest first", &COLUMNS).nothing("Everything that ran has a name.");
    for program in answer["programs"].as_array().into_iter().flatten() {
        table.row(vec![
            subject(program).into(),
            name_or_resemblance(program).into(),
            figures::count(program, "processes"),
            figures::count(program, "jobs"),
            users(program).into(),
            figures::moment(program, "last_ns"),
            html! { span.mono { (shown::short(&text(program, "build_id"))) } }.into(),
        ]);
    }
    let explained = number(&answer, "explained");
    let table = table.notes((explained > 0).then(|| {
        format!(
            "{} more programs have no signature, and a learned package or a rule explains them.",
            grouped(explained)
        )
    }));
    let body = html! {
        p.summary { "Nobody registered these programs, and no package that was learned has them. "
            "Teach the server what they are with " code { "ogrt learn" } ", or by a rule." }
        form.filter method="get" action="/unregistered" {
            (field(&parameters, "user", "user", "name or uid"))
            (field(&parameters, "host", "host", ""))
            (field(&parameters, "cluster", "cluster", ""))
            (field(&parameters, "under", "path begins with", "/home/"))
            (period_fields(&list.period))
            button type="submit" { "Show" }
        }
        (warnings(&answer, "more ran than the server keeps apart."))
        (list.complete(table, &answer).shown())
    };
    Ok(Page::new(Section::Unregistered, "Not registered", body))
}

/// The same as comma-separated values, as `ogrt unregistered --csv` has them.
pub async fn csv(reader: Reader, parameters: Parameters) -> Result<Response, Refusal> {
    let lines = LIST.of(&parameters)?.lines(&reader).await?;
    Ok(spreadsheet("unregistered.csv", unregistered::csv(&lines)))
}

/// The program, as a link to who ran it.
fn subject(program: &Value) -> Markup {
    let (path, build_id) = (text(program, "binpath"), text(program, "build_id"));
    let question = match build_id.is_empty() {
        true => [("path", &path[..])],
        false => [("build_id", &build_id[..])],
    };
    html! { a href=(link::to("/affected", &question)) { (shown::name_or(&path, "(no path)")) } }
}

fn users(program: &Value) -> Markup {
    let names: Vec<&str> =
        program["users"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let more = names.len().saturating_sub(3);
    html! {
        @for name in names.iter().take(3) { (link::user(name)) " " }
        @if more > 0 { "and " (more) " more" }
    }
}
