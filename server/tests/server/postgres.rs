//! The registry's own database goes away in the middle of something, hangs, comes back: nothing is lost, nothing
//! half-written, and no event waits for it.

use crate::{
    daemon::{Daemon, OGRT_0_5, wait_for},
    database::Database,
    registry::{digest_text, plain},
};
use ogrt_proto::{BuildRecord, FileKind, Input, MessageType, Output, encode_frame};
use std::time::{Duration, Instant};

fn configuration(database: &Database) -> String {
    format!("[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url())
}

/// The so-maniest build: it contains what all contain, and the build before it.
fn numbered(number: u32) -> BuildRecord {
    let signature = |number: u32| uuid::Uuid::from_u64_pair(5, u64::from(number)).as_bytes().to_vec();
    let before = Input {
        sha256: Some(vec![7; 32].into()),
        signatures: vec![signature(number.wrapping_sub(1)).into()],
        ..Input::default()
    };
    BuildRecord {
        signature: Some(signature(number).into()),
        time_ns: Some(1_700_000_000_000_000_000 + i64::from(number)),
        output: Some(Output { sha256: Some(vec![9; 32].into()), ..Output::default() }),
        inputs: vec![plain(0xFE, FileKind::Object), before],
        ..BuildRecord::default()
    }
}

fn register(daemon: &Daemon, numbers: std::ops::Range<u32>) {
    let mut stream = daemon.acknowledged();
    let count = u64::from(numbers.end - numbers.start);
    for number in numbers {
        stream.send(&encode_frame(MessageType::BuildRecord, &numbered(number))).unwrap();
    }
    stream.wait_for(count).unwrap();
}

fn path(number: u32) -> String {
    format!("/v1/builds/{}", uuid::Uuid::from_u64_pair(5, u64::from(number)))
}

/// Every build, each once, each with its links.
fn all_are_there(daemon: &Daemon, count: u32) {
    wait_for("the registrations", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    let lines = daemon.http("GET", "/v1/export", &[]).1;
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), count as usize);
    let (_, all) = daemon.get(&format!("/v1/dependents/{}?limit=1", digest_text(0xFE)));
    assert_eq!(all["count"], count);
    let first = uuid::Uuid::from_u64_pair(5, 0);
    // A chain is followed 64 deep.
    let (_, chain) = daemon.get(&format!("/v1/dependents/{first}"));
    assert_eq!((&chain["count"], &chain["truncated"]), (&64.into(), &true.into()));
    assert_eq!(daemon.metric("ogrt_builds_conflicting_total"), 0);
}

#[test]
fn a_database_that_goes_away_in_the_middle_loses_nothing() {
    let Some(database) = Database::alone() else { return };
    let mut daemon = Daemon::start(&configuration(&database));
    register(&daemon, 0..100);
    for round in 1..=3u32 {
        // While the group of these is on its way.
        register(&daemon, round * 1000..round * 1000 + 700);
        std::thread::sleep(Duration::from_millis(u64::from(round) * 20));
        database.goes_away();
        register(&daemon, round * 1000 + 700..round * 1000 + 900);
        // What was acknowledged is known, and a list says in one line why there is none.
        assert_eq!(daemon.get(&path(round * 1000 + 899)).0, 200);
        let (status, problem) = daemon.get("/v1/builds");
        assert_eq!((status, &problem["status"]), (503, &503.into()), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("the registry's database is away"), "{problem}");
        if round == 2 {
            daemon = daemon.crash_and_restart(&configuration(&database));
            assert_eq!(daemon.get(&path(2899)).0, 200);
        }
        database.comes_back();
        wait_for("the list", || (daemon.get("/v1/builds").0 == 200).then_some(()));
    }
    all_are_there(&daemon, 100 + 3 * 900);
    assert!(daemon.log().contains("the registry's database is back"), "{}", daemon.log());
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn a_database_that_hangs_holds_up_no_event_and_no_registration() {
    let Some(database) = Database::alone() else { return };
    let daemon = Daemon::start(&(configuration(&database) + "[join]\nwait = \"200ms\"\n"));
    register(&daemon, 0..100);
    wait_for("them to be settled", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    database.hangs(true);
    let since = Instant::now();
    register(&daemon, 100..200);
    daemon.datagram(OGRT_0_5);
    wait_for("the event", || (!daemon.lines().is_empty()).then_some(()));
    assert_eq!(daemon.get("/v1/builds/09090909-0909-0909-0909-090909090909").0, 503);
    assert_eq!(daemon.get(&path(150)).0, 200);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    database.hangs(false);
    all_are_there(&daemon, 200);
}

#[test]
fn a_server_starts_without_its_database_and_registers_when_it_comes() {
    let Some(database) = Database::alone() else { return };
    database.goes_away();
    let daemon = Daemon::start(&configuration(&database));
    register(&daemon, 0..80);
    assert_eq!(daemon.get(&path(79)).0, 200);
    let posted = prost::Message::encode_to_vec(&numbered(80));
    assert_eq!(daemon.http("POST", "/v1/builds", &posted).0, 202);
    database.comes_back();
    all_are_there(&daemon, 81);
}

#[test]
fn what_waits_for_the_database_is_bounded() {
    let Some(database) = Database::alone() else { return };
    database.goes_away();
    let daemon = Daemon::start(&(configuration(&database) + "waiting_bytes_max = \"16KiB\"\n"));
    let mut stream = daemon.acknowledged();
    let refused = (0..1000).find(|number| {
        let frame = encode_frame(MessageType::BuildRecord, &numbered(*number));
        stream.send(&frame).is_err() || stream.wait_for(u64::from(*number) + 1).is_err()
    });
    let accepted = refused.expect("a bound");
    assert!(accepted > 20, "{accepted}");
    // Events are taken all the same.
    daemon.datagram(OGRT_0_5);
    wait_for("the event", || (!daemon.lines().is_empty()).then_some(()));
    database.comes_back();
    wait_for("the registrations", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    assert_eq!(daemon.metric("ogrt_builds_registered_total"), u64::from(accepted));
}

#[test]
fn two_servers_share_a_database() {
    let Some(database) = Database::new() else { return };
    let [one, other] = [(); 2].map(|()| Daemon::start(&configuration(&database)));
    for number in 0..60 {
        let daemon = if number % 2 == 0 { &one } else { &other };
        register(daemon, number..number + 1);
    }
    for daemon in [&one, &other] {
        all_are_there_or_fewer(daemon, 60);
    }
}

/// As `all_are_there`, with a chain that is shorter than the bound.
fn all_are_there_or_fewer(daemon: &Daemon, count: u32) {
    wait_for("the registrations", || {
        let (_, all) = daemon.get(&format!("/v1/dependents/{}", uuid::Uuid::from_u64_pair(5, 0)));
        (all["count"] == count - 1).then_some(())
    });
}
