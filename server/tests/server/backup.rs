//! What `ogrt-server backup` writes: a server that starts from it answers as the first one did.

use crate::{
    daemon::{Daemon, SERVER, wait_for},
    process_events::{event, send},
    registry::{register, signature_text, stack},
};
use ogrt_proto::{Installation, InstalledFile};
use prost::Message;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

fn run(daemon: &Daemon, arguments: &[&str]) -> Output {
    Command::new(SERVER)
        .arg("--config")
        .arg(daemon.path().join("ogrt.conf"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Backs the server up, and starts another from that.
fn restore(daemon: &Daemon, more: impl Fn(&Path) -> String) -> Daemon {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let made = run(daemon, &["backup", data.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let more = more(place.path());
    Daemon::start_in(place, &more)
}

fn settle(daemon: &Daemon) {
    for lag in ["ogrt_jobs_lag_batches", "ogrt_uses_lag_batches", "ogrt_output_lag_batches{output=\"lines\"}"]
    {
        wait_for(lag, || (daemon.metric(lag) == 0).then_some(()));
    }
}

#[test]
fn all_answers_are_the_same_and_the_queue_goes_on() {
    // Nobody listens at the address of one output, so the queue keeps everything for it.
    let quick = "[join]\nwait = \"50ms\"\n";
    let daemon =
        Daemon::start(&format!("{quick}[outputs.away]\ntype = \"json_tcp\"\naddress = \"127.0.0.1:1\"\n"));
    register(&daemon, &stack());
    let installation = Installation {
        prefix: Some("/sw/a".into()),
        files: vec![InstalledFile { path: Some("a".into()), signatures: vec![vec![1; 16].into()] }],
        ..Default::default()
    };
    assert_eq!(daemon.http("POST", "/v1/installations", &installation.encode_to_vec()).0, 201);
    assert!(run(&daemon, &["token", "add", "easybuild"]).status.success());
    let events: Vec<_> = (0..40).map(|number| event(number, "j1", "alice", 3, &[2, 1])).collect();
    send(&daemon, &events);
    send(&daemon, &[event(100, "j2", "bob", 9, &[])]);
    settle(&daemon);

    let restored = restore(&daemon, |place| {
        let path = place.display();
        format!("{quick}[outputs.away]\ntype = \"file\"\nlayout = \"lines\"\npath = \"{path}/away\"\n")
    });
    settle(&restored);
    let of_build = format!("/v1/uses/{}", signature_text(1));
    for question in [
        "/v1/export",
        "/v1/builds",
        "/v1/installations",
        "/v1/jobs/j1",
        "/v1/jobs/j2",
        "/v1/unregistered",
        &of_build,
    ] {
        let [before, after] = [&daemon, &restored].map(|daemon| daemon.http("GET", question, &[]));
        assert_eq!(before.0, 200, "{question}");
        assert!(before == after, "{question}: {}", String::from_utf8_lossy(&after.1));
    }
    assert_eq!(run(&restored, &["token", "list"]).stdout, b"easybuild register\n");
    let lines = || fs::read_to_string(restored.path().join("away/events.jsonl")).unwrap_or_default();
    wait_for("what was queued to go out", || (lines().lines().count() == 41).then_some(()));
    // What came before is known there, too.
    send(&restored, &events);
    settle(&restored);
    assert_eq!(restored.get("/v1/jobs/j1").1, daemon.get("/v1/jobs/j1").1);
}

#[test]
fn what_comes_meanwhile_is_in_it_whole_or_not_at_all() {
    let daemon = Daemon::start("[join]\nwait = \"50ms\"\n");
    register(&daemon, &stack());
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut stream = daemon.acknowledged();
    let sender = thread::spawn({
        let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
        move || {
            for number in 0.. {
                stream.send(&event(number, "load", "alice", 3, &[1])).unwrap();
                stream.wait_for(u64::from(number) + 1).unwrap();
                acknowledged.store(number + 1, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
    });
    for _ in 0..3 {
        let least = acknowledged.load(Ordering::SeqCst);
        let restored = restore(&daemon, |_| "[join]\nwait = \"50ms\"\n".into());
        settle(&restored);
        let most = acknowledged.load(Ordering::SeqCst) + 1;
        let (_, job) = restored.get("/v1/jobs/load");
        let of_job = job["processes"].as_array().map_or(0, Vec::len) as u64;
        assert!((u64::from(least)..=u64::from(most)).contains(&of_job), "{least} to {most}: {of_job}");
        // They were sent one after the other: there is no gap.
        let mut ids: Vec<&Value> =
            job["processes"].as_array().into_iter().flatten().map(|process| &process["event_id"]).collect();
        ids.sort_by_key(|id| id.as_str());
        let wanted: Vec<Value> =
            (0..of_job).map(|number| uuid::Uuid::from_u64_pair(7, number).to_string().into()).collect();
        assert!(ids.into_iter().eq(&wanted));
        if of_job > 0 {
            let (_, uses) = restored.get(&format!("/v1/uses/{}", signature_text(1)));
            assert_eq!(uses["total"]["processes"], of_job);
        }
    }
    stop.store(true, Ordering::SeqCst);
    sender.join().unwrap();
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_half() {
    let daemon = Daemon::start("");
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("mine"), "kept").unwrap();
    let refused = run(&daemon, &["backup", place.path().to_str().unwrap()]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("is not empty"), "{said}");
    let nowhere = place.path().join("no/such");
    assert!(!run(&daemon, &["backup", nowhere.to_str().unwrap()]).status.success());
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
}
