//! Answers that are large because of what is in them: a few processes, builds or installations,
//! each as large as a message may be. Many readers at once cost bounded memory, and so does an
//! event that names much.

use crate::{
    backend::on_every_backend,
    daemon::{Daemon, build, wait_for},
    registry::signature_text,
    security::token,
};
use ogrt_proto::{
    BuildRecord, Installation, InstalledFile, MessageType, Note, ProcessInfo, SharedObject, encode_frame,
};
use prost::Message;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

const MEBIBYTE: usize = 1 << 20;

/// Asks many times at once, reads nothing for a while, then all; the answers' statuses and bodies,
/// and by how much the server's memory grew.
fn read_late(daemon: &Daemon, path: &str, readers: usize) -> (Vec<(u16, Vec<u8>)>, u64) {
    let memory = || daemon.metric("process_resident_memory_bytes");
    let before = memory();
    let ask = |_| {
        let mut stream = TcpStream::connect(&daemon.http).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let streams: Vec<TcpStream> = (0..readers).map(ask).collect();
    let (mut largest, since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(1500) {
        largest = largest.max(memory());
        sleep(Duration::from_millis(50));
    }
    let answers = std::thread::scope(|scope| {
        let read = |mut stream: TcpStream| {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
            let head = String::from_utf8_lossy(&answer[..end]).into_owned();
            (head.split(' ').nth(1).unwrap().parse().unwrap(), answer.split_off(end + 4))
        };
        let readers: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || read(stream))).collect();
        while readers.iter().any(|reader| !reader.is_finished()) {
            largest = largest.max(memory());
            sleep(Duration::from_millis(50));
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    (answers, largest.saturating_sub(before))
}

fn assert_grew_little(grown: u64, mebibytes: u64) {
    assert!(grown < mebibytes << 20, "{} MiB more than before", grown >> 20);
}

fn count(text: &[u8], what: &str) -> usize {
    String::from_utf8_lossy(text).matches(what).count()
}

#[test]
fn a_job_of_few_large_processes_is_read_by_many() {
    let daemon = Daemon::start("");
    let mut stream = daemon.acknowledged();
    for number in 0..60u64 {
        let info = ProcessInfo {
            event_id: Some(uuid::Uuid::from_u64_pair(5, number).as_bytes().to_vec().into()),
            job_id: Some("large".into()),
            binpath: Some(format!("/sw/large/{number}").into()),
            // It compresses well, so that the job takes little of the disk.
            working_directory: (number % 2 == 0).then(|| vec![b'w'; MEBIBYTE].into()),
            ..ProcessInfo::default()
        };
        stream.send(&encode_frame(MessageType::ProcessInfo, &info)).unwrap();
    }
    stream.wait_for(60).unwrap();
    wait_for("the job to be kept", || (daemon.metric("ogrt_jobs_lag_batches") == 0).then_some(()));
    let (answers, grown) = read_late(&daemon, "/v1/jobs/large", 12);
    for (status, body) in answers {
        assert_eq!((status, count(&body, "/sw/large/")), (200, 60));
        assert!(body.ends_with(b"0\r\n\r\n"), "an answer that broke off");
    }
    assert_grew_little(grown, 128);
}

#[test]
fn an_event_that_names_one_long_build_many_times_is_a_small_document() {
    let daemon = Daemon::start("[join]\nwait = \"0s\"\n");
    let name = "n".repeat(MEBIBYTE);
    let numbers = 1..=20u8;
    for number in numbers.clone() {
        assert_eq!(daemon.http("POST", "/v1/builds", &build(number, &name).encode_to_vec()).0, 201);
    }
    let note = |signature: Vec<u8>| Note { signature: Some(signature.into()), ..Note::default() };
    let object = |notes: Vec<Note>| SharedObject { notes, ..SharedObject::default() };
    let distinct = |number: u64| note(uuid::Uuid::from_u64_pair(6, number).as_bytes().to_vec());
    let before = daemon.metric("process_resident_memory_bytes");
    for (job, objects) in [
        ("often", (0..20_000).map(|_| object(vec![note(vec![1; 16])])).collect::<Vec<_>>()),
        // One file that says it has very many signatures.
        ("many", vec![object((0..60_000).map(distinct).collect()), object(vec![note(vec![1; 16])])]),
    ] {
        let info = ProcessInfo {
            job_id: Some(job.to_owned().into()),
            shared_objects: objects,
            ..ProcessInfo::default()
        };
        let since = Instant::now();
        crate::process_events::send(&daemon, &[encode_frame(MessageType::ProcessInfo, &info)]);
        let answer = wait_for("the job", || {
            let (status, body) = daemon.http("GET", &format!("/v1/jobs/{job}"), &[]);
            (status == 200).then_some(body)
        });
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
        assert!(answer.len() < 12 * MEBIBYTE, "{} bytes", answer.len());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let process = &answer["processes"][0];
        assert_eq!(process["incomplete"], json!(["builds"]), "{job}");
        let first = if job == "often" { 0 } else { 1 };
        let shown = process["shared_objects"][first]["build"]["name"].as_str().unwrap();
        assert!(shown.len() < 100 && shown.ends_with('…'), "{shown}");
    }
    // Lists are small as well, and the record has all of it.
    let (status, list) = daemon.http("GET", "/v1/builds?limit=10000", &[]);
    assert!(status == 200 && list.len() < 64 << 10, "{status}, {} bytes", list.len());
    assert_eq!(daemon.get(&format!("/v1/builds?name={}", "n".repeat(2000))).1["builds"], json!([]));
    let whole = daemon.get(&format!("/v1/builds/{}", signature_text(1))).1;
    assert_eq!(whole["metadata"]["name"], *name);
    assert_grew_little(daemon.metric("process_resident_memory_bytes").saturating_sub(before), 160);
}

on_every_backend! {
    fn large_records_are_read_and_exported_in_bounded_memory(backend) {
        let daemon = backend.start("");
        for number in 1..=20u8 {
            assert!(matches!(daemon.http("POST", "/v1/builds", &build(number, "small").encode_to_vec()).0, 201 | 202));
        }
        for number in 21..=26u8 {
            let length = if number == 21 { 4 } else { 2 } * MEBIBYTE;
            let large = BuildRecord { working_directory: Some(vec![b'w'; length].into()), ..build(number, "large") };
            assert!(matches!(daemon.http("POST", "/v1/builds", &large.encode_to_vec()).0, 201 | 202));
        }
        daemon.registrations_are_settled();
        let (answers, grown) = read_late(&daemon, &format!("/v1/builds/{}", signature_text(21)), 8);
        for (status, body) in answers {
            assert!(status == 200 && body.len() > 4 * MEBIBYTE, "{status}, {} bytes", body.len());
        }
        assert_grew_little(grown, 112);
        let (answers, grown) = read_late(&daemon, "/v1/export", 3);
        for (status, body) in answers {
            assert_eq!((status, count(&body, "\"registered_ns\"")), (200, 52));
            assert!(body.ends_with(b"0\r\n\r\n"), "an answer that broke off");
        }
        assert_grew_little(grown, 112);
    }

    fn a_page_of_large_installations_or_withdrawals_ends_early(backend) {
        let daemon = backend.start("");
        let file = |number: u32| InstalledFile {
            path: Some(format!("{number}{}", "p".repeat(500)).into()),
            signatures: Vec::new(),
        };
        for number in 0..12 {
            let installation = Installation {
                prefix: Some(format!("/sw/{number}").into()),
                time_ns: Some(number + 1),
                files: (0..if number % 3 == 0 { 1 } else { 3000 }).map(file).collect(),
                ..Installation::default()
            };
            assert_eq!(daemon.http("POST", "/v1/installations", &installation.encode_to_vec()).0, 201);
        }
        let (mut prefixes, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (status, body) = daemon.http("GET", &format!("/v1/installations?limit=1000{cursor}"), &[]);
            assert!(status == 200 && body.len() < 8 * MEBIBYTE, "{status}, {} bytes", body.len());
            let page: Value = serde_json::from_slice(&body).unwrap();
            let of_page = page["installations"].as_array().unwrap();
            prefixes.extend(of_page.iter().map(|one| one["prefix"].as_str().unwrap().to_owned()));
            pages += 1;
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(prefixes, (0..12).rev().map(|number| format!("/sw/{number}")).collect::<Vec<_>>());
        assert!((3..=8).contains(&pages), "{pages} pages");

        let operator = token(&daemon.path().join("data"), &["add", "operator", "--scope", "administer"]);
        let header = format!("authorization: Bearer {operator}\r\n");
        for number in 1..=4u8 {
            let large = BuildRecord { working_directory: Some(vec![b'w'; 3 * MEBIBYTE].into()), ..build(number, "x") };
            assert!(matches!(daemon.http("POST", "/v1/builds", &large.encode_to_vec()).0, 201 | 202));
            daemon.registrations_are_settled();
            let path = format!("/v1/builds/{}", signature_text(number));
            wait_for("the withdrawal", || {
                (daemon.http_with("DELETE", &path, &header, &[]).0 == 200).then_some(())
            });
        }
        let of = |question: &str| {
            let answer = daemon.get(&format!("/v1/withdrawals{question}")).1;
            (answer["withdrawals"].as_array().unwrap().len(), answer["truncated"].clone())
        };
        assert_eq!(of("?limit=1000"), (1, json!(true)));
        assert_eq!(of("?limit=1"), (1, json!(true)));
    }
}
