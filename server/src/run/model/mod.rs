//! A model test of queue, held events, jobs, uses and file outputs: random actions and crashes.
//!
//! A crash is a commit that fails, and with it all commits after it, whatever stage makes them:
//! that is what a process leaves that dies between two commits. Then everything in memory is
//! dropped, and the database is opened anew. [`run`] tells one run. What must hold stands in
//! [`invariants`]: each acknowledged event is in each answer once, nothing is there that nobody
//! sent, and all places agree.
//!
//! A seed fixes settings, actions and crash points; the order of the stages' threads it does not
//! fix. `OGRT_MODEL_SEED=n,m` runs those seeds, OGRT_TEST_FULL=1 runs 2,000 in the place of 50.

mod books;
mod client;
mod counts;
mod files;
mod invariants;
mod plan;
mod population;
mod questions;
mod random;
mod rebuilt_sums;
mod server;

use anyhow::{Context, Result};
use client::Clients;
use plan::{Action, Plan, Settings};
use questions::Answers;
use server::{Opening, Place, Server};
use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::runtime::{Builder, Handle};

/// Runs that are made at once: they wait more than they compute.
const AT_ONCE: usize = 4;

#[test]
fn each_acknowledged_event_is_in_each_answer_once_whatever_crashes() {
    if let Ok(seed) = env::var("OGRT_MODEL_SEED") {
        let seeds = seed.split(',').map(|seed| seed.parse().expect("OGRT_MODEL_SEED holds numbers"));
        return run_all(&seeds.collect::<Vec<u64>>());
    }
    let is_full = env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    run_all(&(0..if is_full { 2000 } else { 50 }).collect::<Vec<u64>>());
}

/// Runs seeds, some at a time, and fails with what each of them has found.
fn run_all(seeds: &[u64]) {
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(seeds.len()) {
            scope.spawn(|| {
                let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let plan = Plan::new(*seed);
                    if let Err(problem) = run(&plan, runtime.handle()) {
                        failures.lock().unwrap().push(format!("seed {seed}: {problem:#}\n{plan}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} seeds failed\n\n{}", failures.len(), failures.join("\n"));
}

/// The database breaks once after this many actions, and is mended under all stages.
const BREAK_EVERY: usize = 7;

/// One run: everything that the plan says, then what clients still have, then an end at which
/// nothing waits.
fn run(plan: &Plan, runtime: &Handle) -> Result<()> {
    // In memory, if possible: a process that dies leaves what it wrote, wherever that is.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let place = Place { directory: directory.path(), runtime };
    let mut clients = Clients::new(&plan.processes, runtime);

    let mut server = Server::open(&place, &plan.settings, &Opening::whole())?;
    for (number, action) in plan.actions.iter().enumerate() {
        if number % BREAK_EVERY == 0 {
            server.break_once(number as u64 % 11);
        }
        server = step(&place, plan, action, &mut clients, server)
            .with_context(|| format!("action {number}, {action:?}"))?;
    }
    clients.settle()?;
    server.stop().context("at the last stop")?;

    let server = restart(&place, &plan.settings.roomy(), &[], None, &mut clients)?;
    clients.settle()?;
    clients.check_all_is_acknowledged()?;
    server.stop().context("after everything was sent")?;

    let server = Server::open(&place, &plan.settings.impatient(), &Opening::whole())?;
    server.wait_until_nothing_is_held()?;
    let answers = Answers::collect(&server)?;
    server.stop().context("at the end")?;
    invariants::check(plan, &clients, place.directory, &answers)?;
    rebuilt_sums::check(&plan.settings.config(place.directory)).context("sums that are made again")
}

/// Does one action.
fn step(
    place: &Place<'_>,
    plan: &Plan,
    action: &Action,
    clients: &mut Clients,
    mut server: Server,
) -> Result<Server> {
    match action {
        Action::Submit { messages, builds, is_acknowledged, is_awaited } => {
            clients.send(&server, messages, builds, *is_acknowledged);
            if *is_awaited {
                clients.settle()?;
            }
        }
        Action::AskJob(job) => questions::ask_job(&server, clients, *job)?,
        Action::AskUses(build) => questions::ask_uses(&server, clients, *build)?,
        Action::AskUnregistered => questions::ask_unregistered(&server, clients)?,
        Action::Wait(ms) => thread::sleep(Duration::from_millis(*ms)),
        Action::Arm(commits) => server.arm(*commits),
        Action::Crash { opening, torn } => {
            server.die()?;
            clients.see_crash()?;
            server = restart(place, &plan.settings, opening, *torn, clients)?;
        }
        Action::Restart => {
            server.stop()?;
            clients.settle()?;
            server = restart(place, &plan.settings, &[], None, clients)?;
        }
    }
    Ok(server)
}

/// Starts a server on what the one before left, after some that die while they start. Clients then
/// send again.
fn restart(
    place: &Place<'_>,
    settings: &Settings,
    opening: &[u64],
    mut torn: Option<usize>,
    clients: &mut Clients,
) -> Result<Server> {
    for commits in opening {
        let opening = Opening { commits: *commits, torn: torn.take() };
        if let Ok(server) = Server::open(place, settings, &opening) {
            server.die()?;
        }
    }
    let server = Server::open(place, settings, &Opening { torn, ..Opening::whole() })?;
    clients.begin_life();
    clients.resend(&server);
    Ok(server)
}
