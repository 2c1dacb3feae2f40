//! `/affected`: who ran or loaded something: a build, a file, a library, a version of a software.

use super::{choice, field, period_fields, spreadsheet, warnings};
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
    json_field::{number, software, text},
    uses,
};
use serde_json::Value;

const LIMIT: &str = "1000";

/// What may be asked for, beside a build or digest: its name in the API, its label, and an example.
const SUBJECTS: [(&str, &str, &str); 6] = [
    ("software", "software", "xz-utils"),
    ("version", "of the versions", "<5.6.2"),
    ("soname", "library", "liblzma.so.5"),
    ("path", "path", "/home/*/bin/*"),
    ("build_id", "build-id", ""),
    ("package", "package of a language", "numpy"),
];

const PACKAGERS: [(&str, &str); 6] = [
    ("", "any, and our own builds"),
    ("dpkg", "dpkg"),
    ("rpm", "RPM"),
    ("conda", "conda"),
    ("pypi", "Python packages"),
    ("spack", "Spack"),
];

/// A question about uses.
struct Question<'a> {
    what: &'a str,
    narrowing: Vec<(&'a str, &'a str)>,
    period: Period,
}

impl<'a> Question<'a> {
    fn of(parameters: &'a Parameters) -> Result<Question<'a>, Refusal> {
        let names = SUBJECTS.iter().map(|(name, ..)| *name).chain(["packager", "user", "host", "cluster"]);
        let narrowing = names.map(|name| (name, parameters.of(name))).filter(|(_, value)| !value.is_empty());
        Ok(Question {
            what: parameters.of("what"),
            narrowing: narrowing.collect(),
            period: Period::of(parameters, "")?,
        })
    }

    /// True if nothing is named that somebody could have run.
    fn is_empty(&self) -> bool {
        let is_subject = |name: &str| name != "version" && SUBJECTS.iter().any(|(known, ..)| *known == name);
        self.what.is_empty() && !self.narrowing.iter().any(|(name, _)| is_subject(name))
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let mut all = self.narrowing.clone();
        all.extend([("since", &self.period.since[..]), ("until", &self.period.until), ("limit", LIMIT)]);
        all
    }

    fn path(&self) -> String {
        match self.what {
            "" => "/v1/uses".to_owned(),
            what => format!("/v1/uses/{}", link::segment(what)),
        }
    }

    async fn ask(&self, reader: &Reader) -> Result<Option<Value>, Refusal> {
        reader.find(&self.path(), &self.parameters()).await
    }

    fn command(&self) -> String {
        let mut words = vec!["ogrt", "uses"];
        let named =
            |name: &str| self.narrowing.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        words.extend(
            [self.what, named("software").unwrap_or_default()].iter().filter(|word| !word.is_empty()),
        );
        let options: Vec<(&str, &str)> = [
            ("--version", "version"),
            ("--soname", "soname"),
            ("--path", "path"),
            ("--build-id", "build_id"),
            ("--package", "package"),
            ("--packager", "packager"),
            ("--user", "user"),
            ("--host", "host"),
            ("--cluster", "cluster"),
        ]
        .into_iter()
        .map(|(option, name)| (option, named(name).unwrap_or_default()))
        .chain([("--since", &self.period.since_text[..]), ("--until", &self.period.until_text)])
        .collect();
        command::with_options(&words, &options)
    }
}

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let question = Question::of(&parameters)?;
    let answer = if question.is_empty() { None } else { Some(question.ask(&reader).await?) };
    let body = html! {
        p.summary { "Name a library, a version of a software, a file or a build. The answer is everybody who ran it, "
            "or ran what contains it, ours or not." }
        form.filter method="get" action="/affected" {
            (field(&parameters, "what", "signature or SHA-256", ""))
            @for (name, label, example) in SUBJECTS { (field(&parameters, name, label, example)) }
            (choice("packager", "known by", parameters.of("packager"), &PACKAGERS))
            (field(&parameters, "user", "user", "name or uid"))
            (period_fields(&question.period))
            button type="submit" { "Show who is hit" }
        }
        @match &answer {
            None => {},
            Some(None) => { p.good role="status" { "Nothing is known of it: nobody ran it as far as this server knows." } (crate::table::command(&question.command())) }
            Some(Some(answer)) => (of_answer(answer, &question, &parameters)),
        }
    };
    Ok(Page::new(Section::Affected, "Who is hit", body))
}

