//! Registrations that are acknowledged when the registry's database has them: with the loss of a
//! server nothing is lost that it acknowledged, and its clients keep what it does not acknowledge.

use crate::{
    daemon::{Daemon, OGRT_0_5, build, build_frame, wait_for},
    database::Database,
};
use ogrt_proto::Installation;
use prost::Message;
use std::time::{Duration, Instant};

fn configuration(database: &Database, acknowledge: &str) -> String {
    let url = database.url();
    format!(
        "[join]\nwait = \"200ms\"\n[registry]\nbackend = \"postgres\"\nurl = \"{url}\"\nacknowledge = \"{acknowledge}\"\n"
    )
}

fn committed(database: &Database) -> usize {
    database.execute("SELECT count(*) FROM builds").parse().unwrap()
}

fn post(daemon: &Daemon, signature: u8) -> u16 {
    daemon.http("POST", "/v1/builds", &build(signature, "app").encode_to_vec()).0
}

fn installation() -> Vec<u8> {
    Installation { prefix: Some(b"/sw/a".to_vec().into()), time_ns: Some(1), ..Installation::default() }
        .encode_to_vec()
}

#[test]
fn what_is_acknowledged_is_in_the_database_by_whatever_way_it_came() {
    let Some(database) = Database::new() else { return };
    let daemon = Daemon::start(&configuration(&database, "commit"));
    let mut stream = daemon.acknowledged();
    for signature in 1..=40 {
        stream.send(&build_frame(signature, "app")).unwrap();
        stream.wait_for(signature.into()).unwrap();
        assert_eq!(committed(&database), usize::from(signature));
    }
    for signature in 41..=50 {
        assert_eq!(post(&daemon, signature), 201);
        assert_eq!(committed(&database), usize::from(signature));
        assert_eq!(post(&daemon, signature), 200);
    }
    assert_eq!(daemon.http("POST", "/v1/builds", &build(50, "other").encode_to_vec()).0, 409);
    assert_eq!(daemon.http("POST", "/v1/installations", &installation()).0, 201);
    assert_eq!(database.execute("SELECT count(*) FROM installations"), "1");
    // Many at once, by several clients: each waits for its own.
    std::thread::scope(|scope| {
        for client in 0..4 {
            let daemon = &daemon;
            scope.spawn(move || {
                let mut stream = daemon.acknowledged();
                for signature in 51 + client * 50..101 + client * 50 {
                    stream.send(&build_frame(signature, "app")).unwrap();
                }
                stream.wait_for(50).unwrap();
            });
        }
    });
    assert_eq!(committed(&database), 250);
    // The server and its disk are gone.
    drop(daemon.crash());
    let other = Daemon::start(&configuration(&database, "commit"));
    assert_eq!(other.http("GET", "/v1/export", &[]).1.iter().filter(|byte| **byte == b'\n').count(), 251);
}

#[test]
fn while_the_database_is_away_clients_keep_their_builds_and_events_go_on() {
    let Some(database) = Database::alone() else { return };
    let daemon = Daemon::start(&configuration(&database, "commit"));
    assert_eq!(post(&daemon, 1), 201);
    for round in 1..=2 {
        if round == 1 {
            database.goes_away()
        } else {
            database.hangs(true)
        }
        // The first ones find out, and the others need not.
        for signature in 2..=4 {
            let since = Instant::now();
            assert_eq!(post(&daemon, signature), 503, "{signature}");
            assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        }
        assert_eq!(daemon.http("POST", "/v1/installations", &installation()).0, 503);
        let mut stream = daemon.acknowledged();
        stream.send(&build_frame(5, "app")).unwrap();
        assert!(stream.wait_for(1).is_err());
        assert!(daemon.metric("ogrt_registrations_refused_total") >= 4 * round);
        // Events need no database.
        let lines = daemon.lines().len();
        daemon.datagram(OGRT_0_5);
        wait_for("the event", || (daemon.lines().len() > lines).then_some(()));
        if round == 1 {
            database.comes_back()
        } else {
            database.hangs(false)
        }
        wait_for("the server to take builds", || (post(&daemon, 1) == 200).then_some(()));
    }
    for signature in 2..=5 {
        assert!(matches!(post(&daemon, signature), 200 | 201));
    }
    assert_eq!(daemon.http("POST", "/v1/installations", &installation()).0, 201);
    wait_for("the registrations", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    assert_eq!(committed(&database), 5);
    assert_eq!(daemon.metric("ogrt_builds_conflicting_total"), 0);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn one_server_acknowledges_what_is_on_its_disk_unless_it_is_told_otherwise() {
    let Some(database) = Database::alone() else { return };
    let daemon = Daemon::start(&configuration(&database, "disk"));
    database.goes_away();
    assert_eq!(post(&daemon, 1), 202);
    assert_eq!(daemon.http("POST", "/v1/installations", &installation()).0, 201);
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(2, "app")).unwrap();
    stream.wait_for(1).unwrap();
    database.comes_back();
    wait_for("the registrations", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    assert_eq!(committed(&database), 2);
}

#[test]
fn several_servers_that_acknowledge_too_early_say_so() {
    let Some(database) = Database::new() else { return };
    let warns = |daemon: &Daemon| daemon.log().contains("registry.acknowledge is");
    let alone = Daemon::start(&configuration(&database, "disk"));
    let is_known = || (database.execute("SELECT count(*) FROM servers") == "1").then_some(());
    wait_for("the server to be known", is_known);
    assert!(!warns(&alone));
    let early = Daemon::start(&configuration(&database, "disk"));
    wait_for("the log to say so", || warns(&early).then_some(()));
    let late = Daemon::start(&configuration(&database, "commit"));
    assert_eq!(post(&late, 1), 201);
    wait_for("it to be known", || (database.execute("SELECT count(*) FROM servers") == "3").then_some(()));
    assert!(!warns(&late));
}
