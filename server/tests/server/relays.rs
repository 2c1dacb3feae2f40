//! Relays share what is kept: who floods behind one pushes out nobody else, and a relay that
//! invents users pushes out none of another's.

use crate::{
    daemon::{Acknowledged, Daemon, wait_for},
    identity::output_to,
    process_events::event,
    registry::{linked, register, signature_text},
};
use bytes::Bytes;
use ogrt_proto::{Hello, MessageType, ProcessInfo, Provenance, encode_frame};
use prost::Message;
use serde_json::Value;
use std::{fs, net::TcpStream, thread::sleep, time::Duration};

/// A server with small bounds.
fn server() -> Daemon {
    Daemon::start(
        "[follow]\nprocesses_max = 0\n[join]\nwait = \"0s\"\n[uses]\nwrite_every = \"50ms\"\n\
         programs_max = 800\nrows_max = 1500\n[jobs]\nbytes_max = \"1MiB\"\n",
    )
}

/// A stream of a relay, and how many events it has sent.
struct RelayStream {
    stream: Acknowledged<TcpStream>,
    sent: u64,
}

impl RelayStream {
    /// One of the relay with this name, which has a token of the server.
    fn new(server: &Daemon, name: &str) -> Self {
        output_to(server, Some(name));
        let token = fs::read_to_string(server.path().join(format!("token-{name}"))).unwrap();
        sleep(TOKEN_KNOWN);
        let hello = Hello { token: Some(token.trim().to_owned()), ..Hello::default() };
        let stream = TcpStream::connect(&server.tcp).unwrap();
        RelayStream { stream: Acknowledged::greet(stream, &hello).unwrap(), sent: 0 }
    }
}

/// A start of a user whom the relay's kernel has proved.
fn start(number: u32, uid: u32, path: &str, job: &str, program: u8) -> Bytes {
    let frame = event(number, job, "name", program, &[]);
    let mut info = ProcessInfo::decode(&frame[8..]).unwrap();
    info.binpath = Some(path.to_owned().into());
    info.hostname = Some("node".into());
    info.start_time_ns = None;
    info.uid = Some(uid);
    // The relay makes the name of the uid.
    info.username = Some(format!("user{uid}").into());
    // So that it does not compress away.
    info.arguments = vec![uuid::Uuid::new_v4().as_bytes().to_vec().into(); 4];
    info.provenance =
        Some(Provenance { pid: Some(number), uid: Some(uid), gid: Some(1), ..Provenance::default() });
    encode_frame(MessageType::ProcessInfo, &info)
}

/// The server reads its tokens again every two seconds.
const TOKEN_KNOWN: Duration = Duration::from_millis(2500);

/// Users who have something before a flood.
const ANN: u32 = 70_001;
const BOB: u32 = 70_002;

/// Sends events, by a stream that counts what it sent.
fn send(stream: &mut RelayStream, events: impl IntoIterator<Item = Bytes>) {
    for event in events {
        stream.stream.send(&event).unwrap();
        stream.sent += 1;
    }
    stream.stream.wait_for(stream.sent).unwrap();
}

fn uses(daemon: &Daemon, signature: u8) -> Value {
    let (_, mut answer) = daemon.get(&format!("/v1/uses/{}", signature_text(signature)));
    answer.as_object_mut().map(|answer| answer.remove("counted_until_ns"));
    answer
}

fn names_over(daemon: &Daemon, bound: &str) -> Vec<String> {
    let text = String::from_utf8(daemon.http("GET", "/metrics", &[]).1).unwrap();
    let begin = format!("ogrt_sender_over_share_total{{bound=\"{bound}\",sender=\"");
    let name = |line: &str| Some(line.strip_prefix(&begin)?.split('"').next()?.to_owned());
    text.lines().filter_map(name).collect()
}

