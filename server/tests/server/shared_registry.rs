//! Several servers with one registry: none waits for what another has registered, and none deletes
//! what runs at another.

use crate::{
    backend::Backend,
    daemon::{Daemon, build, build_frame, wait_for},
    database::Database,
    process_events::{event, object},
    registry::{linked, marked, signature_text},
};
use ogrt_proto::{MessageType, ProcessEnd, encode_frame};
use prost::Message;
use std::{
    thread,
    time::{Duration, Instant},
};

pub fn register(daemon: &Daemon, signature: u8) {
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(signature, "app")).unwrap();
    stream.wait_for(1).unwrap();
}

pub fn is_registered(daemon: &Daemon, signature: u8) -> bool {
    daemon.get(&format!("/v1/builds/{}", signature_text(signature))).0 == 200
}

pub fn runs(daemon: &Daemon, signature: u8) {
    daemon.datagram(&event(signature.into(), "job", "ann", signature, &[]));
}

#[test]
fn a_late_record_lets_its_event_go_at_once_whichever_server_has_it() {
    let Some(backend) = Backend::postgres() else { return };
    let [here, there] = [0, 1].map(|_| backend.start("[join]\nwait = \"30s\"\n"));
    for (signature, registrar) in [(1, &here), (2, &there)] {
        let before = here.lines().len();
        runs(&here, signature);
        wait_for("the event to wait", || (here.metric("ogrt_events_held") == 1).then_some(()));
        let since = Instant::now();
        register(registrar, signature);
        wait_for("the event", || (here.lines().len() > before).then_some(()));
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    }
    assert_eq!(here.metric("ogrt_join_timeouts_total"), 0);
}

/// How long an event at `here` waited for its build, which `registrar` registers.
fn time_to_be_joined(here: &Daemon, registrar: &Daemon, signature: u8) -> Duration {
    let before = here.lines().len();
    runs(here, signature);
    wait_for("the event to wait", || (here.metric("ogrt_events_held") == 1).then_some(()));
    let since = Instant::now();
    register(registrar, signature);
    wait_for("the event", || (here.lines().len() > before).then_some(()));
    since.elapsed()
}

#[test]
fn a_server_hears_at_once_of_a_build_that_another_registers() {
    let Some(backend) = Backend::postgres() else { return };
    let [here, there] = [0, 1].map(|_| backend.start("[join]\nwait = \"30s\"\n"));
    let database = backend.database().unwrap();
    let is_heard = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'ogrt-server listener' AND datname = current_database()";
    let listeners = |count: &str| {
        wait_for("the listeners", || (database.execute(is_heard) == count).then_some(()));
    };
    listeners("2");
    let times: Vec<_> = (1..=10).map(|signature| time_to_be_joined(&here, &there, signature)).collect();
    let quick = times.iter().filter(|time| **time < Duration::from_millis(200)).count();
    assert!(quick >= 8, "{times:?}");
    // The connections that hear end, and are made again.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'ogrt-server listener' AND datname = current_database()";
    for signature in 11..=14 {
        database.execute(end);
        let time = time_to_be_joined(&here, &there, signature);
        assert!(time < Duration::from_secs(4), "{time:?}");
    }
    listeners("2");
    let times: Vec<_> = (15..=24).map(|signature| time_to_be_joined(&here, &there, signature)).collect();
    let quick = times.iter().filter(|time| **time < Duration::from_millis(200)).count();
    assert!(quick >= 8, "{times:?}");
    assert_eq!(here.metric("ogrt_join_timeouts_total"), 0);
}

