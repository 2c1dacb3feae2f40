//! Bounds are shared among senders: who floods pushes out nobody else.
//!
//! 20,000 programs and jobs of one sender, with small bounds; with OGRT_TEST_FULL=1 it is 20
//! million, with the bounds that a server has by itself; with another number it is that many.

use crate::{
    daemon::{Acknowledged, Daemon, wait_for},
    process_events::event,
    registry::{linked, register, signature_text},
};
use ogrt_proto::{MessageType, ProcessInfo, SharedObject, encode_frame};
use prost::Message;
use serde_json::Value;
use std::time::Instant;

fn start(number: u32, path: &str, job: &str, user: &str, program: u8, library: &str) -> bytes::Bytes {
    let frame = event(number, job, user, program, &[]);
    let mut info = ProcessInfo::decode(&frame[8..]).unwrap();
    info.binpath = Some(path.to_owned().into());
    info.hostname = Some("node1".into());
    info.start_time_ns = None;
    info.shared_objects.push(SharedObject { path: Some(library.to_owned().into()), ..Default::default() });
    // So that it does not compress away.
    info.arguments = vec![uuid::Uuid::new_v4().as_bytes().to_vec().into(); 4];
    encode_frame(MessageType::ProcessInfo, &info)
}

fn send(daemon: &Daemon, events: impl IntoIterator<Item = bytes::Bytes>) {
    let mut stream = daemon.acknowledged();
    let mut count = 0;
    for event in events {
        stream.send(&event).unwrap();
        count += 1;
    }
    stream.wait_for(count).unwrap();
}

fn uses(daemon: &Daemon, signature: u8) -> Value {
    daemon.get(&format!("/v1/uses/{}", signature_text(signature))).1
}

/// The same without the time until which is counted: behind a flood it is late, and says so.
fn counts(daemon: &Daemon, signature: u8) -> Value {
    let mut answer = uses(daemon, signature);
    answer.as_object_mut().map(|answer| answer.remove("counted_until_ns"));
    answer
}

