//! `/`: what ran here in the last weeks, and whether all is well.

use super::report;
use crate::{
    api::{Reader, Refusal},
    chart::StackedBars,
    command, figures,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    period::Period,
    shown,
    table::{Kind, Table},
};
use maud::{Markup, html};
use ogrt_answers::{
    job_list,
    json_field::{number, software, text, user},
    report as reports,
};
use serde_json::Value;

/// Lines of each table.
const LINES: &str = "10";
const FEW: &str = "6";

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let period = Period::of(&parameters, "30d")?;
    let by_node = parameters.of("figure") == "node";
    let order = if by_node { "node" } else { "cpu" };
    let (since, until) = (&period.since[..], &period.until[..]);
    let of_time = |more: &[(&'static str, &'static str)]| {
        let mut all: Vec<(&str, String)> = vec![("since", since.to_owned()), ("until", until.to_owned())];
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all
    };
    let weeks = of_time(&[("by", "software,week"), ("top", "10000"), ("order", order)]);
    let top = of_time(&[("by", "software"), ("top", LINES), ("order", order)]);
    let unknown = of_time(&[("by", "program"), ("top", FEW), ("registered", "no"), ("known_by", "")]);
    let failed = of_time(&[("state", "failed,killed,oom"), ("limit", FEW)]);
    let (weeks, top, unknown, failed, builds, health) = tokio::join!(
        reader.ask("/v1/report", &weeks),
        reader.ask("/v1/report", &top),
        reader.ask("/v1/report", &unknown),
        reader.ask("/v1/jobs", &failed),
        reader.ask("/v1/builds", &[("limit", FEW)]),
        reader.ask::<&str>("/healthz", &[]),
    );
    let (weeks, top, unknown, failed, builds) = (weeks?, top?, unknown?, failed?, builds?);
    let total = &top["total"];
    let key = if by_node { "node_us" } else { "cpu_us" };
    let mut bars = StackedBars::default();
    for line in reports::lines(&weeks) {
        bars.add(&text(line, "week"), &text(line, "software"), number(line, key));
    }
    let unit = if by_node { "node-hours" } else { "CPU-hours" };
    let ordered = if by_node { "node" } else { "" };
    let report_address =
        parameters.address("/report", &[("by", "software"), ("order", ordered), ("figure", "")]);
    let body = html! {
        p.summary { "What ran in " (period.words()) ". " (others(&parameters, by_node)) }
        (tiles(total, &top["unregistered"]))
        (bars.shown(&format!("{unit} by software, week by week"), unit))
        (report::table(&format!("Software by {unit}"), &top)
            .command(command::with_options(&["ogrt", "report", "--by", "software"], &[("--since", &period.since_text), ("--until", &period.until_text)]))
            .csv(parameters.address("/report.csv", &[("by", "software"), ("order", ordered), ("figure", "")]))
            .more(report_address, "the whole report")
            .shown())
        div.pair {
            (jobs_that_failed(&failed, &period))
            (not_registered(&unknown))
        }
        div.pair {
            (latest_builds(&builds))
            (health_of(health.as_ref().ok()))
        }
    };
    Ok(Page::new(Section::Overview, "What runs here", body))
}

/// Links to the same page of another time or figure.
fn others(parameters: &Parameters, by_node: bool) -> Markup {
    let times = [("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "a year")];
    html! {
        span.choices {
            @for (time, words) in times { a href=(parameters.address("/", &[("since", time), ("until", "")])) { (words) } " " }
            @if by_node { a href=(parameters.address("/", &[("figure", "")])) { "by CPU-hours" } }
            @else { a href=(parameters.address("/", &[("figure", "node")])) { "by node-hours" } }
        }
    }
}

fn tiles(total: &Value, unregistered: &Value) -> Markup {
    let hours = |key: &str| figures::hours_of(number(total, key));
    let count = |key: &str| ogrt_answers::units::grouped(number(total, key));
    let part = |some: u64, all: u64| match all {
        0 => "-".to_owned(),
        all => format!("{:.1} %", 100.0 * some as f64 / all as f64),
    };
    let failures: u64 = ["failed", "killed", "oom"].iter().map(|key| number(total, key)).sum();
    let tiles = [
        ("CPU-hours", hours("cpu_us")),
        ("node-hours", hours("node_us")),
        ("processes", count("processes")),
        ("jobs", count("jobs")),
        ("users", count("users")),
        ("not registered", part(number(unregistered, "cpu_us"), number(total, "cpu_us"))),
        ("processes failed", part(failures, number(total, "processes"))),
    ];
    html! {
        dl.tiles { @for (name, value) in tiles { div { dt { (name) } dd { (value) } } } }
    }
}

fn jobs_that_failed(failed: &Value, period: &Period) -> Markup {
    let columns =
        [("job", Kind::Text), ("user", Kind::Text), ("what failed", Kind::Text), ("last", Kind::Number)];
    let mut table = Table::new("Jobs that failed", &columns).nothing("No job failed in this time.");
    for job in failed["jobs"].as_array().into_iter().flatten() {
        table.row(vec![
            link::job(&text(job, "cluster"), &text(job, "job_id")).into(),
            link::user(&text(job, "username")).into(),
            job_list::failure(job).into(),
            figures::moment(job, "last_ns"),
        ]);
    }
    let states = "failed,killed,oom";
    table
        .command(command::with_options(
            &["ogrt", "jobs", "--state", states],
            &[("--since", &period.since_text)],
        ))
        .more(link::to("/jobs", &[("state", states), ("since", &period.since_text)]), "all jobs that failed")
        .shown()
}

fn not_registered(unknown: &Value) -> Markup {
    report::small("Not registered, by program", "program", unknown)
        .command("ogrt unregistered")
        .more("/unregistered", "all programs that nobody registered")
        .shown()
}

fn latest_builds(builds: &Value) -> Markup {
    let columns = [("software", Kind::Text), ("by", Kind::Text), ("linked", Kind::Number)];
    let mut table = Table::new("Builds registered last", &columns).nothing("No build is registered yet.");
    for build in builds["builds"].as_array().into_iter().flatten() {
        table.row(vec![
            link::build(&text(build, "signature"), &software(build)).into(),
            shown::short(&user(build)).into(),
            figures::moment(build, "time_ns"),
        ]);
    }
    table.command("ogrt builds").more("/builds", "all builds").shown()
}

fn health_of(health: Option<&Value>) -> Markup {
    let Some(health) = health else {
        return html! { section { h2 { "Health" } p.problem { "The server does not say how it is." } } };
    };
    let outputs = health["outputs"].as_object().into_iter().flatten();
    html! {
        section {
            h2 { "Health" }
            p { @if health["status"] == "ok" { span.good { "All is well." } } @else { span.bad { (text(health, "status")) } } }
            @if !text(health, "problem").is_empty() { p.problem { (shown::long(&text(health, "problem"))) } }
            dl.facts {
                @for (name, output) in outputs {
                    dt { "output " (shown::short(name)) }
                    dd {
                        @if output["state"] == "up" { "works" } @else { span.bad { (text(output, "state")) } }
                        ", " (number(output, "lag_batches")) " batches behind"
                        @if !text(output, "problem").is_empty() { ": " (shown::long(&text(output, "problem"))) }
                    }
                }
                dt { "ends of processes" } dd { (shown::short(&text(health, "follow"))) }
                dt { "ogrt-observe" } dd { @if health["observe"] == true { "connected" } @else { "not connected" } }
            }
        }
    }
}
