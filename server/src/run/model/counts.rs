//! Counts in answers: held against how often each event took effect.

use super::{
    client::Clients,
    files::Document,
    population::{BUILDS, Build, Message, job_id, linked_with},
    questions::count,
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How often an event counts.
pub struct Effect {
    event: Message,
    least: u64,
    most: u64,
}

impl Effect {
    /// The effects of all events. Only the first part of an event tells of uses, and has the host's
    /// name.
    pub fn of_all(clients: &Clients, lines: &[Document], is_exact: impl Fn(&Message) -> bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        for process in 0..clients.processes.len() {
            for is_end in [false, true] {
                let name = Message { process, is_end, part: 0 };
                let of_it = lines.iter().filter(|document| document.event() == name);
                let there = of_it.filter(|document| document.json["hostname"].is_string()).count() as u64;
                let (least, most) = if is_exact(&name) {
                    (there, there)
                } else {
                    let is_certain = there > 0 || clients.is_acknowledged(process, is_end);
                    (u64::from(is_certain), clients.documents_max(process, is_end, false) as u64)
                };
                effects.push(Effect { event: name, least, most });
            }
        }
        effects
    }
}

/// Processes of an answer, and those that loaded later what was asked for: at least and at most.
#[derive(Debug, Default)]
struct Bounds {
    processes: (u64, u64),
    later: (u64, u64),
}

impl Bounds {
    fn add(&mut self, effect: &Effect) {
        let bounds = if effect.event.is_end { &mut self.later } else { &mut self.processes };
        bounds.0 += effect.least;
        bounds.1 += effect.most;
    }

    fn check(&self, json: &Value) -> Result<()> {
        let later = json["loaded_later"].as_u64().unwrap_or_default();
        for (there, (least, most)) in [(count(json), self.processes), (later, self.later)] {
            ensure!((least..=most).contains(&there), "{json} should have {self:?}");
        }
        Ok(())
    }
}

/// Bounds of each element of a list.
type Expected = BTreeMap<String, Bounds>;

fn check_list(list: &[Value], key: &str, expected: &Expected) -> Result<()> {
    let mut named = BTreeSet::new();
    for element in list {
        let name = element[key].as_str().unwrap_or_default();
        ensure!(named.insert(name), "{name:?} is there twice");
        expected.get(name).with_context(|| format!("nobody sent {name:?}"))?.check(element)?;
    }
    for (name, bounds) in expected {
        ensure!(
            named.contains(name.as_str()) || bounds.processes.0 + bounds.later.0 == 0,
            "{name} is not there, and should have {bounds:?}"
        );
    }
    Ok(())
}

/// Each job of each user once, with as many processes as there are starts, or ends if these are
/// more. Those of one user are all proved, or all claimed.
pub fn of_job_list(clients: &Clients, effects: &[Effect], list: &[Value]) -> Result<()> {
    let mut jobs = Expected::new();
    for effect in effects {
        let process = &clients.processes[effect.event.process];
        if process.job.is_some() {
            let is_unnamed = effect.event.is_end && process.uid().is_none();
            let user = if is_unnamed { String::new() } else { process.user_name() };
            jobs.entry(format!("{} {user}", job_id(process.job))).or_default().add(effect);
        }
    }
    let mut open = BTreeMap::new();
    for (name, Bounds { processes, later }) in &mut jobs {
        open.insert(name.clone(), (processes.0.saturating_sub(later.1), processes.1.saturating_sub(later.0)));
        *processes = (processes.0.max(later.0), processes.1.max(later.1));
        *later = (0, 0);
    }
    let name = |job: &Value| {
        let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("job_id"), text("username"))
    };
    let mut named = Vec::new();
    for job in list {
        let (mut job, name) = (job.clone(), name(job));
        let is_claimed = job["username"].as_str().is_none_or(|user| user.starts_with("user"));
        ensure!(job["identity"] == if is_claimed { "claimed" } else { "kernel" }, "identity: {job}");
        let (least, most) = open.get(&name).copied().unwrap_or_default();
        let there = job["open"].as_u64().unwrap_or_default();
        ensure!((least..=most).contains(&there), "{job} should have {least} to {most} open processes");
        // Nobody but the processes themselves tells of ends here.
        let state = if is_claimed || there == 0 { "unknown" } else { "running" };
        ensure!(job["state"] == state, "{job} should be {state}");
        job["name"] = name.into();
        named.push(job);
    }
    let firsts: Vec<Option<i64>> = list.iter().map(|job| job["first_ns"].as_i64()).collect();
    ensure!(firsts.is_sorted_by(|newer, older| newer >= older), "not the newest first: {firsts:?}");
    check_list(&named, "name", &jobs)
}

