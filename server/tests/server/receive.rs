//! What comes in by each way appears as a document.

use crate::daemon::{Acknowledged, Daemon, OGRT_0_5, build_frame, wait_for};
use ogrt_proto::{Hello, MessageType, ProcessEnd, ProcessInfo, SharedObject, encode_frame};
use serde_json::Value;
use std::{
    io::{Read, Write},
    os::unix::net::{UnixDatagram, UnixStream},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

fn is_gcc_help(document: &Value) {
    assert_eq!(document["binpath"], "/usr/bin/x86_64-linux-gnu-gcc-12");
    assert_eq!((&document["pid"], &document["parent_pid"]), (&1296.into(), &1253.into()));
    assert_eq!(document["time"], 1_795_416_645);
    assert_eq!((&document["username"], &document["hostname"]), (&"root".into(), &"vm".into()));
    assert_eq!(document["identity"], "claimed");
    assert_eq!(document["loaded_modules"], serde_json::json!([{"name": "gcc/4.6.2"}, {"name": "dev"}]));
    assert_eq!(document["shared_objects"].as_array().unwrap().len(), 3);
    assert_eq!(document["event_id"].as_str().unwrap().len(), 36);
}

#[test]
fn ogrt_0_5_is_understood_over_udp_and_tcp() {
    let daemon = Daemon::start("");
    daemon.datagram(OGRT_0_5);
    daemon.short_tcp(OGRT_0_5);
    let job = wait_for("both events in the job's file", || {
        daemon.job_file("TESTJOB.json").filter(|job| job["processes"].as_array().unwrap().len() == 2)
    });
    assert_eq!(job.as_object().unwrap().len(), 2);
    assert_eq!(job["job_id"], "TESTJOB");
    let processes = job["processes"].as_array().unwrap();
    processes.iter().for_each(is_gcc_help);
    // Two events without an id are never taken for one.
    assert_ne!(processes[0]["event_id"], processes[1]["event_id"]);
    let (status, answer) = daemon.get("/v1/jobs/TESTJOB");
    assert_eq!((status, &answer), (200, &job));
    wait_for("both events in the lines", || (daemon.lines().len() == 2).then_some(()));
    wait_for("counts", || {
        (daemon.metric("ogrt_events_written_total{output=\"nothing\"}") == 2).then_some(())
    });
    assert_eq!(daemon.metric("ogrt_events_received_total"), 2);
}

#[test]
fn a_question_sees_what_was_sent_before_it() {
    let daemon = Daemon::start("");
    for sent in 1..=10 {
        daemon.datagram(OGRT_0_5);
        let (status, job) = daemon.get("/v1/jobs/TESTJOB");
        assert_eq!((status, job["processes"].as_array().map(Vec::len)), (200, Some(sent)));
    }
}

#[test]
fn a_stream_without_hello_is_told_nothing() {
    let daemon = Daemon::start("");
    let mut stream = std::net::TcpStream::connect(&daemon.tcp).unwrap();
    stream.write_all(OGRT_0_5).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"");
    wait_for("the event", || (daemon.lines().len() == 1).then_some(()));
}

#[test]
fn the_kernel_says_who_sent_over_unix_sockets() {
    // One process that starts several times would have become other programs meanwhile.
    let daemon = Daemon::start("[follow]\nprocesses_max = 0\n");
    let lie = ProcessInfo {
        pid: Some(std::process::id() as i32),
        uid: Some(12_345),
        username: Some("somebody".into()),
        job_id: Some("unix".into()),
        ..Default::default()
    };
    let frame = encode_frame(MessageType::ProcessInfo, &lie);
    UnixStream::connect(&daemon.unix).unwrap().write_all(&frame).unwrap();
    let datagrams = format!("{}.dgram", daemon.unix.display());
    UnixDatagram::unbound().unwrap().send_to(&frame, datagrams).unwrap();
    let mut acknowledged = Acknowledged::unix(&daemon.unix);
    acknowledged.send(&frame).unwrap();
    acknowledged.wait_for(1).unwrap();
    // One that takes its time is served as well.
    let mut slow = UnixStream::connect(&daemon.unix).unwrap();
    slow.write_all(&frame[..5]).unwrap();
    sleep(Duration::from_millis(50));
    slow.write_all(&frame[5..]).unwrap();
    drop(slow);
    let documents = wait_for("four documents", || Some(daemon.lines()).filter(|lines| lines.len() == 4));
    let uid = nix::unistd::geteuid().as_raw();
    let name = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    for document in documents {
        assert_eq!(document["identity"], "kernel");
        assert_eq!((&document["pid"], &document["uid"]), (&std::process::id().into(), &uid.into()));
        assert_eq!(document["username"], name.trim());
    }
}