#[test]
fn one_sender_with_very_many_programs_and_jobs_changes_no_answer_about_others() {
    let full = std::env::var("OGRT_TEST_FULL").ok().and_then(|value| value.parse().ok()).unwrap_or(0);
    let is_full = full > 0;
    let (flood, bounds) = match full {
        0 => (20_000, "programs_max = 2000\n[jobs]\nbytes_max = \"1MiB\"\n".to_owned()),
        1 => (20_000_000, String::new()),
        events => (events, format!("programs_max = {}\n", events / 20)),
    };
    // A file for each job would be what such a run measures.
    let daemon = Daemon::start_without_files(&format!(
        "[join]\nwait = \"0s\"\n[uses]\nwrite_every = \"50ms\"\n{bounds}"
    ));
    register(&daemon, &[linked(1, "good", vec![])]);
    let good = |n: u32| start(n, &format!("/sw/good{n}"), &format!("real{n}"), "ann", 1, "/sw/libgood.so.1");
    send(&daemon, (0..300).map(good));
    let own = |n: u32| start(300 + n, &format!("/home/ann/{n}"), "own", "ann", 4, "/sw/libown.so");
    send(&daemon, (0..9).map(own));
    wait_for("the counts", || (uses(&daemon, 1)["total"]["processes"] == 300).then_some(()));
    let of_ann = || {
        [
            &format!("/v1/uses/{}", signature_text(1)),
            "/v1/uses?soname=libgood.so",
            "/v1/uses?path=/sw/*&user=ann",
            "/v1/unregistered?user=ann",
            "/v1/unregistered?user=ann&by=job",
        ]
        .map(|path| {
            let (status, mut answer) = daemon.get(path);
            // Behind the flood: that the last of it is not counted changes nothing for ann.
            answer.as_object_mut().map(|answer| answer.remove("counted_until_ns"));
            (status, answer)
        })
    };
    let before = of_ann();
    assert!(before.iter().all(|(status, answer)| *status == 200 && answer["truncated"].is_null()));
    let began = Instant::now();
    for begin in (0..flood).step_by(2000) {
        let library = |n: u32| format!("/t/lib{n}.so");
        let bad = |n: u32| start(1000 + n, &format!("/t/{n}"), &format!("x{n}"), "flood", 2, &library(n));
        send(&daemon, (begin..begin + 2000).map(bad));
    }
    let over = |bound: &str| {
        let line =
            format!("ogrt_sender_over_share_total{{bound=\"{bound}\",sender=\"claimed flood@node1\"}} ");
        let text = String::from_utf8(daemon.http("GET", "/metrics", &[]).1).unwrap();
        let lost = text.lines().find_map(|all| all.strip_prefix(&line)?.parse::<u64>().ok());
        lost.unwrap_or(0)
    };
    wait_for("what is over to be told", || {
        // Who asks has the counts added to the rows.
        uses(&daemon, 2);
        (over("uses.programs_max") > 0).then_some(())
    });
    assert_eq!(of_ann(), before, "not one is missing, and nothing is truncated");
    // What is missing of the flood is said.
    assert_eq!(uses(&daemon, 2)["truncated"], true);
    for question in ["/v1/unregistered", "/v1/unregistered?user=flood", "/v1/uses?path=/t/*"] {
        assert_eq!(daemon.get(question).1["truncated"], true, "{question}");
    }
    if !is_full {
        let last = format!("/v1/uses?soname=lib{}.so", flood - 1);
        wait_for("the last of the flood", || (daemon.get(&last).1["truncated"] == true).then_some(()));
    }
    // Somebody new has room.
    send(&daemon, [start(900, "/sw/new", "new", "carol", 3, "/sw/libnew.so")]);
    // Behind so large a flood it is counted late, and every answer says so until then.
    while is_full && !uses(&daemon, 3)["counted_until_ns"].is_null() {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    wait_for("the newcomer", || (uses(&daemon, 3)["total"]["processes"] == 1).then_some(()));
    assert_eq!(
        (uses(&daemon, 3)["total"]["jobs"].as_u64(), &uses(&daemon, 3)["truncated"]),
        (Some(1), &Value::Null)
    );
    if !is_full {
        // Bytes are looked at every ten seconds.
        wait_for("the bytes of jobs to be few", || {
            (over("jobs.bytes_max") > 0 && daemon.metric("ogrt_jobs_bytes") <= 1 << 20).then_some(())
        });
    }
    for number in [0, 5, 299] {
        assert_eq!(daemon.get(&format!("/v1/jobs/real{number}")).0, 200);
    }
    if is_full {
        let memory = daemon.metric("process_resident_memory_bytes") >> 20;
        println!("{flood} events in {:?}, memory {memory} MiB", began.elapsed());
    }
    assert!(daemon.log().contains("claimed flood@node1 has more than its share"), "{}", daemon.log());
}

#[test]
fn a_flood_that_no_output_takes_refuses_nobody_else() {
    let daemon = Daemon::start(
        "[join]\nwait = \"0s\"\n[queue]\nbytes_max = \"1MiB\"\n[outputs.away]\ntype = \"json_tcp\"\naddress = \"127.0.0.1:1\"\n",
    );
    // Claims fill the half of the queue that is anybody's, and half of the other one.
    let mut refused = None;
    for begin in (0..20_000).step_by(100) {
        let mut stream = daemon.acknowledged();
        // A name of their own for each, that does not compress.
        let path = || (0..16).map(|_| uuid::Uuid::new_v4().to_string()).collect::<String>();
        let bad = |n: u32| start(n, &path(), &format!("x{n}"), "flood", 2, "/t/lib.so");
        let events: Vec<u8> = (begin..begin + 100).flat_map(bad).collect();
        if stream.send(&events).and_then(|()| stream.wait_for(100)).is_err() {
            refused = Some(begin);
            break;
        }
    }
    assert!(refused.is_some_and(|events| events >= 1000), "{refused:?}: {}", daemon.log());
    let line = "ogrt_sender_over_share_total{bound=\"queue.bytes_max\",sender=\"claimed by many names\"}";
    assert!(daemon.metric(line) > 0);
    assert!(daemon.log().contains("has more than its share of queue.bytes_max: its events are refused"));
    assert_eq!(daemon.get("/readyz").0, 200, "it takes the events of others");
    // Datagrams of the same sender are refused as well, and a local user has room.
    let before = daemon.metric("ogrt_events_refused_total");
    daemon.datagram(&start(30_000, "/t/x", "x", "flood", 2, "/t/lib.so"));
    wait_for("the datagram to be refused", || {
        (daemon.metric("ogrt_events_refused_total") == before + 1).then_some(())
    });
    let mut local = Acknowledged::unix(&daemon.unix);
    for number in 40_000..40_100 {
        local.send(&start(number, "/sw/own", "own", "ann", 3, "/sw/lib.so")).unwrap();
    }
    assert_eq!(local.wait_for(100).unwrap(), 100);
    assert_eq!(daemon.metric("ogrt_events_refused_total"), before + 1);
    let last = start(30_001, "/t/x", "x", "flood", 2, "/t/lib.so");
    let mut stream = daemon.acknowledged();
    assert!(stream.send(&last).and_then(|()| stream.wait_for(1)).is_err(), "still refused");
}

/// A start of this process, which the kernel proves.
fn own_start(number: u32, path: &str, job: &str, program: u8) -> bytes::Bytes {
    let frame = start(number, path, job, "anybody", program, "/sw/libown.so");
    let mut info = ProcessInfo::decode(&frame[8..]).unwrap();
    info.pid = Some(std::process::id() as i32);
    encode_frame(MessageType::ProcessInfo, &info)
}

#[test]
fn who_claims_a_users_name_takes_nothing_from_the_user_who_is_proved() {
    let daemon = Daemon::start(
        "[follow]\nprocesses_max = 0\n[join]\nwait = \"0s\"\n[uses]\nwrite_every = \"50ms\"\n\
         programs_max = 600\nrows_max = 1500\n[jobs]\nbytes_max = \"1MiB\"\n",
    );
    register(&daemon, &[linked(1, "good", vec![])]);
    let mut stream = Acknowledged::unix(&daemon.unix);
    for number in 0..100 {
        let (path, job) = (format!("/sw/own{number}"), format!("own{number}"));
        stream.send(&own_start(number, &path, &job, 1)).unwrap();
    }
    stream.wait_for(100).unwrap();
    wait_for("the counts", || (uses(&daemon, 1)["total"]["processes"] == 100).then_some(()));
    let before = counts(&daemon, 1);
    assert_eq!((&before["total"]["jobs"], &before["total"]["claimed"]), (&100.into(), &0.into()));
    let user = before["users"][0]["user"].as_str().unwrap().to_owned();
    let lost = |bound: &str| {
        let text = String::from_utf8(daemon.http("GET", "/metrics", &[]).1).unwrap();
        let begin = format!("ogrt_sender_over_share_total{{bound=\"{bound}\",sender=\"claimed ");
        text.lines().any(|line| line.starts_with(&begin))
    };
    // Under the user's name: one program in very many jobs, and then very many programs.
    let programs = |n: u32| start(1000 + n, &format!("/t/{n}"), "one", &user, 2, "/t/lib.so");
    let jobs = |n: u32| start(9000 + n, "/t/0", &format!("x{n}"), &user, 2, "/t/lib.so");
    send(&daemon, (0..4000).map(jobs));
    wait_for("rows to be too many", || (uses(&daemon, 2).is_object() && lost("uses.rows_max")).then_some(()));
    send(&daemon, (0..4000).map(programs));
    wait_for("programs to be too many", || {
        (uses(&daemon, 2).is_object() && lost("uses.programs_max")).then_some(())
    });
    assert_eq!(counts(&daemon, 1), before, "not one is missing, and nothing is truncated");
    for number in [0, 57, 99] {
        assert_eq!(daemon.get(&format!("/v1/jobs/own{number}")).1["truncated"], Value::Null);
    }
    assert_eq!(uses(&daemon, 2)["truncated"], true);
}

#[test]
fn who_has_very_many_events_waiting_lets_others_wait() {
    let daemon = Daemon::start("[join]\nwait = \"20s\"\nwaiting_max = 64\n");
    let waiting = |number: u32, user: &str, program: u8| {
        start(number, "/sw/app", &format!("w{number}"), user, program, "/sw/lib.so")
    };
    // None of these programs is ever registered.
    for number in 0..60 {
        send(&daemon, [waiting(number, "flood", 100 + number as u8)]);
    }
    wait_for("the flood to be told", || (daemon.metric("ogrt_join_overflows_total") >= 28).then_some(()));
    assert_eq!(daemon.metric("ogrt_events_held"), 32, "half of what may wait");
    send(&daemon, [waiting(100, "ann", 7)]);
    wait_for("the event to wait", || (daemon.metric("ogrt_events_held") == 33).then_some(()));
    register(&daemon, &[linked(7, "late", vec![])]);
    let line = wait_for("the event", || daemon.lines().into_iter().find(|line| line["job_id"] == "w100"));
    assert_eq!((&line["build"]["name"], &line["build"]["source"]), (&"late".into(), &"record".into()));
}