#[test]
fn builds_are_heard_of_after_the_database_was_away_and_many_at_once_are() {
    let Some(database) = Database::alone() else { return };
    let configuration =
        format!("[join]\nwait = \"60s\"\n[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url());
    let [here, there] = [0, 1].map(|_| Daemon::start(&configuration));
    for round in [1, 102] {
        register(&there, round + 100);
        wait_for("the build", || is_registered(&here, round + 100).then_some(()));
        let before = here.lines().len();
        database.goes_away();
        // The last is of a build that was registered long before.
        (round..=round + 100).for_each(|signature| runs(&here, signature));
        wait_for("the events to wait", || (here.metric("ogrt_events_held") == 101).then_some(()));
        let mut stream = there.acknowledged();
        for signature in round..round + 100 {
            stream.send(&build_frame(signature, "app")).unwrap();
        }
        stream.wait_for(100).unwrap();
        database.comes_back();
        wait_for("the events", || (here.lines().len() == before + 101).then_some(()));
    }
    assert_eq!(here.metric("ogrt_join_timeouts_total"), 0);
    assert!(!here.log().contains("panicked"), "{}", here.log());
}

#[test]
fn a_server_of_before_and_one_of_today_share_a_database() {
    let Some(backend) = Backend::postgres() else { return };
    let here = backend.start("[join]\nwait = \"30s\"\n");
    let database = backend.database().unwrap();
    register(&here, 1);
    wait_for("the build", || is_registered(&here, 1).then_some(()));
    // The one of before looks at this number alone, and a newer one has more additions.
    assert_eq!(database.execute("SELECT version FROM ogrt_format"), "11");
    database.execute("UPDATE ogrt_additions SET count = count + 7");
    let there = backend.start("[join]\nwait = \"30s\"\n");
    assert!(time_to_be_joined(&here, &there, 2) < Duration::from_secs(3));
    // One that writes without a word of it is heard all the same: the database tells.
    let before = here.lines().len();
    runs(&here, 3);
    wait_for("the event to wait", || (here.metric("ogrt_events_held") == 1).then_some(()));
    database.execute(
        "INSERT INTO builds SELECT nextval('build_numbers'), '03030303-0303-0303-0303-030303030303',
            registered_ns, time_ns, output_digest, brief, record FROM builds WHERE number = (SELECT min(number) FROM builds)",
    );
    wait_for("the event", || (here.lines().len() > before).then_some(()));
}

#[test]
fn a_late_record_lets_its_event_go_by_whatever_way_it_comes() {
    for backend in Backend::all() {
        let servers = [0, 1].map(|_| backend.start("[join]\nwait = \"30s\"\n"));
        let here = &servers[0];
        // What several servers share is told by any of them.
        let registrar = &servers[usize::from(backend.is_postgres())];
        let export = {
            let other = Daemon::start("");
            register(&other, 3);
            other.http("GET", "/v1/export", &[]).1
        };
        // Of a program, of a library, and of one that is moved here with others.
        let events =
            [event(1, "job", "ann", 1, &[]), event(2, "job", "ann", 0, &[2]), event(3, "job", "ann", 3, &[])];
        let post =
            |path: &str, body: &[u8]| assert!(matches!(registrar.http("POST", path, body).0, 200..=202));
        for (number, waiting) in (1..).zip(&events) {
            let before = here.lines().len();
            here.datagram(waiting);
            wait_for("the event to wait", || (here.metric("ogrt_events_held") == 1).then_some(()));
            let since = Instant::now();
            match number {
                3 => post("/v1/import", &export),
                _ => post("/v1/builds", &build(number, "app").encode_to_vec()),
            }
            wait_for("the event", || (here.lines().len() > before).then_some(()));
            assert!(since.elapsed() < Duration::from_secs(3), "{number}: {:?}", since.elapsed());
        }
        assert_eq!(here.metric("ogrt_join_timeouts_total"), 0);
        let lines = here.lines();
        assert_eq!(lines[0]["build"]["source"], "record");
        assert_eq!(lines[1]["shared_objects"][0]["build"]["source"], "record");
        assert_eq!(lines[2]["build"]["source"], "record");
    }
}

#[test]
fn what_ran_at_another_server_stays_and_so_does_what_nobody_can_know() {
    let Some(backend) = Backend::postgres() else { return };
    let deleting = format!("{}keep = \"1s\"\nlook_every = \"200ms\"\n", backend.configuration());
    let other = backend.start("");
    (1..=3).for_each(|signature| register(&other, signature));
    runs(&other, 1);
    wait_for("the event", || (!other.lines().is_empty()).then_some(()));
    let mut other = other;
    thread::sleep(Duration::from_millis(1200));
    let one = Daemon::start(&deleting);
    wait_for("the unused builds to go", || {
        (!is_registered(&one, 2) && !is_registered(&one, 3)).then_some(())
    });
    assert!(is_registered(&one, 1));
    // One that is away may have had something run.
    register(&other, 4);
    wait_for("the build", || is_registered(&one, 4).then_some(()));
    other.stop();
    thread::sleep(Duration::from_millis(2500));
    assert!(is_registered(&one, 4) && is_registered(&one, 1));
}

#[test]
fn what_ran_a_moment_ago_stays_though_counts_are_written_late() {
    for backend in Backend::all() {
        let configuration = format!(
            "[uses]\nwrite_every = \"1h\"\n{}keep = \"1s\"\nlook_every = \"300ms\"\n",
            backend.configuration()
        );
        let daemon = Daemon::start(&configuration);
        (1..=2).for_each(|signature| register(&daemon, signature));
        runs(&daemon, 1);
        wait_for("the unused build to go", || (!is_registered(&daemon, 2)).then_some(()));
        thread::sleep(Duration::from_millis(700));
        assert!(is_registered(&daemon, 1));
    }
}

#[test]
fn what_was_loaded_or_contained_a_moment_ago_stays_though_counts_are_written_late() {
    for backend in Backend::all() {
        let configuration = format!(
            "[uses]\nwrite_every = \"1h\"\n{}keep = \"1s\"\nlook_every = \"300ms\"\n",
            backend.configuration()
        );
        let daemon = Daemon::start(&configuration);
        // A library that is loaded, a plugin that is loaded later, a library within a program that
        // runs, and what nobody runs.
        let records = [linked(1, "lib", vec![]), linked(2, "plugin", vec![]), linked(3, "base", vec![])];
        crate::registry::register(&daemon, &records);
        crate::registry::register(&daemon, &[linked(4, "app", vec![marked(3)]), linked(5, "unused", vec![])]);
        let end = ProcessEnd {
            event_id: Some(vec![9; 16].into()),
            job_id: Some("job".into()),
            hostname: Some("node1".into()),
            shared_objects: vec![object(2)],
            ..ProcessEnd::default()
        };
        daemon.datagram(&event(1, "job", "ann", 0, &[1]));
        daemon.datagram(&encode_frame(MessageType::ProcessEnd, &end));
        daemon.datagram(&event(2, "job", "ann", 4, &[]));
        wait_for("the unused build to go", || (!is_registered(&daemon, 5)).then_some(()));
        thread::sleep(Duration::from_millis(700));
        let there: Vec<u8> = (1..=5).filter(|signature| is_registered(&daemon, *signature)).collect();
        assert_eq!(there, [1, 2, 3, 4]);
    }
}
