//! What must hold at the end of a run: each acknowledged event is in each place once.
//!
//! The documents of both file outputs are held against what clients know. Every other place is then
//! held against the documents of layout `lines`: what a client never saw acknowledged is in all
//! places or in none.

use super::{
    client::Clients,
    counts::{self, Effect},
    files::{self, Document},
    plan::{Parts, Plan},
    population::{BUILDS, Message, job_id, signature},
    questions::Answers,
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

/// Checks everything.
pub fn check(plan: &Plan, clients: &Clients, directory: &Path, answers: &Answers) -> Result<()> {
    let lines = files::lines(directory, clients.processes.len()).context("lines")?;
    documents(plan, clients, &lines).context("lines")?;
    let jobs = files::jobs(directory, clients.processes.len()).context("files of jobs")?;
    let in_jobs: Vec<Document> = jobs.values().flatten().cloned().collect();
    documents(plan, clients, &in_jobs).context("files of jobs")?;

    let is_exact = |event: &Message| is_exact(plan, clients, event);
    let in_file =
        jobs.iter().flat_map(|(job, all)| all.iter().map(|document| (job.as_str(), document.event())));
    let in_lines = lines.iter().map(|document| (job_of(document), document.event()));
    same(in_file.filter(|(_, event)| is_exact(event)), in_lines.filter(|(_, event)| is_exact(event)))
        .context("files of jobs")?;
    for (job, answer) in &answers.jobs {
        answer_of_job(clients, job, &lines, answer, is_exact)
            .with_context(|| format!("the answer about job {job:?}"))?;
    }

    let registered = (0..BUILDS).filter(|build| clients.is_registered(*build) == Some(true));
    same(answers.builds.iter().cloned(), registered.map(|build| signature(build).to_string()))
        .context("the list of builds")?;
    let effects = Effect::of_all(clients, &lines, is_exact);
    for (build, answer) in answers.uses.iter().enumerate() {
        counts::of_uses(clients, build, &effects, answer.as_ref())
            .with_context(|| format!("the answer about uses of build {build}"))?;
    }
    counts::of_report(clients, &effects, &answers.report).context("the report")?;
    counts::of_hosts(clients, &effects, &answers.hosts).context("the report by host")?;
    counts::of_job_list(clients, &effects, &answers.job_list).context("the list of jobs")?;
    counts::of_unregistered(clients, &effects, &answers.unregistered)
        .context("the answer about what is unregistered")
}

/// Is there at most one document of the event? Parts that go on alone are several, and so are
/// copies of datagrams from before and after a crash. An output knows those by one name, so after a
/// crash it may lack some.
fn is_exact(plan: &Plan, clients: &Clients, event: &Message) -> bool {
    let parts = clients.processes[event.process].parts_of(*event);
    let go_alone = plan.settings.parts == Parts::Tight && parts > 1;
    !go_alone && clients.documents_max(event.process, event.is_end, false) <= 1
}

/// Acknowledged events once, others at most once, and each with what its process sent.
fn documents(plan: &Plan, clients: &Clients, all: &[Document]) -> Result<()> {
    let may_go_alone = plan.settings.parts == Parts::Tight;
    for (number, process) in clients.processes.iter().enumerate() {
        for is_end in [false, true] {
            let event = if is_end { "end" } else { "start" };
            let found: Vec<&Document> = all
                .iter()
                .filter(|document| (document.process, document.is_end) == (number, is_end))
                .collect();
            let most = clients.documents_max(number, is_end, may_go_alone);
            ensure!(found.len() <= most, "the {event} of process {number} is there {} times", found.len());
            if !clients.is_acknowledged(number, is_end) {
                continue;
            }
            ensure!(!found.is_empty(), "the {event} of process {number} was acknowledged and is lost");
            if let [document] = found[..]
                && (process.parts[usize::from(is_end)] == 1 || !may_go_alone)
            {
                let json = &document.json;
                let is = |key: &str, value: Option<String>| {
                    let there = json[key].as_str().map(str::to_owned);
                    ensure!(
                        there == value,
                        "the {event} of process {number}: {key} is {there:?}, not {value:?}"
                    );
                    Ok(())
                };
                is("job_id", process.job.map(|job| job_id(Some(job))))?;
                is("hostname", Some(process.host_name()))?;
                if !is_end {
                    is("binpath", Some(process.path()))?;
                    is("signature", process.executable.map(|build| signature(build).to_string()))?;
                    ensure!(user(json) == process.user_name(), "process {number}: user {}", user(json));
                    let parts: Vec<String> =
                        (0..process.parts[0]).map(|part| format!("part{part}")).collect();
                    ensure!(
                        json["arguments"] == Value::from(parts),
                        "process {number} without a part: {json}"
                    );
                    let is_known = process.executable.is_some() && clients.are_builds_known(number, false);
                    ensure!(!is_known || json["build"].is_object(), "process {number} without its build");
                }
            }
        }
    }
    Ok(())
}

/// An error names what is too much and what is missing; there is none if both have the same, each
/// as often.
fn same<T: Ord + fmt::Debug>(
    there: impl IntoIterator<Item = T>,
    expected: impl IntoIterator<Item = T>,
) -> Result<()> {
    let mut counts: BTreeMap<T, i64> = BTreeMap::new();
    there.into_iter().for_each(|one| *counts.entry(one).or_default() += 1);
    expected.into_iter().for_each(|one| *counts.entry(one).or_default() -= 1);
    counts.retain(|_, count| *count != 0);
    ensure!(counts.is_empty(), "too much or, where negative, missing: {counts:?}");
    Ok(())
}

/// Each start once, its end with it; and its build, where one is registered by now.
fn answer_of_job(
    clients: &Clients,
    job: &str,
    lines: &[Document],
    answer: &[Value],
    is_exact: impl Fn(&Message) -> bool,
) -> Result<()> {
    let (mut there, mut processes) = (Vec::new(), BTreeSet::new());
    for json in answer {
        let document = Document::of(json.clone(), clients.processes.len())?;
        let process = document.process;
        ensure!(processes.insert(process), "process {process} is there twice");
        if document.is_end || !json["end"].is_null() {
            there.push(Message { process, is_end: true, part: 0 });
        }
        if !document.is_end {
            there.push(Message { process, is_end: false, part: 0 });
        }
        let duration = &json["end"]["duration_ns"];
        ensure!(
            duration.is_null() || *duration == process,
            "process {process} has the end of another: {json}"
        );
        let is_registered =
            clients.processes[process].executable.and_then(|build| clients.is_registered(build));
        let has_signature = !json["signature"].is_null();
        ensure!(
            !has_signature || is_registered.is_none_or(|is| is == json["build"].is_object()),
            "the build of process {process} is registered: {is_registered:?}, and {json}"
        );
    }
    let sent = |event: &Message| clients.documents_max(event.process, event.is_end, true) > 0;
    ensure!(there.iter().all(sent), "an event that nobody sent: {there:?}");
    let expected = lines.iter().filter(|document| job_of(document) == job).map(Document::event);
    same(there.into_iter().filter(&is_exact), expected.filter(&is_exact))
}

fn job_of(document: &Document) -> &str {
    document.json["job_id"].as_str().unwrap_or_default()
}

/// The user of a start, by name or uid.
fn user(json: &Value) -> String {
    match json["username"].as_str() {
        Some(name) => name.to_owned(),
        None => json["uid"].to_string(),
    }
}