#[test]
fn an_event_in_parts_is_put_together() {
    let daemon = Daemon::start("");
    let part = |index: u32, path: &str| {
        encode_frame(
            MessageType::ProcessInfo,
            &ProcessInfo {
                event_id: Some(vec![3; 16].into()),
                part_index: Some(index),
                part_count: Some(3),
                job_id: (index == 0).then(|| "parts".into()),
                shared_objects: vec![SharedObject {
                    path: Some(path.to_owned().into()),
                    ..Default::default()
                }],
                ..Default::default()
            },
        )
    };
    for (index, path) in [(2, "/c"), (0, "/a"), (0, "/a"), (1, "/b")] {
        daemon.datagram(&part(index, path));
    }
    let lines = wait_for("the event", || Some(daemon.lines()).filter(|lines| !lines.is_empty()));
    assert_eq!(lines.len(), 1);
    let paths: Vec<&str> =
        lines[0]["shared_objects"].as_array().unwrap().iter().map(|o| o["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/a", "/b", "/c"]);
    assert_eq!(lines[0]["job_id"], "parts");
}

#[test]
fn parts_that_never_come_hold_nothing_back_for_ever() {
    let daemon = Daemon::start("[join]\nparts_wait = \"300ms\"\n");
    let part = ProcessInfo {
        event_id: Some(vec![4; 16].into()),
        part_index: Some(1),
        part_count: Some(2),
        job_id: Some("half".into()),
        ..Default::default()
    };
    daemon.datagram(&encode_frame(MessageType::ProcessInfo, &part));
    wait_for("half an event", || daemon.job_file("half.json"));
    assert_eq!(daemon.metric("ogrt_events_incomplete_total"), 1);
}

#[test]
fn an_end_joins_its_start() {
    let daemon = Daemon::start("");
    let id = Some(bytes::Bytes::from(vec![5; 16]));
    let start =
        ProcessInfo { event_id: id.clone(), job_id: Some("e".into()), pid: Some(7), ..Default::default() };
    let end = ProcessEnd {
        event_id: id,
        job_id: Some("e".into()),
        duration_ns: Some(1_000),
        max_rss_kib: Some(2_048),
        ..Default::default()
    };
    daemon.datagram(&encode_frame(MessageType::ProcessEnd, &end));
    daemon.datagram(&encode_frame(MessageType::ProcessInfo, &start));
    wait_for("both lines", || (daemon.lines().len() == 2).then_some(()));
    let (_, answer) = daemon.get("/v1/jobs/e");
    let expected = serde_json::json!({"duration_ns": 1_000, "max_rss_kib": 2_048, "told_by": "process"});
    assert_eq!(answer["processes"].as_array().unwrap().len(), 1);
    assert_eq!((&answer["processes"][0]["end"], &answer["processes"][0]["pid"]), (&expected, &7.into()));
    let types: Vec<Value> = daemon.lines().into_iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["end".into(), Value::Null]);
    let job = wait_for("both in the file", || {
        daemon.job_file("e.json").filter(|job| job["processes"].as_array().unwrap().len() == 2)
    });
    assert_eq!(job["processes"][0]["end"], expected);
}

#[test]
fn a_stream_ends_with_the_last_acknowledgement_that_it_announced() {
    let daemon = Daemon::start("");
    let connect = || std::net::TcpStream::connect(&daemon.tcp).unwrap();
    let announcing = |frames| Hello { frames: Some(frames), ..Hello::default() };

    let mut stream = Acknowledged::greet(connect(), &announcing(3)).unwrap();
    stream.send(&build_frame(1, "software")).unwrap();
    assert_eq!(stream.wait_for(1).unwrap(), 1);
    // Not at the first: two more were announced.
    stream.send(&[build_frame(2, "software"), build_frame(3, "software")].concat()).unwrap();
    assert_eq!(stream.wait_for(3).unwrap(), 3);
    assert_eq!(stream.wait_for(4).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);

    // More than was announced is taken when it is there.
    let mut stream = Acknowledged::greet(connect(), &announcing(1)).unwrap();
    stream.send(&[build_frame(4, "software"), build_frame(5, "software")].concat()).unwrap();
    let mut known = 1;
    while let Ok(durable) = stream.wait_for(known) {
        known = durable + 1;
    }
    assert!(stream.durable() >= 1);

    // Without a number it stays.
    let mut stream = Acknowledged::new(connect());
    for (signature, frames) in [(6, 1), (7, 2)] {
        stream.send(&build_frame(signature, "software")).unwrap();
        assert_eq!(stream.wait_for(frames).unwrap(), frames);
    }
    for signature in [1, 2, 3, 4, 6, 7] {
        let hex = format!("{signature:02x}").repeat(16);
        assert_eq!(daemon.get(&format!("/v1/builds/{hex}")).0, 200, "{hex}");
    }
}

#[test]
fn who_connects_early_is_answered_without_waiting_for_the_timer() {
    let every = Duration::from_millis(60);
    let daemon = Daemon::start("[receive]\npoll_every = \"60ms\"\nidle_poll_every = \"60ms\"\n");
    let mut waits: Vec<Duration> = (0..9)
        .map(|number| {
            // As a link does: it connects when its linker starts, and speaks when that has ended.
            let link = UnixStream::connect(&daemon.unix).unwrap();
            sleep(every * 2 + Duration::from_millis(10));
            let since = Instant::now();
            let mut link = Acknowledged::new(link);
            link.send(&build_frame(number, "early")).unwrap();
            link.wait_for(1).unwrap();
            since.elapsed()
        })
        .collect();
    waits.sort();
    println!("acknowledged after {waits:?}");
    assert!(waits[4] < every / 4, "{waits:?}");
}
