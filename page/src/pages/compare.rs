//! `/compare`: what differs between two builds.

use crate::{
    api::{Reader, Refusal},
    command,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    shown,
    table::{Kind, Table},
};
use maud::{Markup, html};
use ogrt_answers::compare_builds::{Difference, ListDifference, compare};
use ogrt_proto::BuildJson;

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let [a, b] = ["a", "b"].map(|name| parameters.of(name));
    if a.is_empty() || b.is_empty() {
        let body = html! {
            p { "Choose two builds by their signatures. The page of a build has links to compare it." }
            form.filter method="get" action="/compare" {
                (super::field(&parameters, "a", "before", "signature"))
                (super::field(&parameters, "b", "after", "signature"))
                button type="submit" { "Compare" }
            }
        };
        return Ok(Page::new(Section::Builds, "Compare two builds", body));
    }
    let (before, after) = tokio::join!(record(&reader, a), record(&reader, b));
    let (before, after) = (before?, after?);
    let difference = compare(&before, &after);
    let body = html! {
        p.summary { "Before: " (link::build(a, &name_of(&before))) ". After: " (link::build(b, &name_of(&after))) ". "
            a href=(link::to("/compare", &[("a", b), ("b", a)])) { "The other way round" } }
        @if difference.is_none() { p.good { "These builds are the same, but for time and place." } }
        (facts("What differs", difference.facts.iter().map(|(name, values)| (*name, values))))
        (list("Flags", &difference.flags))
        (list("Compilers and their flags", &difference.compilers))
        (list("Loaded modules", &difference.modules))
        (list("Inputs", &difference.inputs))
        (changed(&difference))
        (facts("Time and place", difference.circumstances.iter().map(|(name, values)| (*name, values))))
        (crate::table::command(&command::line(&["ogrt", "diff", a, b])))
    };
    Ok(Page::new(Section::Builds, "Two builds compared", body))
}

async fn record(reader: &Reader, signature: &str) -> Result<BuildJson, Refusal> {
    let path = format!("/v1/builds/{}", link::segment(signature));
    let answer = reader.ask::<&str>(&path, &[]).await?;
    serde_json::from_value(answer)
        .map_err(|_| Refusal::bad_question(format!("the record of {signature} cannot be read")))
}

fn name_of(build: &BuildJson) -> String {
    let metadata = &build.metadata;
    let parts = [&metadata.name, &metadata.version, &metadata.version_suffix];
    parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
}

fn facts<'a>(title: &str, differing: impl Iterator<Item = (&'a str, &'a [String; 2])>) -> Markup {
    let mut table = Table::new(title, &[("what", Kind::Text), ("before", Kind::Text), ("after", Kind::Text)]);
    for (name, [before, after]) in differing {
        table.row(vec![
            name.replace('_', " ").into(),
            shown::name_or(before, "-").into(),
            shown::name_or(after, "-").into(),
        ]);
    }
    if table.is_empty() {
        html! {}
    } else {
        table.shown()
    }
}

fn list(title: &str, difference: &ListDifference) -> Markup {
    html! {
        @if !difference.is_none() {
            section {
                h2 { (title) }
                ul.difference {
                    @for text in &difference.before { li.gone { span.unseen { "only before: " } (shown::long(text)) } }
                    @for text in &difference.after { li.new { span.unseen { "only after: " } (shown::long(text)) } }
                }
            }
        }
    }
}

fn changed(difference: &Difference) -> Markup {
    let mut table = Table::new(
        "Inputs with other contents",
        &[
            ("input", Kind::Text),
            ("digest before", Kind::Text),
            ("digest after", Kind::Text),
            ("from other builds", Kind::Text),
        ],
    );
    for input in &difference.changed_inputs {
        let [before, after] = &input.sha256;
        let digest = |digest: &str| html! { span.mono title=(digest) { (digest.get(..12).unwrap_or("cannot be read")) } };
        let builds = html! { @for signature in input.signatures.iter().flatten() { (link::build(signature, "")) " " } };
        table.row(vec![
            input.path.clone().into(),
            digest(before).into(),
            digest(after).into(),
            builds.into(),
        ]);
    }
    if table.is_empty() {
        html! {}
    } else {
        table.shown()
    }
}
