//! Questions to a server that runs: in the middle little is certain, at the end everything is.

use super::{
    client::Clients,
    files::Document,
    population::{BUILDS, Build, JOBS, Message, Process, job_id, signature},
    server::Server,
};
use crate::{
    jobs,
    registry::{BuildFilter, Part},
    reports::{JobListQuestion, ReportKey, ReportQuestion, Reports},
    uses::{UnregisteredQuestion, UsesQuestion},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most elements of a list in an answer: more than there are.
const LIMIT: usize = 1000;

/// All answers of a server in which nothing waits.
pub struct Answers {
    /// The processes of each job, with their ends.
    pub jobs: BTreeMap<String, Vec<Value>>,
    /// Who ran each build.
    pub uses: Vec<Option<Value>>,
    /// Programs without a registered build.
    pub unregistered: Vec<Value>,
    /// What each user used.
    pub report: Vec<Value>,
    /// What each host used.
    pub hosts: Vec<Value>,
    /// The list of jobs.
    pub job_list: Vec<Value>,
    /// Signatures of the builds that the registry lists.
    pub builds: Vec<String>,
}

impl Answers {
    /// Asks everything.
    pub fn collect(server: &Server) -> Result<Self> {
        server.catch_up()?;
        let mut jobs = BTreeMap::new();
        for job in [None].into_iter().chain((0..JOBS).map(Some)) {
            jobs.insert(job_id(job), of_job(server, job)?);
        }
        let uses = (0..BUILDS).map(|build| of_build(server, build)).collect::<Result<_>>()?;
        let listed = server.shared.registry.list(&BuildFilter { limit: LIMIT, ..BuildFilter::default() })?;
        let builds = listed.builds.into_iter().map(|listed| listed.build.signature).collect();
        let [report, hosts] = [ReportKey::User, ReportKey::Host].map(|key| report(server, key));
        let (report, hosts) = (report?, hosts?);
        let (unregistered, job_list) = (unregistered(server)?, job_list(server)?);
        Ok(Answers { jobs, uses, unregistered, report, hosts, job_list, builds })
    }
}

fn of_job(server: &Server, job: Option<usize>) -> Result<Vec<Value>> {
    let page = server.shared.jobs.page(job_id(job).as_bytes(), None, None, LIMIT)?;
    ensure!(!page.is_cut() && page.next().is_none(), "the answer about a job is cut");
    ensure!(page.summaries(&server.shared.jobs)?.is_empty(), "events of a job were only counted");
    let (_, processes) = page.processes(&server.shared.jobs, 0..page.len(), usize::MAX)?;
    processes.iter().map(|process| Ok(serde_json::from_slice(process)?)).collect()
}

fn of_build(server: &Server, build: Build) -> Result<Option<Value>> {
    let part = Part::Signature(signature(build));
    let question = UsesQuestion { part: Some(part), limit: LIMIT, ..UsesQuestion::default() };
    let Some(answer) = server.shared.uses.answer(&question)? else { return Ok(None) };
    ensure!(!answer.is_cut, "the answer about uses is cut");
    Ok(Some(serde_json::to_value(&answer)?))
}

fn unregistered(server: &Server) -> Result<Vec<Value>> {
    let question = UnregisteredQuestion { limit: LIMIT, ..UnregisteredQuestion::default() };
    let page = server.shared.uses.unregistered(&question)?;
    ensure!(!page.is_cut && page.next.is_none(), "the answer about what is unregistered is cut");
    page.elements.iter().map(|element| Ok(serde_json::to_value(element)?)).collect()
}

fn report(server: &Server, key: ReportKey) -> Result<Vec<Value>> {
    let reports =
        Reports::new(server.shared.uses.clone(), server.shared.registry.clone(), server.shared.names.clone());
    let question = ReportQuestion { by: vec![key], top: LIMIT, ..ReportQuestion::default() };
    let report = reports.report(&question)?;
    ensure!(!report.is_cut, "the report is cut");
    Ok(report.answer["lines"].as_array().cloned().unwrap_or_default())
}

/// The list of jobs, put together from pages of two.
fn job_list(server: &Server) -> Result<Vec<Value>> {
    let reports =
        Reports::new(server.shared.uses.clone(), server.shared.registry.clone(), server.shared.names.clone());
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = reports.jobs(&JobListQuestion { after, limit: 2, ..JobListQuestion::default() })?;
        ensure!(!page.is_cut && page.jobs.len() <= 2, "a page of the list of jobs is cut");
        jobs.extend(page.jobs);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(jobs),
        }
    }
}

