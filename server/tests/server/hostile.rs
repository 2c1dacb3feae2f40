//! Whatever comes to the ports, the server goes on serving others.

use crate::daemon::{Daemon, OGRT_0_5, build, wait_for};
use ogrt_proto::{MessageType, ProcessInfo, encode_frame};
use prost::Message;
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::{UnixDatagram, UnixStream},
    time::{Duration, Instant},
};

/// An answer, a reset or an end within a second: the peer was closed.
fn is_closed(mut stream: impl Read) -> bool {
    let since = Instant::now();
    let end = stream.read(&mut [0; 16]);
    matches!(end, Ok(0) | Err(_)) && since.elapsed() < Duration::from_secs(5)
}

fn serves(daemon: &mut Daemon) {
    assert!(daemon.is_running(), "{}", daemon.log());
    let before = daemon.lines().len();
    daemon.datagram(OGRT_0_5);
    wait_for("a good event", || (daemon.lines().len() > before).then_some(()));
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn garbage_closes_a_stream_with_one_line_that_names_the_peer() {
    let mut daemon = Daemon::start("");
    let giant = [&[0, 0, 0, 12][..], &u32::MAX.to_be_bytes(), &[0; 100]].concat();
    let no_protobuf = [&[0, 0, 0, 12][..], &4u32.to_be_bytes(), &[0xFF; 4]].concat();
    let an_ack = [&[0, 0, 0, 101][..], &0u32.to_be_bytes()].concat();
    for garbage in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &giant, &no_protobuf, &an_ack, &[0xFF; 4096]] {
        let mut tcp = TcpStream::connect(&daemon.tcp).unwrap();
        let peer = tcp.local_addr().unwrap().to_string();
        tcp.write_all(garbage).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(is_closed(tcp));
        wait_for("a line in the log", || daemon.log().contains(&peer).then_some(()));
        assert_eq!(daemon.log().matches(&peer).count(), 1);
        let mut unix = UnixStream::connect(&daemon.unix).unwrap();
        unix.write_all(garbage).unwrap();
        unix.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(is_closed(unix));
        daemon.datagram(garbage);
        let _ = UnixDatagram::unbound().unwrap().send_to(garbage, format!("{}.dgram", daemon.unix.display()));
        let mut http = TcpStream::connect(&daemon.http).unwrap();
        let _ = http.write_all(garbage);
    }
    wait_for("counts", || (daemon.metric("ogrt_protocol_errors_total") == 20).then_some(()));
    serves(&mut daemon);
}

#[test]
fn every_cut_and_every_flipped_byte_of_an_event_is_survived() {
    let mut daemon = Daemon::start("");
    for at in 0..OGRT_0_5.len() {
        daemon.datagram(&OGRT_0_5[..at]);
        let mut flipped = OGRT_0_5.to_vec();
        flipped[at] ^= 0xFF;
        daemon.datagram(&flipped);
    }
    serves(&mut daemon);
}

#[test]
fn a_stream_that_drips_is_closed_and_one_that_is_silent_costs_nothing() {
    let mut daemon = Daemon::start("[receive]\nmessage_timeout = \"400ms\"\nidle_timeout = \"1s\"\n");
    let mut drip = TcpStream::connect(&daemon.tcp).unwrap();
    let silent = TcpStream::connect(&daemon.tcp).unwrap();
    for byte in &OGRT_0_5[..40] {
        if drip.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    assert!(is_closed(drip));
    assert!(is_closed(silent));
    assert!(daemon.log().contains("not completed within 400ms"), "{}", daemon.log());
    serves(&mut daemon);
}

#[test]
fn hundreds_of_silent_connections_leave_room_for_good_ones() {
    let mut daemon = Daemon::start("");
    let memory = daemon.metric("process_resident_memory_bytes");
    let idle: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(&daemon.tcp).unwrap()).collect();
    serves(&mut daemon);
    let mut stream = daemon.acknowledged();
    stream.send(OGRT_0_5).unwrap();
    stream.wait_for(1).unwrap();
    let grown = daemon.metric("process_resident_memory_bytes").saturating_sub(memory);
    assert!(grown < 20 << 20, "{} bytes for {} connections", grown, idle.len());
}

