//! `/search`: one box for everything. It says what it took the words for, and what it found.

use super::{builds, jobs};
use crate::{
    api::{Reader, Refusal},
    command, figures,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    shown,
    table::{Cell, Kind, Table},
};
use maud::{Markup, html};
use ogrt_answers::{
    json_field::{number, text},
    uses,
};
use serde_json::Value;

/// Lines of each kind.
const LINES: &str = "10";

/// The page. A file that was dropped onto a page asks with its signature, build-id and digest.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let asked = parameters.of("q").to_owned();
    let named: Vec<&str> =
        [&asked[..], parameters.of("signature"), parameters.of("build_id"), parameters.of("sha256")]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
    let mut found = Vec::new();
    for word in &named {
        found.extend(of_word(&reader, word).await?);
    }
    let file = parameters.of("file");
    let body = html! {
        @if !file.is_empty() { p.summary { "The file " (shown::short(file)) ", by what your browser read in it: nothing of it was sent but these words." }
            dl.facts { @for (name, label) in [("signature", "signature"), ("build_id", "build-id"), ("sha256", "SHA-256")] {
                @if !parameters.of(name).is_empty() { dt { (label) } dd.mono { (shown::long(parameters.of(name))) } } } }
            @if parameters.of("signature").is_empty() { p { "It carries no note of OGRT." } } }
        @if named.is_empty() { (help()) }
        @else if found.is_empty() {
            p.result role="status" { "Nothing was found." }
            (help())
        } @else {
            p.result role="status" { "Found: " (found.iter().map(|one| one.what.clone()).collect::<Vec<_>>().join(", ")) "." }
            @for one in &found { (one.shown) }
        }
    };
    let title = if asked.is_empty() { "Search".to_owned() } else { format!("Search: {asked}") };
    Ok(Page { asked, ..Page::new(Section::Other, title, body) })
}

/// Something that was found.
struct Finding {
    /// A few words for what it is.
    what: String,
    shown: Markup,
}

/// The kinds of words that a search tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Signature,
    Digest,
    BuildId,
    Path,
    Library,
    Name,
}

impl Word {
    fn of(text: &str) -> Word {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match () {
            _ if text.starts_with('/') => Word::Path,
            _ if is_hex && digits.len() == 32 && (text.len() == 36 || text.len() == 32) => Word::Signature,
            _ if is_hex && text.len() == 64 => Word::Digest,
            _ if is_hex && !text.contains('-') && text.len() >= 16 => Word::BuildId,
            _ if text.contains(".so") => Word::Library,
            _ => Word::Name,
        }
    }
}

async fn of_word(reader: &Reader, word: &str) -> Result<Vec<Finding>, Refusal> {
    let mut found = Vec::new();
    match Word::of(word) {
        Word::Signature => {
            found.extend(build(reader, word).await?);
            // A build-id may be of the same length.
            if found.is_empty() {
                found.extend(loaded(reader, "build_id", word, "a file with this build-id").await?);
            }
        }
        Word::Digest => {
            found.extend(built(reader, "output_sha256", word, "the build of this file").await?);
            found.extend(built(reader, "input_sha256", word, "builds with this input").await?);
        }
        Word::BuildId => {
            found.extend(built(reader, "build_id", word, "the build with this build-id").await?);
            found.extend(loaded(reader, "build_id", word, "a file with this build-id").await?);
        }
        Word::Path => found.extend(loaded(reader, "path", word, "a file at this path").await?),
        Word::Library => {
            found.extend(loaded(reader, "soname", word, "a library of this name").await?);
            found.extend(software(reader, word).await?);
        }
        Word::Name => {
            found.extend(software(reader, word).await?);
            found.extend(job(reader, word).await?);
            found.extend(user(reader, word).await?);
            found.extend(built(reader, "name", word, "builds of this name").await?);
        }
    }
    Ok(found)
}

async fn build(reader: &Reader, signature: &str) -> Result<Option<Finding>, Refusal> {
    let path = format!("/v1/builds/{}", link::segment(signature));
    let Some(record) = reader.find::<&str>(&path, &[]).await? else {
        let uses = reader.find::<&str>(&format!("/v1/uses/{}", link::segment(signature)), &[]).await?;
        return Ok(uses.map(|_| Finding {
            what: "a signature that nobody registered".to_owned(),
            shown: html! { p { (link::build(signature, "")) " ran, and nobody registered it." } },
        }));
    };
    let name = ogrt_answers::json_field::software(&record["metadata"]);
    let file = text(&record["output"], "path");
    Ok(Some(Finding {
        what: "a build".to_owned(),
        shown: html! { section { h2 { "Build" } p.large { (link::build(signature, &name)) " " span.faint { (shown::short(&file)) } } } },
    }))
}