/// What each user used: as many processes as there are starts, or ends if these are more.
pub fn of_report(clients: &Clients, effects: &[Effect], report: &[Value]) -> Result<()> {
    let mut users = Expected::new();
    for effect in effects {
        let process = &clients.processes[effect.event.process];
        // An end names no user, but the kernel may.
        let is_unnamed = effect.event.is_end && process.uid().is_none();
        let user = if is_unnamed { String::new() } else { process.user_name() };
        users.entry(user).or_default().add(effect);
    }
    for Bounds { processes, later } in users.values_mut() {
        *processes = (processes.0.max(later.0), processes.1.max(later.1));
        *later = (0, 0);
    }
    check_list(report, "user", &users)
}

/// What each host used: as many processes as there are starts, or ends if these are more.
pub fn of_hosts(clients: &Clients, effects: &[Effect], report: &[Value]) -> Result<()> {
    let mut hosts = Expected::new();
    for effect in effects {
        hosts.entry(clients.processes[effect.event.process].host_name()).or_default().add(effect);
    }
    for Bounds { processes, later } in hosts.values_mut() {
        *processes = (processes.0.max(later.0), processes.1.max(later.1));
        *later = (0, 0);
    }
    check_list(report, "host", &hosts)
}

/// Who ran a build, directly and through those that contain it.
pub fn of_uses(clients: &Clients, build: Build, effects: &[Effect], answer: Option<&Value>) -> Result<()> {
    let is_registered = |build| clients.is_registered(build) == Some(true);
    let through = (0..BUILDS).filter(|other| linked_with(*other) == Some(build) && is_registered(*other));
    let all: Vec<Build> = through.chain([build]).collect();
    let [mut direct, mut total] = [(); 2].map(|()| Bounds::default());
    let [mut users, mut hosts, mut jobs] = [(); 3].map(|()| Expected::new());
    for effect in effects {
        let process = &clients.processes[effect.event.process];
        let named = process.builds_in(effect.event);
        if named.contains(&build) {
            direct.add(effect);
        }
        if named.iter().any(|named| all.contains(named)) {
            total.add(effect);
            // An end names no user, but the kernel may.
            if !effect.event.is_end || process.uid().is_some() {
                users.entry(process.user_name()).or_default().add(effect);
            }
            hosts.entry(process.host_name()).or_default().add(effect);
            if process.job.is_some() {
                let user = match effect.event.is_end && process.uid().is_none() {
                    true => String::new(),
                    false => process.user_name(),
                };
                let name = format!("{} {user}", job_id(process.job));
                jobs.entry(name).or_default().add(effect);
            }
        }
    }
    let Some(answer) = answer else {
        ensure!(total.processes.0 + total.later.0 == 0, "there is none, and it should have {total:?}");
        return Ok(());
    };
    direct.check(&answer["direct"]).context("direct")?;
    total.check(&answer["total"]).context("total")?;
    for (list, key, expected) in [("users", "user", users), ("hosts", "hostname", hosts)] {
        check_list(answer[list].as_array().context("no list")?, key, &expected).context(list)?;
    }
    // A row for each user of each job.
    let named: Vec<Value> = answer["jobs"].as_array().context("no list")?.iter().map(of_user).collect();
    check_list(&named, "name", &jobs).context("jobs")?;
    claims(answer)?;
    ensure!(answer["build"].is_object() == is_registered(build), "the build itself");
    Ok(())
}

/// The row of a job, with a name of its own.
fn of_user(row: &Value) -> Value {
    let mut row = row.clone();
    let user = row["user"].as_str().unwrap_or_default();
    row["name"] = format!("{} {user}", row["job_id"].as_str().unwrap_or_default()).into();
    row
}

/// Checks that nothing is claimed of a user whom the kernel proves, and all of the others.
fn claims(answer: &Value) -> Result<()> {
    for row in answer["users"].as_array().into_iter().flatten() {
        let is_claimed = row["user"].as_str().is_some_and(|user| user.starts_with("user"));
        let all = count(row) + row["loaded_later"].as_u64().unwrap_or_default();
        ensure!(row["claimed"] == if is_claimed { all } else { 0 }, "claimed: {row}");
    }
    Ok(())
}

/// Programs whose builds nobody registered, and those without one.
pub fn of_unregistered(clients: &Clients, effects: &[Effect], answer: &[Value]) -> Result<()> {
    let mut expected = Expected::new();
    for effect in effects.iter().filter(|effect| !effect.event.is_end) {
        let process = &clients.processes[effect.event.process];
        if process.executable.is_none_or(|build| clients.is_registered(build) != Some(true)) {
            expected.entry(process.path()).or_default().add(effect);
        }
    }
    // Events of which the first part is missing have no path.
    let named: Vec<Value> = answer.iter().filter(|program| program["binpath"] != "").cloned().collect();
    check_list(&named, "binpath", &expected)
}