/// Each process is there once and was sent. What was acknowledged and has nothing to wait for is
/// there.
pub fn ask_job(server: &Server, clients: &Clients, job: Option<usize>) -> Result<()> {
    let until = server.shared.queue.tail().borrow().next;
    server.wait_for(async { server.shared.jobs.catch_up().await.ok().flatten() });
    let is_caught_up = server.shared.queue.offset(jobs::CONSUMER) >= until;
    let (mut processes, mut there) = (BTreeSet::new(), BTreeSet::new());
    for json in of_job(server, job)? {
        let document = Document::of(json, clients.processes.len())?;
        let process = document.process;
        ensure!(processes.insert(process), "process {process} is in the answer twice");
        let has_end = document.is_end || !document.json["end"].is_null();
        for (is_end, is_there) in [(false, !document.is_end), (true, has_end)] {
            let is_sent = clients.documents_max(process, is_end, true) > 0;
            ensure!(!is_there || is_sent, "an event of process {process} that nobody sent");
            if is_there {
                there.insert((process, is_end));
            }
        }
    }
    for (number, process) in clients.processes.iter().enumerate().filter(|(_, process)| process.job == job) {
        for is_end in [false, true] {
            let is_certain = process.parts[usize::from(is_end)] == 1
                && clients.is_acknowledged(number, is_end)
                && clients.are_builds_known(number, is_end);
            ensure!(
                !is_caught_up || !is_certain || there.contains(&(number, is_end)),
                "{:?} was acknowledged and is not in the answer",
                Message { process: number, is_end, part: 0 }
            );
        }
    }
    Ok(())
}

/// No more processes than were sent have the build, and the registry has it if it must.
pub fn ask_uses(server: &Server, clients: &Clients, build: Build) -> Result<()> {
    server.wait_for(server.shared.uses.catch_up());
    let is_there = server.shared.registry.build(signature(build))?.is_some();
    ensure!(
        clients.is_registered(build).is_none_or(|is_registered| is_registered == is_there),
        "build {build} is registered: {is_there}"
    );
    let counted = of_build(server, build)?.map_or(0, |uses| count(&uses["direct"]));
    let has = |process: &Process| process.executable == Some(build) || process.library == Some(build);
    let sent = starts_max(clients, has);
    ensure!(counted <= sent, "{counted} processes have build {build}, and {sent} were sent");
    Ok(())
}

/// Every program that is named was run, and not more often than was sent.
pub fn ask_unregistered(server: &Server, clients: &Clients) -> Result<()> {
    server.wait_for(server.shared.uses.catch_up());
    for program in unregistered(server)? {
        let path = program["binpath"].as_str().context("a program without a path")?;
        // Without a path: of events of which the first part is missing.
        if !path.is_empty() {
            let sent = starts_max(clients, |process| process.path() == path);
            ensure!(count(&program) <= sent, "{program}: {sent} processes were sent");
        }
    }
    Ok(())
}

/// The number of processes in an answer.
pub fn count(json: &Value) -> u64 {
    json["processes"].as_u64().unwrap_or_default()
}

fn starts_max(clients: &Clients, has: impl Fn(&Process) -> bool) -> u64 {
    let starts = clients.processes.iter().enumerate().filter(|(_, process)| has(process));
    // Only the first part names programs, so no part counts alone.
    starts.map(|(number, _)| clients.documents_max(number, false, false) as u64).sum()
}
