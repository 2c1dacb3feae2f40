//! Deletion of old builds where several servers share a registry: one does it at a time, and what
//! ran at any of them stays, also when that one is gone.

use crate::{
    backend::Backend,
    daemon::{Daemon, SERVER, wait_for},
    database::Database,
    registry::signature_text,
    shared_registry::{is_registered, register, runs},
};
use std::{
    process::{Command, Output},
    thread,
    time::Duration,
};

fn deleting(backend: &Backend) -> Daemon {
    Daemon::start(&format!("{}keep = \"1s\"\nlook_every = \"200ms\"\n", backend.configuration()))
}

fn servers(daemon: &Daemon, arguments: &[&str]) -> Output {
    let config = daemon.path().join("ogrt.conf");
    Command::new(SERVER).arg("--config").arg(config).arg("servers").args(arguments).output().unwrap()
}

#[test]
fn a_server_that_runs_is_asked_however_long_ago_it_started() {
    let Some(backend) = Backend::postgres() else { return };
    let database = backend.database().unwrap();
    let other = backend.start("");
    (1..=2).for_each(|signature| register(&other, signature));
    runs(&other, 1);
    wait_for("the event", || (!other.lines().is_empty()).then_some(()));
    // As if it had started then, and nobody had asked since.
    database.execute("UPDATE servers SET seen = now() - interval '31 days'");
    let is_seen = "SELECT count(*) FROM servers WHERE seen > now() - interval '1 minute'";
    wait_for("the server to say that it is there", || (database.execute(is_seen) == "1").then_some(()));
    let one = deleting(&backend);
    wait_for("the unused build to go", || (!is_registered(&one, 2)).then_some(()));
    assert!(is_registered(&one, 1));
}

#[test]
fn one_server_at_a_time_deletes_and_one_that_hung_deletes_nothing() {
    let Some(backend) = Backend::postgres() else { return };
    let database = backend.database().unwrap();
    let other = backend.start("");
    let daemons = [0, 1, 2].map(|_| deleting(&backend));
    (1..=30).for_each(|signature| register(&daemons[usize::from(signature) % 3], signature));
    wait_for("the builds to go", || (database.execute("SELECT count(*) FROM builds") == "0").then_some(()));
    // Each deletes its own number, and all of them delete each build once.
    let said = |daemon: &Daemon| -> u64 {
        let log = daemon.log();
        let lines = log.lines().filter_map(|line| line.split_once(" builds were deleted"));
        lines.filter_map(|(before, _)| before.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    wait_for("the servers to say so", || (daemons.iter().map(said).sum::<u64>() == 30).then_some(()));
    // Another server has the lease, for ever.
    let take = "UPDATE leases SET server = 1, epoch = epoch + 1, until = now() + interval '1 hour'";
    database.execute(take);
    register(&other, 31);
    thread::sleep(Duration::from_millis(2500));
    assert!(is_registered(&other, 31));
    database.execute("UPDATE leases SET until = now()");
    wait_for("the build to go", || (!is_registered(&other, 31)).then_some(()));
    // A server is about to delete a build, and hangs until another one has the lease.
    let hang = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(7232909);
         INSERT INTO builds SELECT nextval('build_numbers'), gen_random_uuid(), 1, 1, NULL, '', '';
         COMMIT; BEGIN; SELECT pg_advisory_xact_lock(7232909); SELECT pg_sleep(3); {take}; COMMIT;"
    );
    database.execute(&hang);
    wait_for("a server to find that it was too slow", || {
        daemons.iter().any(|daemon| daemon.log().contains("another server may delete")).then_some(())
    });
}

#[test]
fn what_ran_at_a_server_that_is_gone_stays() {
    let Some(backend) = Backend::postgres() else { return };
    let database = backend.database().unwrap();
    let mut gone = Daemon::start(&format!("{}look_every = \"200ms\"\n", backend.configuration()));
    (1..=2).for_each(|signature| register(&gone, signature));
    runs(&gone, 1);
    let noted = "SELECT count(*) FROM last_used";
    wait_for("what ran to be noted", || (database.execute(noted) == "1").then_some(()));
    gone.stop();
    thread::sleep(Duration::from_millis(1200));
    let one = deleting(&backend);
    wait_for("the log to name the server", || {
        one.log().contains("remove it: ogrt-server servers remove").then_some(())
    });
    assert_eq!(one.metric("ogrt_silent_servers"), 1);
    assert!(is_registered(&one, 1) && is_registered(&one, 2));

    // An administrator removes it, and none that runs.
    database.execute(
        "UPDATE servers SET seen = now() - interval '10 minutes', name = 'gone'
            WHERE server = (SELECT server FROM last_used)",
    );
    let listed = String::from_utf8(servers(&one, &["list"]).stdout).unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let running = listed.lines().find(|line| !line.starts_with("gone ")).unwrap();
    let refused = servers(&one, &["remove", running.split(' ').nth(1).unwrap()]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("was seen"));
    assert!(!servers(&one, &["remove", "nobody"]).status.success());
    assert!(servers(&one, &["remove", "gone"]).status.success());
    wait_for("the unused build to go", || (!is_registered(&one, 2)).then_some(()));
    thread::sleep(Duration::from_millis(1000));
    assert!(is_registered(&one, 1));
    assert_eq!(one.metric("ogrt_silent_servers"), 0);
    assert_eq!(database.execute(noted), "1");

    let alone = Daemon::start("");
    assert!(!servers(&alone, &["list"]).status.success());
}

#[test]
fn nothing_is_deleted_while_the_database_is_away_and_what_is_unused_when_it_is_back() {
    let Some(database) = Database::alone() else { return };
    let registry = format!("[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url());
    let other = Daemon::start(&registry);
    let one = Daemon::start(&format!("{registry}keep = \"4s\"\nlook_every = \"200ms\"\n"));
    for round in [0, 10] {
        (round + 1..=round + 3).for_each(|signature| register(&other, signature));
        runs(&other, round + 1);
        wait_for("the builds", || is_registered(&one, round + 3).then_some(()));
        if round == 0 {
            database.goes_away()
        } else {
            database.hangs(true)
        }
        thread::sleep(Duration::from_millis(2500));
        if round == 0 {
            database.comes_back()
        } else {
            database.hangs(false)
        }
        wait_for("the unused builds to go", || {
            let is_gone =
                |number: u8| one.get(&format!("/v1/builds/{}", signature_text(round + number))).0 == 404;
            (is_gone(2) && is_gone(3)).then_some(())
        });
        assert!(is_registered(&one, round + 1));
    }
    assert!(one.log().contains("no old builds are deleted now"), "{}", one.log());
    assert!(!one.log().contains("panicked") && !other.log().contains("panicked"));
}