async fn built(
    reader: &Reader,
    by: &'static str,
    word: &str,
    what: &str,
) -> Result<Option<Finding>, Refusal> {
    let answer = reader.ask("/v1/builds", &[(by, word), ("limit", LINES)]).await?;
    let is_none = answer["builds"].as_array().is_none_or(Vec::is_empty);
    let title = capital(what);
    let option = if by == "name" { "--name" } else { "" };
    let table = builds::table(&title, &answer);
    let table = if option.is_empty() {
        table
    } else {
        table.command(command::line(&["ogrt", "builds", option, word]))
    };
    Ok((!is_none).then(|| Finding { what: what.to_owned(), shown: table.shown() }))
}

/// A file that processes had loaded.
async fn loaded(
    reader: &Reader,
    by: &'static str,
    word: &str,
    what: &str,
) -> Result<Option<Finding>, Refusal> {
    let Some(answer) = reader.find("/v1/uses", &[(by, word), ("limit", LINES)]).await? else {
        return Ok(None);
    };
    Ok(Some(Finding { what: what.to_owned(), shown: users(&answer, &[(by, word)], &capital(what)) }))
}

/// Who ran it, the first of them.
fn users(answer: &Value, subject: &[(&str, &str)], title: &str) -> Markup {
    let mut table =
        Table::new(title, &[("user", Kind::Text), ("processes", Kind::Number), ("last", Kind::Number)])
            .nothing("Nobody ran it.");
    for row in answer["users"].as_array().into_iter().flatten() {
        table.row(vec![
            link::user(&text(row, "user")).into(),
            Cell::number(number(row, "processes") as f64, html! { (uses::processes(row)) }),
            figures::moment(row, "last_ns"),
        ]);
    }
    let names = uses::learned_names(&answer["names"]);
    table
        .notes([uses::sentence(&answer["total"])])
        .notes((!names.is_empty()).then(|| format!("It is {names}.")))
        .more(link::to("/affected", subject), "everybody who ran it, with jobs and hosts")
        .shown()
}

async fn software(reader: &Reader, name: &str) -> Result<Option<Finding>, Refusal> {
    // Software with its version behind it is what sheets of jobs show.
    for name in [name, name.split(' ').next().unwrap_or(name)] {
        if let Some(answer) = reader.find("/v1/uses", &[("software", name), ("limit", LINES)]).await? {
            let link = html! { p.large { (link::software(name)) } };
            let shown = html! { (link) (users(&answer, &[("software", name)], &format!("Software {name}"))) };
            return Ok(Some(Finding { what: "software".to_owned(), shown }));
        }
    }
    Ok(None)
}

async fn job(reader: &Reader, word: &str) -> Result<Option<Finding>, Refusal> {
    let (cluster, job_id) = word.split_once('/').unwrap_or(("", word));
    let path = format!("/v1/jobs/{}", link::segment(job_id));
    let Some(part) = reader.find(&path, &[("cluster", cluster), ("limit", "1")]).await? else {
        return Ok(None);
    };
    let answer = jobs::of_one(reader, job_id, cluster, &part).await?;
    let shown = match jobs::count(&answer) {
        0 => html! { p.large { "Job " (link::job(cluster, job_id)) } },
        _ => jobs::table("Job", &answer).shown(),
    };
    Ok(Some(Finding { what: "a job".to_owned(), shown }))
}

async fn user(reader: &Reader, name: &str) -> Result<Option<Finding>, Refusal> {
    let answer = reader.ask("/v1/jobs", &[("user", name), ("limit", LINES)]).await?;
    let has_one = jobs::count(&answer) > 0;
    let table = jobs::table(&format!("Jobs of the user {name}"), &answer)
        .command(command::line(&["ogrt", "jobs", "--user", name]))
        .more(link::to("/jobs", &[("user", name)]), "all jobs of this user");
    let report = link::to("/report", &[("by", "software"), ("user", name)]);
    let shown = html! { (table.shown()) p { a href=(report) { "What this user ran, by software" } } };
    Ok(has_one.then(|| Finding { what: "a user".to_owned(), shown }))
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn help() -> Markup {
    html! {
        section {
            h2 { "What the box takes" }
            ul {
                li { "the name of a software, a user or a job: " code { "GROMACS" } ", " code { "alice" } ", " code { "4711" } ", " code { "alpha/4711" } }
                li { "a library: " code { "liblzma.so.5" } }
                li { "a path: " code { "/home/alice/bin/app" } ", with " code { "*" } " for any text" }
                li { "a signature, a build-id, or the SHA-256 of a file" }
                li { "a file: drop it onto any page. Your browser reads it; the file itself is not sent" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_it_is() {
        for (text, word) in [
            ("01a210b8-97fe-7631-9516-b48ad5799572", Word::Signature),
            ("01a210b897fe76319516b48ad5799572", Word::Signature),
            (&"ab".repeat(32), Word::Digest),
            (&"ab".repeat(20), Word::BuildId),
            ("/usr/bin/ls", Word::Path),
            ("liblzma.so.5", Word::Library),
            ("GROMACS", Word::Name),
            ("4711", Word::Name),
            ("deadbeef", Word::Name),
            ("alpha/4711", Word::Name),
        ] {
            assert_eq!(Word::of(text), word, "{text}");
        }
    }
}