/// Each of these users has a hundred programs in a hundred jobs.
fn settle(daemon: &Daemon, streams: &mut [(&mut RelayStream, u32, u8)]) -> Vec<Value> {
    let signatures: Vec<u8> = streams.iter().map(|(_, _, signature)| *signature).collect();
    for (stream, uid, signature) in streams {
        let one = |n: u32| {
            let path = format!("/sw/{signature}/{n}");
            start(u32::from(*signature) * 1000 + n, *uid, &path, &format!("j{signature}-{n}"), *signature)
        };
        send(stream, (0..100).map(one));
    }
    wait_for("the counts", || {
        signatures.iter().all(|one| uses(daemon, *one)["total"]["processes"] == 100).then_some(())
    });
    signatures.iter().map(|one| uses(daemon, *one)).collect()
}

fn is_as_before(daemon: &Daemon, signatures: &[u8], before: &[Value]) {
    for (signature, before) in signatures.iter().zip(before) {
        assert_eq!(uses(daemon, *signature), *before, "not one is missing, and nothing is truncated");
        for number in [0, 57, 99] {
            let (status, job) = daemon.get(&format!("/v1/jobs/j{signature}-{number}"));
            assert_eq!((status, &job["truncated"]), (200, &Value::Null), "{signature} {number}");
        }
    }
}

#[test]
fn a_relay_that_invents_users_pushes_out_nobody_behind_another_one() {
    let daemon = server();
    register(&daemon, &[linked(1, "good", vec![]), linked(2, "other", vec![])]);
    let mut rack = RelayStream::new(&daemon, "rack1");
    let mut liar = RelayStream::new(&daemon, "liar");
    let mut rack_too = RelayStream::new(&daemon, "rack2");
    let before = settle(&daemon, &mut [(&mut rack, ANN, 1), (&mut rack_too, BOB, 2)]);
    for begin in (0..10_000).step_by(500) {
        let lie = |n: u32| start(100_000 + n, n, &format!("/t/{n}"), &format!("x{n}"), 3);
        send(&mut liar, (begin..begin + 500).map(lie));
    }
    for bound in ["uses.programs_max", "jobs.bytes_max"] {
        let names = wait_for("what is over to be told", || {
            uses(&daemon, 3);
            Some(names_over(&daemon, bound)).filter(|names| !names.is_empty())
        });
        assert!(names.len() <= 51, "{names:?}");
        let is_liar = |name: &String| name.ends_with("relay liar") || name.ends_with("behind relays");
        assert!(names.iter().all(is_liar), "{bound}: {names:?}");
    }
    is_as_before(&daemon, &[1, 2], &before);
    // Somebody new behind another relay has room.
    register(&daemon, &[linked(4, "new", vec![])]);
    send(&mut rack, [start(900_000, 70_003, "/sw/new", "new", 4)]);
    wait_for("the newcomer", || (uses(&daemon, 4)["total"]["jobs"] == 1).then_some(()));
}

#[test]
fn a_user_who_floods_pushes_out_nobody_else_behind_the_same_relay_nor_elsewhere() {
    let daemon = server();
    register(&daemon, &[linked(1, "good", vec![]), linked(2, "other", vec![])]);
    let mut rack = RelayStream::new(&daemon, "rack1");
    let mut rack_too = RelayStream::new(&daemon, "rack2");
    let before = settle(&daemon, &mut [(&mut rack, ANN, 1), (&mut rack_too, BOB, 2)]);
    for begin in (0..10_000).step_by(500) {
        let flood = |n: u32| start(100_000 + n, 4, &format!("/t/{n}"), &format!("x{n}"), 3);
        send(&mut rack, (begin..begin + 500).map(flood));
    }
    for bound in ["uses.programs_max", "jobs.bytes_max"] {
        let names = wait_for("what is over to be told", || {
            uses(&daemon, 3);
            Some(names_over(&daemon, bound)).filter(|names| !names.is_empty())
        });
        assert!(names.len() == 1 && names[0].ends_with("behind relay rack1"), "{names:?}");
    }
    is_as_before(&daemon, &[1, 2], &before);
    register(&daemon, &[linked(4, "new", vec![])]);
    send(&mut rack, [start(900_000, 70_003, "/sw/new", "new", 4)]);
    wait_for("the newcomer", || (uses(&daemon, 4)["total"]["jobs"] == 1).then_some(()));
}
