//! `/software`: all software, or one: its versions, who uses it and how much, what is in it, and
//! what may be retired.

use super::{period_fields, report, warnings};
use crate::{
    api::{Reader, Refusal},
    chart::StackedBars,
    command, figures,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    period::Period,
    shown,
    table::{Cell, Kind, Table},
};
use maud::{Markup, html};
use ogrt_answers::{
    json_field::{number, text},
    report as reports, uses,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A version that nobody ran for so many months may be retired.
const RETIRED_AFTER_MONTHS: usize = 6;

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    match parameters.of("name") {
        "" => all(reader, parameters).await,
        _ => one(reader, parameters).await,
    }
}

async fn all(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let period = Period::of(&parameters, "365d")?;
    let question = [("by", "software"), ("since", &period.since), ("until", &period.until), ("top", "1000")];
    let answer = reader.ask("/v1/report", &question).await?;
    let body = html! {
        form.filter method="get" action="/software" { (period_fields(&period)) button type="submit" { "Show" } }
        (warnings(&answer, "more was used than the server keeps apart."))
        (report::table(&format!("Software that ran in {}", period.words()), &answer)
            .command(command::with_options(&["ogrt", "report", "--by", "software", "--top", "1000"], &[("--since", &period.since_text), ("--until", &period.until_text)]))
            .csv(link::to("/report.csv", &[("by", "software"), ("top", "1000"), ("since", &period.since_text), ("until", &period.until_text)]))
            .json(link::to("/v1/report", &question))
            .shown())
    };
    Ok(Page::new(Section::Software, "Software", body))
}

async fn one(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let name = parameters.of("name");
    let period = Period::of(&parameters, "365d")?;
    let of = |by: &'static str, top: &'static str| {
        [("by", by), ("software", name), ("since", &period.since), ("until", &period.until), ("top", top)]
    };
    let (months, users, accounts, libraries) =
        (of("version,month", "10000"), of("user", "20"), of("account", "20"), of("library", "20"));
    let (builds, uses) = ([("name", name), ("limit", "100")], [("software", name), ("limit", "50")]);
    let (months, users, accounts, libraries, builds, uses) = tokio::join!(
        reader.ask("/v1/report", &months),
        reader.ask("/v1/report", &users),
        reader.ask("/v1/report", &accounts),
        reader.ask("/v1/report", &libraries),
        reader.ask("/v1/builds", &builds),
        reader.find("/v1/uses", &uses),
    );
    let (months, users, accounts, libraries, builds) = (months?, users?, accounts?, libraries?, builds?);
    let uses = uses?.unwrap_or_default();
    let mut bars = StackedBars::default();
    for line in reports::lines(&months) {
        let version = text(line, "version");
        bars.add(
            &text(line, "month"),
            if version.is_empty() { "no version" } else { &version },
            number(line, "cpu_us"),
        );
    }
    let table = |title: &str, by: &'static str, answer: &Value| {
        let only = format!("software={name}");
        report::small(title, by, answer)
            .command(command::with_options(
                &["ogrt", "report", "--by", by, "--where", &only],
                &[("--since", &period.since_text)],
            ))
            .csv(link::to(
                "/report.csv",
                &[
                    ("by", by),
                    ("software", name),
                    ("top", "20"),
                    ("since", &period.since_text),
                    ("until", &period.until_text),
                ],
            ))
            .shown()
    };
    let body = html! {
        p.summary { (sentence(&uses)) }
        form.filter method="get" action="/software" {
            input type="hidden" name="name" value=(name);
            (period_fields(&period)) button type="submit" { "Show" }
        }
        (warnings(&months, "more was used than the server keeps apart."))
        (versions(name, &months, &builds).shown())
        (bars.plain(&format!("CPU-hours by version, in {}", period.words()), "CPU-hours"))
        div.pair {
            (table("Users", "user", &users))
            (table("Accounts", "account", &accounts))
        }
        (table("Libraries that it loads", "library", &libraries))
        (super::builds::table("Registered builds", &builds).command(command::line(&["ogrt", "builds", "--name", name])).more(link::to("/builds", &[("name", name)]), "all builds of this name").shown())
        p { a href=(link::to("/affected", &[("software", name)])) { "Who ran it or what contains it, with jobs and hosts" } " · "
            a href=(link::to("/jobs", &[("software", name)])) { "Its jobs" } }
    };
    Ok(Page::new(Section::Software, name, body))
}