/// The users as comma-separated values, as `ogrt uses --csv` has them.
pub async fn csv(reader: Reader, parameters: Parameters) -> Result<Response, Refusal> {
    let question = Question::of(&parameters)?;
    let answer = question.ask(&reader).await?;
    Ok(spreadsheet("who-is-hit.csv", uses::csv(answer.as_slice())))
}

fn of_answer(answer: &Value, question: &Question<'_>, parameters: &Parameters) -> Markup {
    let total = &answer["total"];
    let names = uses::learned_names(&answer["names"]);
    let build = software(&answer["build"]);
    html! {
        p.result role="status" {
            @if number(total, "processes") + number(total, "loaded_later") == 0 { span.good { "Nobody ran it." } }
            @else { strong { (uses::sentence(total)) } "." }
            @if !build.is_empty() && !question.what.is_empty() { " It is " (shown::short(&build)) "." }
            @if !names.is_empty() { " It is " (shown::short(&names)) "." }
        }
        (warnings(answer, "the server stopped at its limits; these numbers are the least that is known."))
        @if answer["rounded"] == true { p.note { "Some counts hold processes before or after that time: of the same job, or the same day." } }
        (rows("Users", "user", &answer["users"], |row| link::user(&text(row, "user")))
            .command(question.command())
            .csv(parameters.address("/affected.csv", &[]))
            .json(link::to(&question.path(), &question.parameters()))
            .shown())
        (rows("Jobs", "job", &answer["jobs"], |row| link::job(&text(row, "cluster"), &text(row, "job_id"))).shown())
        (through(answer))
        (rows("Hosts", "host", &answer["hosts"], |row| shown::short(&text(row, "hostname"))).shown())
    }
}

/// A table of counts, each line named in its first column.
fn rows(title: &str, first: &'static str, rows: &Value, name: impl Fn(&Value) -> Markup) -> Table {
    let has_user = first == "job";
    let mut columns = vec![(first, Kind::Text)];
    columns.extend(has_user.then_some(("user", Kind::Text)));
    columns.extend([("processes", Kind::Number), ("first", Kind::Number), ("last", Kind::Number)]);
    let mut table = Table::new(title, &columns).nothing("None.");
    for row in rows.as_array().into_iter().flatten() {
        let mut cells: Vec<Cell> = vec![name(row).into()];
        cells.extend(has_user.then(|| link::user(&text(row, "user")).into()));
        cells.push(Cell::number(number(row, "processes") as f64, html! { (uses::processes(row)) }));
        cells.extend(["first_ns", "last_ns"].map(|key| figures::moment(row, key)));
        table.row(cells);
    }
    table
}

fn through(answer: &Value) -> Markup {
    let columns = [
        ("software", Kind::Text),
        ("links away", Kind::Number),
        ("processes", Kind::Number),
        ("last", Kind::Number),
        ("signature", Kind::Text),
    ];
    let mut table = Table::new("Through what contains it", &columns);
    for build in answer["through"].as_array().into_iter().flatten() {
        let signature = text(build, "signature");
        table.row(vec![
            super::builds::software_of(build).into(),
            figures::count(build, "depth"),
            Cell::number(number(build, "processes") as f64, html! { (uses::processes(build)) }),
            figures::moment(build, "last_ns"),
            html! { a.mono href=(link::to("/build", &[("signature", &signature)])) { (signature) } }.into(),
        ]);
    }
    if table.is_empty() {
        html! {}
    } else {
        table.shown()
    }
}
