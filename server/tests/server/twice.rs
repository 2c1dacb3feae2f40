//! Events that come twice, as a datagram may, have the effect of one.

use crate::{
    backend::on_every_store,
    daemon::{Daemon, wait_for},
    process_events::{event, object},
};
use bytes::Bytes;
use ogrt_proto::{MessageType, ProcessEnd, ProcessInfo, encode_frame};
use serde_json::Value;

fn id(number: u64) -> Option<Bytes> {
    Some(uuid::Uuid::from_u64_pair(0x2222, number).as_bytes().to_vec().into())
}

fn start(number: u64, job: &str, path: &str) -> Bytes {
    let info = ProcessInfo {
        event_id: id(number),
        job_id: Some(job.to_owned().into()),
        binpath: Some(path.to_owned().into()),
        ..ProcessInfo::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

fn end(number: u64, job: &str, duration_ns: u64) -> Bytes {
    let end = ProcessEnd {
        event_id: id(number),
        job_id: Some(job.to_owned().into()),
        duration_ns: Some(duration_ns),
        ..ProcessEnd::default()
    };
    encode_frame(MessageType::ProcessEnd, &end)
}

/// Sends datagrams one by one, each when the one before was received.
fn send(daemon: &Daemon, datagrams: &[Bytes]) {
    for datagram in datagrams {
        let before = daemon.metric("ogrt_events_received_total");
        daemon.datagram(datagram);
        wait_for("the datagram", || (daemon.metric("ogrt_events_received_total") > before).then_some(()));
    }
}

/// Waits until the join has left this many out.
fn wait_for_repeated(daemon: &Daemon, count: u64) {
    wait_for("the repeated events", || (daemon.metric("ogrt_events_duplicate_total") == count).then_some(()));
}

#[test]
fn a_start_sent_twice_is_one_use() {
    let daemon = Daemon::start("[join]\nwait = \"0s\"\n");
    let (first, other) = (event(1, "uses", "alice", 3, &[1]), event(2, "uses", "alice", 3, &[1]));
    send(&daemon, &[first.clone(), other, first]);
    wait_for_repeated(&daemon, 1);
    let ended = ProcessEnd {
        event_id: id(9),
        job_id: Some("uses".into()),
        shared_objects: vec![object(1)],
        ..ProcessEnd::default()
    };
    let ended = encode_frame(MessageType::ProcessEnd, &ended);
    send(&daemon, &[ended.clone(), ended]);
    wait_for_repeated(&daemon, 2);
    let total = wait_for("the uses", || {
        let (_, json) = daemon.get("/v1/uses/01010101-0101-0101-0101-010101010101");
        (json["total"]["loaded_later"].as_u64() >= Some(1)).then(|| json["total"].clone())
    });
    assert_eq!((&total["processes"], &total["loaded_later"]), (&2.into(), &1.into()));
}

#[test]
fn a_part_that_comes_again_when_its_event_is_whole_makes_no_second_event() {
    let daemon = Daemon::start("[join]\nparts_wait = \"200ms\"\n");
    let part = |index: u32| {
        let info = ProcessInfo {
            event_id: id(1),
            job_id: Some("parts".into()),
            part_index: Some(index),
            part_count: Some(2),
            ..ProcessInfo::default()
        };
        encode_frame(MessageType::ProcessInfo, &info)
    };
    send(&daemon, &[part(0), part(1)]);
    wait_for("the event", || (daemon.lines().len() == 1).then_some(()));
    send(&daemon, &[part(0)]);
    wait_for_repeated(&daemon, 1);
    // One that comes after it is written after it.
    send(&daemon, &[start(2, "parts", "/sw/b")]);
    wait_for("the next event", || (daemon.lines().len() > 1).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(daemon.lines().len(), 2, "{:?}", daemon.lines());
    assert_eq!(daemon.metric("ogrt_events_incomplete_total"), 0);
}

#[test]
fn an_end_sent_twice_of_a_start_that_the_filter_dropped_is_dropped_twice() {
    let daemon = Daemon::start("[[filter]]\npath = \"^/usr/bin/\"\n");
    let end = end(1, "filtered", 7);
    send(&daemon, &[start(1, "filtered", "/usr/bin/true"), end.clone(), end]);
    wait_for_repeated(&daemon, 1);
    send(&daemon, &[start(2, "filtered", "/sw/b")]);
    wait_for("the process that is kept", || (!daemon.lines().is_empty()).then_some(()));
    assert_eq!(daemon.lines()[0]["binpath"], "/sw/b");
    assert_eq!(daemon.lines().len(), 1);
}

#[test]
fn what_somebody_claims_keeps_out_nothing_that_the_kernel_proves() {
    let daemon = Daemon::start("");
    send(&daemon, &[start(1, "proved", "/sw/a")]);
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let path = daemon.unix.with_extension("dgram");
    let path = if path.exists() { path } else { format!("{}.dgram", daemon.unix.display()).into() };
    socket.send_to(&start(1, "proved", "/sw/a"), path).unwrap();
    wait_for("both lines", || (daemon.lines().len() == 2).then_some(()));
    let identities: Vec<Value> = daemon.lines().into_iter().map(|line| line["identity"].clone()).collect();
    assert_eq!(identities, ["claimed", "kernel"]);
}

on_every_store! {
fn a_start_sent_twice_is_one_process_and_its_end_is_with_it(backend) {
    let daemon = backend.start("");
    let first = start(1, "twice", "/sw/a");
    let (other, end) = (start(2, "twice", "/sw/b"), end(1, "twice", 7));
    send(&daemon, &[first.clone(), first, other, end.clone(), end]);
    wait_for_repeated(&daemon, 2);
    let (_, answer) = daemon.get("/v1/jobs/twice");
    let process = |process: &Value| (process["binpath"].clone(), process["end"]["duration_ns"].clone());
    let processes: Vec<_> = answer["processes"].as_array().unwrap().iter().map(process).collect();
    assert_eq!(processes, [("/sw/a".into(), 7.into()), ("/sw/b".into(), Value::Null)]);
    // Each is in the files once.
    wait_for("three lines", || (daemon.lines().len() == 3).then_some(()));
    let job = wait_for("the job's file", || {
        daemon.job_file("twice.json").filter(|job| job["processes"].as_array().unwrap().len() >= 3)
    });
    assert_eq!(job["processes"].as_array().unwrap().len(), 3, "{job}");
}
}
