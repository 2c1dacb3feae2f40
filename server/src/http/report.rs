//! `GET /v1/report`: what was used in a period, by software, user, account and so on.

use super::{
    Problem, Sources,
    question::{self, JsonAnswer, bad_request},
    run_blocking,
};
use crate::reports::{KEYS_MAX, Order, ReportKey, ReportQuestion};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde_json::Value;

/// The report. A parameter with the name of a key narrows it to processes that have this value.
pub async fn make(
    State(sources): State<Sources>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> JsonAnswer<Value> {
    let mut asked = ReportQuestion { top: question::page_limit("")?, ..ReportQuestion::default() };
    for (name, value) in question::read(parameters)? {
        match &name[..] {
            "by" => asked.by = keys(&value)?,
            "since" => asked.since_ns = question::nanoseconds("since", &value)?,
            "until" => asked.until_ns = question::nanoseconds("until", &value)?,
            "registered" => {
                asked.registered = match &value[..] {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => return Err(bad_request(format!("registered={value}: expected yes or no"))),
                }
            }
            "order" => asked.order = order(&value)?,
            "top" => asked.top = question::page_limit(&value)?,
            name => {
                let key = ReportKey::read(name).ok_or_else(|| {
                    bad_request(format!(
                        "{name}: expected by, since, until, top, order, registered or a key: {}",
                        all_keys()
                    ))
                })?;
                if key == ReportKey::Status {
                    return Err(bad_request("status: a line has several, so ask by=status"));
                }
                if asked.only.iter().any(|(known, _)| *known == key) {
                    return Err(bad_request(format!("{name}: expected once")));
                }
                asked.only.push((key, value));
            }
        }
    }
    check_hosts(&asked)?;
    sources.intake.settle().await;
    let counted_until_ns = sources.reports.catch_up().await;
    let reports = sources.reports.clone();
    let report = run_blocking(move || reports.report(&asked)).await?;
    let mut answer = report.answer;
    question::add_page(&mut answer, None, report.is_cut);
    question::add_counted_until(&mut answer, counted_until_ns);
    Ok(Json(answer))
}

/// What cannot be told by host is refused.
fn check_hosts(asked: &ReportQuestion) -> Result<(), Problem> {
    if !asked.tells_hosts() {
        return Ok(());
    }
    let what = match ReportKey::not_by_host(&asked.keys()) {
        Some(key) => key.text(),
        None if asked.registered.is_some() => "registered",
        None if asked.order == Order::Node => "order=node",
        None => return Ok(()),
    };
    Err(bad_request(format!(
        "{what}: not kept by host. host goes with cluster, status, day, week and month, ordered by cpu, \
         wall or processes; /v1/uses lists the hosts that ran a program"
    )))
}

fn keys(text: &str) -> Result<Vec<ReportKey>, Problem> {
    let mut keys = Vec::new();
    for name in text.split(',').filter(|name| !name.is_empty()) {
        let key = ReportKey::read(name)
            .ok_or_else(|| bad_request(format!("by={name}: expected some of {}", all_keys())))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    match keys.len() > KEYS_MAX {
        true => Err(bad_request(format!("by={text}: expected {KEYS_MAX} keys at most"))),
        false => Ok(keys),
    }
}

fn order(text: &str) -> Result<Order, Problem> {
    Order::read(text)
        .ok_or_else(|| bad_request(format!("order={text}: expected cpu, node, wall or processes")))
}

fn all_keys() -> String {
    ReportKey::ALL.map(ReportKey::text).join(", ")
}