#[test]
fn hostile_job_ids_stay_in_the_directory_and_apart() {
    let daemon = Daemon::start("");
    let long = "x".repeat(3000);
    let ids: [&[u8]; 9] = [
        b"",
        b"no-job",
        b"../../../etc/passwd",
        b"a/b",
        b"..",
        b"a\0b",
        b"\xFF\xFE",
        b"4711[1].srv",
        long.as_bytes(),
    ];
    for id in ids {
        let info = ProcessInfo {
            job_id: Some(id.to_vec().into()),
            pid: Some(id.len() as i32),
            ..Default::default()
        };
        daemon.datagram(&encode_frame(MessageType::ProcessInfo, &info));
    }
    let names = wait_for("a file for each", || {
        let names: Vec<_> = std::fs::read_dir(daemon.path().join("jobs"))
            .ok()?
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            // One that is only being made has no name of its own yet.
            .filter(|name| !name.starts_with('.'))
            .collect();
        let has_process = |name: &String| {
            daemon.job_file(name).is_some_and(|job| !job["processes"].as_array().unwrap().is_empty())
        };
        (names.len() == ids.len() && names.iter().all(has_process)).then_some(names)
    });
    for name in names {
        let job = daemon.job_file(&name).unwrap();
        assert_eq!(job["processes"].as_array().unwrap().len(), 1, "{name:?}");
    }
    assert_eq!(daemon.job_file("4711[1].srv.json").unwrap()["job_id"], "4711[1].srv");
    assert_eq!(daemon.get("/v1/jobs/4711%5B1%5D.srv").0, 200);
    assert_eq!(daemon.get("/v1/jobs/a%2Fb").1["job_id"], "a/b");
    assert_eq!(daemon.get("/v1/jobs/unknown").0, 404);
}

#[test]
fn each_job_id_has_an_answer_of_its_own_and_each_log_line_is_ours() {
    let daemon = Daemon::start("");
    let long = |last: &str| format!("{}{last}", "a".repeat(1024));
    let (x, y) = (long("x"), long("y"));
    // The name that answers have.
    let ids: [(&[u8], &str); 10] = [
        (b"\xFF\xFE", "%FF%FE"),
        (b"%FF%FE", "%25FF%25FE"),
        (b"no-job", "%6Eo-job"),
        (b"", "no-job"),
        (b"a\nb", "a%0Ab"),
        (b"a b", "a b"),
        (b"..", "%2E."),
        (b"\xC3\xA4", "\u{e4}"),
        (x.as_bytes(), &x),
        (y.as_bytes(), &y),
    ];
    let address = |name: &str| name.replace('%', "%25").replace(' ', "%20").replace('\u{e4}', "%C3%A4");
    for (pid, (id, _)) in ids.iter().enumerate() {
        let start = ProcessInfo {
            pid: Some(pid as i32 + 1),
            job_id: Some(id.to_vec().into()),
            ..ProcessInfo::default()
        };
        daemon.datagram(&encode_frame(MessageType::ProcessInfo, &start));
    }
    let pids = |path: &str| {
        let answer = daemon.get(&format!("/v1/jobs/{path}")).1;
        let processes = answer["processes"].as_array().cloned().unwrap_or_default();
        processes.iter().filter_map(|process| process["pid"].as_u64()).collect::<Vec<_>>()
    };
    for (at, (id, name)) in ids.iter().enumerate() {
        let path = address(name);
        wait_for("the job", || (!pids(&path).is_empty()).then_some(()));
        assert_eq!(pids(&path), [at as u64 + 1], "{path}");
        let answer = daemon.get(&format!("/v1/jobs/{path}")).1;
        let shown = answer["job_id"].as_str().unwrap();
        assert!(shown == *name || (id.len() > 1024 && shown.contains("%%")), "{answer}");
        assert_eq!(pids(&address(shown)), [at as u64 + 1], "asked by the name that is answered");
        let in_document = answer["processes"][0]["job_id"].as_str();
        assert_eq!(in_document, Some(shown).filter(|_| !id.is_empty()), "{answer}");
    }
    // The files: each with its job alone, and with the job's name in it.
    let files: Vec<Value> = std::fs::read_dir(daemon.path().join("jobs"))
        .unwrap()
        .map(|file| serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap())
        .collect();
    assert_eq!(files.len(), ids.len());
    for file in files {
        let [process] = &file["processes"].as_array().unwrap()[..] else { panic!("{file}") };
        assert_eq!(file["job_id"], process["job_id"].as_str().unwrap_or_default());
    }
    // The bytes themselves, too, where they are not another job's name.
    assert_eq!((pids("%FF%FE"), pids("a%0Ab")), (vec![1], vec![5]));

    let bad = "ann\r\nFORGED  INFO all is well \u{1b}[31m\u{9b}\u{202e}";
    for version in ["1", "2"] {
        let mut record = build(7, version);
        (record.username, record.hostname) = (Some(bad.into()), Some(bad.into()));
        daemon.http("POST", "/v1/builds", &record.encode_to_vec());
    }
    wait_for("the refusal", || daemon.log().contains("is refused").then_some(()));
    let log = daemon.log().replace('\r', "\n");
    assert!(log.contains("FORGED") && !log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{log}");
}
