//! `/build`: a build's record, what it contains and what contains it, who ran it, and how it
//! differs from the build before.

use crate::{
    api::{Reader, Refusal},
    command, figures,
    frame::{Page, Section},
    graph::{Graph, GraphNode},
    link,
    parameters::Parameters,
    shown,
    table::{Cell, Kind, Table, command as command_line},
};
use axum::http::StatusCode;
use maud::{Markup, html};
use ogrt_answers::{
    json_field::{number, software, text, user, words},
    units::{duration, grouped},
    uses,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Inputs that a page shows by name.
const INPUTS_MAX: usize = 200;

/// Builds in the graph, each way.
const GRAPH_MAX: usize = 12;

/// Other builds of the same software.
const OTHERS: &str = "20";

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let signature = parameters.of("signature");
    if signature.is_empty() {
        return Err(Refusal::bad_question("an address of a build has its signature: /build?signature=UUID"));
    }
    let path = |what: &str| format!("/v1/{what}/{}", link::segment(signature));
    let [builds, dependents, uses] = ["builds", "dependents", "uses"].map(path);
    let (record, dependents, uses) = tokio::join!(
        reader.ask::<&str>(&builds, &[]),
        reader.find(&dependents, &[("limit", "50")]),
        reader.find(&uses, &[("limit", "20")]),
    );
    let record = match record {
        Ok(record) => record,
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            let uses = uses?.unwrap_or_default();
            return Ok(not_registered(signature, &uses, refusal));
        }
        Err(refusal) => return Err(refusal),
    };
    let (dependents, uses) = (dependents?.unwrap_or_default(), uses?.unwrap_or_default());
    let name = text(&record["metadata"], "name");
    let others = match name.is_empty() {
        true => Value::Null,
        false => reader.ask("/v1/builds", &[("name", &name[..]), ("limit", OTHERS)]).await?,
    };
    let origins = origins(&reader, &record).await;
    let title = software(&record["metadata"]);
    let title = if title.is_empty() { file_name(&record) } else { title };
    let body = html! {
        (facts(&record, signature))
        (graph(&record, &origins, &dependents, signature).shown())
        (who_ran(&uses, signature))
        (inputs(&record, &origins))
        (contained_in(&dependents, signature))
        (other_builds(&others, &record, signature))
        (how(&record))
        section {
            h2 { "More by commands" }
            (command_line(&command::line(&["ogrt", "query", signature])))
            @if let Some(path) = record["output"]["path"].as_str() { (command_line(&command::line(&["ogrt", "verify", path]))) }
            (command_line(&command::line(&["ogrt", "export", "--format", "cyclonedx", signature])))
        }
    };
    Ok(Page::new(Section::Builds, format!("Build of {title}"), body))
}

fn not_registered(signature: &str, uses: &Value, refusal: Refusal) -> Page {
    let body = html! {
        p.problem { (shown::long(&refusal.detail)) }
        @if !uses.is_null() { (who_ran(uses, signature)) }
    };
    Page { status: StatusCode::NOT_FOUND, ..Page::new(Section::Builds, format!("Build {signature}"), body) }
}

fn file_name(record: &Value) -> String {
    let path = text(&record["output"], "path");
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The names of the builds that the inputs came from, by signature.
async fn origins(reader: &Reader, record: &Value) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let inputs = record["inputs"].as_array().into_iter().flatten();
    let signatures = inputs.flat_map(|input| input["signatures"].as_array().into_iter().flatten());
    for signature in signatures.filter_map(Value::as_str) {
        if names.len() < GRAPH_MAX && !names.contains_key(signature) {
            let path = format!("/v1/builds/{}", link::segment(signature));
            let found = reader.ask::<&str>(&path, &[]).await.ok();
            let name = found.map(|build| {
                let name = software(&build["metadata"]);
                if name.is_empty() { file_name(&build) } else { name }
            });
            names.insert(signature.to_owned(), name.unwrap_or_default());
        }
    }
    names
}