fn sentence(answer: &Value) -> Markup {
    let total = &answer["total"];
    html! {
        @if number(total, "processes") + number(total, "loaded_later") == 0 { "Nobody ran it, as far as this server knows." }
        @else { (uses::sentence(total)) ". Last: " (figures::when_ns(total["last_ns"].as_i64().unwrap_or(0))) "." }
    }
}

/// Versions that ran or are registered, with the month in which each ran last.
fn versions(name: &str, months: &Value, builds: &Value) -> Table {
    #[derive(Default)]
    struct Version {
        processes: u64,
        cpu_us: u64,
        last_month: String,
        builds: u64,
    }
    let mut versions: BTreeMap<String, Version> = BTreeMap::new();
    for line in reports::lines(months) {
        let version = versions.entry(text(line, "version")).or_default();
        version.processes += number(line, "processes");
        version.cpu_us = version.cpu_us.saturating_add(number(line, "cpu_us"));
        version.last_month = version.last_month.clone().max(text(line, "month"));
    }
    for build in builds["builds"].as_array().into_iter().flatten() {
        versions.entry(text(build, "version")).or_default().builds += 1;
    }
    let this_month = text(months, "last_day");
    let columns = [
        ("version", Kind::Text),
        ("processes", Kind::Number),
        ("CPU-hours", Kind::Number),
        ("last month", Kind::Text),
        ("builds", Kind::Number),
        ("advice", Kind::Text),
    ];
    let mut table = Table::new("Versions", &columns);
    let mut may_be_retired = 0;
    for (version, facts) in versions.iter().rev() {
        let is_old = facts.last_month.is_empty()
            || months_between(&facts.last_month, &this_month) >= RETIRED_AFTER_MONTHS;
        may_be_retired += usize::from(is_old);
        table.row(vec![
            match version.is_empty() {
                true => html! { span.faint { "not known" } },
                false => html! { a href=(link::to("/affected", &[("software", name), ("version", &format!("={version}"))])) { (shown::short(version)) } },
            }.into(),
            figures::number_of(facts.processes),
            Cell::number(facts.cpu_us as f64, html! { (figures::hours_of(facts.cpu_us)) }),
            shown::name_or(&facts.last_month, "never").into(),
            figures::number_of(facts.builds),
            html! { @if is_old { span.now { "may be retired" } } }.into(),
        ]);
    }
    let note = format!(
        "\"May be retired\" says that nobody ran it in this time, or not for {RETIRED_AFTER_MONTHS} months."
    );
    table.notes((may_be_retired > 0).then_some(note)).command(command::with_options(
        &["ogrt", "report", "--by", "version,month", "--where", &format!("software={name}")],
        &[],
    ))
}

/// Months from one to the other, of texts that begin with a year and a month.
fn months_between(from: &str, to: &str) -> usize {
    let month = |text: &str| {
        let (year, rest) = text.split_once('-')?;
        Some(year.parse::<usize>().ok()? * 12 + rest.get(..2)?.parse::<usize>().ok()?)
    };
    month(to).zip(month(from)).map_or(0, |(to, from)| to.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_across_years() {
        assert_eq!(months_between("2026-05", "2026-11-30"), 6);
        assert_eq!(months_between("2025-11", "2026-02-01"), 3);
        assert_eq!((months_between("2026-12", "2026-11"), months_between("", "2026-11")), (0, 0));
    }
}