fn facts(record: &Value, signature: &str) -> Markup {
    let metadata = &record["metadata"];
    let output = &record["output"];
    let texts = [
        ("toolchain", text(metadata, "toolchain")),
        ("module", text(metadata, "module")),
        (
            "package",
            [text(metadata, "package_manager"), text(metadata, "package_id")].join(" ").trim().to_owned(),
        ),
        ("compiler", text(metadata, "compiler")),
        ("linked by", user(record)),
        ("on host", text(record, "hostname")),
        ("in directory", text(record, "working_directory")),
        ("registered by", text(record, "registered_by")),
        ("file", text(output, "path")),
        ("SHA-256", text(output, "sha256")),
        ("build-id", text(output, "build_id")),
        ("git commit", text(record, "git_commit")),
    ];
    html! {
        dl.facts.sheet {
            dt { "signature" } dd.mono { (shown::long(signature)) }
            @if !text(metadata, "name").is_empty() { dt { "software" } dd { (link::software(&text(metadata, "name"))) " " (shown::short(&text(metadata, "version"))) } }
            dt { "linked" } dd { (figures::when_ns(record["time_ns"].as_i64().unwrap_or(0))) ", in " (duration(number(record, "duration_ns"))) }
            @for (label, text) in &texts { @if !text.is_empty() { dt { (label) } dd { (shown::long(text)) } } }
            @if record["marked"] == false { dt { "no note" } dd { "The file carries no note: " (shown::long(&text(record, "unmarked_reason"))) } }
            @if let Some(times) = record["builds"].as_array() { dt { "made again" } dd { (times.len()) " times, with the same result" } }
        }
    }
}

fn who_ran(answer: &Value, signature: &str) -> Markup {
    let columns = [
        ("user", Kind::Text),
        ("processes", Kind::Number),
        ("jobs", Kind::Number),
        ("first", Kind::Number),
        ("last", Kind::Number),
    ];
    let mut table = Table::new("Who ran it", &columns).nothing("Nobody ran it, as far as this server knows.");
    for row in answer["users"].as_array().into_iter().flatten() {
        table.row(vec![
            link::user(&text(row, "user")).into(),
            Cell::number(number(row, "processes") as f64, html! { (uses::processes(row)) }),
            figures::count(row, "jobs"),
            figures::moment(row, "first_ns"),
            figures::moment(row, "last_ns"),
        ]);
    }
    let table = match table.is_empty() {
        true => table,
        false => table.notes([format!("In all: {}.", uses::sentence(&answer["total"]))]),
    };
    table
        .command(command::line(&["ogrt", "uses", signature]))
        .csv(link::to("/affected.csv", &[("what", signature)]))
        .more(link::to("/affected", &[("what", signature)]), "jobs, hosts, and what contains it")
        .shown()
}

fn graph(record: &Value, origins: &BTreeMap<String, String>, dependents: &Value, signature: &str) -> Graph {
    let node = |signature: &str, name: &str| GraphNode {
        name: if name.is_empty() { signature.to_owned() } else { name.to_owned() },
        address: link::to("/build", &[("signature", signature)]),
    };
    let title = software(&record["metadata"]);
    let title = if title.is_empty() { file_name(record) } else { title };
    let above =
        dependents["builds"].as_array().into_iter().flatten().filter(|build| number(build, "depth") == 1);
    Graph {
        contains: origins.iter().map(|(signature, name)| node(signature, name)).collect(),
        this: node(signature, &title),
        contained_in: above
            .take(GRAPH_MAX)
            .map(|build| node(&text(build, "signature"), &software(build)))
            .collect(),
    }
}

fn inputs(record: &Value, origins: &BTreeMap<String, String>) -> Markup {
    let columns = [
        ("input", Kind::Text),
        ("kind", Kind::Text),
        ("from the build", Kind::Text),
        ("size", Kind::Number),
        ("SHA-256", Kind::Text),
    ];
    let inputs = record["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut table = Table::new("What it was linked from", &columns).nothing("Its inputs are not recorded.");
    for input in inputs.iter().take(INPUTS_MAX) {
        let dropped = if input["dropped"] == true { " (not needed)" } else { "" };
        let from = input["signatures"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let from: Vec<&str> = from.collect();
        let digest = text(input, "sha256");
        table.row(vec![
            text(input, "path").into(),
            html! { (text(input, "kind")) (dropped) }.into(),
            html! { @for signature in &from { (link::build(signature, origins.get(*signature).map_or("", |name| name))) " " } }.into(),
            figures::count(input, "size"),
            html! { @if !digest.is_empty() { a.mono href=(link::to("/search", &[("q", &digest)])) title=(digest) { (digest.get(..12).unwrap_or(&digest)) "…" } } }.into(),
        ]);
    }
    let more = inputs.len().saturating_sub(INPUTS_MAX);
    let table = if more > 0 {
        table.notes([format!("{} more inputs are in the record.", grouped(more as u64))])
    } else {
        table
    };
    table.json(format!("/v1/builds/{}", link::segment(&text(record, "signature")))).shown()
}

fn contained_in(dependents: &Value, signature: &str) -> Markup {
    let columns = [
        ("software", Kind::Text),
        ("links away", Kind::Number),
        ("linked", Kind::Number),
        ("signature", Kind::Text),
    ];
    let mut table = Table::new("What contains it", &columns).nothing("No other build contains it.");
    for build in dependents["builds"].as_array().into_iter().flatten() {
        let other = text(build, "signature");
        table.row(vec![
            super::builds::software_of(build).into(),
            figures::count(build, "depth"),
            figures::moment(build, "time_ns"),
            html! { a.mono href=(link::to("/build", &[("signature", &other)])) { (other) } }.into(),
        ]);
    }
    let notes = dependents["next"].as_str().map(|_| "There are more; the command lists all.".to_owned());
    table.notes(notes).command(command::line(&["ogrt", "dependents", signature])).shown()
}

fn other_builds(others: &Value, record: &Value, signature: &str) -> Markup {
    let columns =
        [("software", Kind::Text), ("linked", Kind::Number), ("by", Kind::Text), ("difference", Kind::Text)];
    let mut table = Table::new("Other builds of the same software", &columns)
        .nothing("There is no other build of this name.");
    let own = record["time_ns"].as_i64().unwrap_or(0);
    let mut has_before = false;
    for build in others["builds"].as_array().into_iter().flatten() {
        let other = text(build, "signature");
        if other == signature {
            continue;
        }
        let is_before = !has_before && build["time_ns"].as_i64().unwrap_or(0) <= own;
        has_before |= is_before;
        table.row(vec![
            link::build(&other, &software(build)).into(),
            figures::moment(build, "time_ns"),
            user(build).into(),
            html! { a href=(link::to("/compare", &[("a", &other), ("b", signature)])) { @if is_before { "compare with this one before" } @else { "compare" } } }.into(),
        ]);
    }
    table.shown()
}

fn how(record: &Value) -> Markup {
    let list = |key: &str| {
        record[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let compilers: Vec<String> =
        record["compilers"].as_array().into_iter().flatten().map(|one| text(one, "producer")).collect();
    html! {
        section {
            h2 { "How it was linked" }
            @for (label, words) in [("compiler driver", list("driver_command")), ("linker", list("linker_command"))] {
                @if !words.is_empty() {
                    details { summary { "Command of the " (label) } p.command { code { (shown::long(&command::line(&words))) } } }
                }
            }
            @if !compilers.is_empty() {
                details { summary { "Compilers of its objects, with their flags" } ul { @for producer in &compilers { li { (shown::long(producer)) } } } }
            }
            @if !words(record, "loaded_modules").is_empty() { p { "Modules that were loaded: " (shown::long(&words(record, "loaded_modules"))) } }
        }
    }
}
