//! What the registry knows of builds, asked over HTTP. Every test runs on every backend.

use crate::{
    backend::{Backend, on_every_backend},
    daemon::{Daemon, SERVER, build, wait_for},
};
use bytes::Bytes;
use ogrt_proto::{BuildRecord, Compiler, FileKind, Input, MessageType, Output, encode_frame};
use prost::Message;
use serde_json::Value;
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// A digest that is this byte all over.
pub fn digest(byte: u8) -> Bytes {
    vec![byte; 32].into()
}

/// The same as text.
pub fn digest_text(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

/// The signature that is this byte all over, as text.
pub fn signature_text(byte: u8) -> String {
    uuid::Uuid::from_bytes([byte; 16]).to_string()
}

/// A build with this signature; what comes out has the digest of the same byte.
pub fn linked(signature: u8, name: &str, inputs: Vec<Input>) -> BuildRecord {
    let output = Output {
        path: Some(format!("/opt/{name}").into()),
        sha256: Some(digest(signature)),
        build_id: Some(vec![0xB0, signature].into()),
        kind: Some(FileKind::SharedLibrary as i32),
        ..Output::default()
    };
    BuildRecord { inputs, output: Some(output), uid: Some(1001), ..build(signature, name) }
}

/// An input that carries the signature of a build.
pub fn marked(signature: u8) -> Input {
    Input {
        path: Some("/opt/lib.so".into()),
        // Stripped after its link: only the signature tells what it is.
        sha256: Some(digest(signature ^ 0x80)),
        signatures: vec![vec![signature; 16].into()],
        kind: Some(FileKind::SharedLibrary as i32),
        ..Input::default()
    }
}

/// An input that only its digest tells of.
pub fn plain(byte: u8, kind: FileKind) -> Input {
    Input {
        path: Some("/opt/plain".into()),
        sha256: Some(digest(byte)),
        kind: Some(kind as i32),
        ..Input::default()
    }
}

/// A stack of builds: libfoo.a (digest F0) is in liba (1), which is in libb (2), which is in app
/// (3) by its digest alone. The build other (4) has only what all have (digest FE).
pub fn stack() -> Vec<BuildRecord> {
    let crt = || plain(0xFE, FileKind::Object);
    vec![
        linked(1, "liba", vec![crt(), plain(0xF0, FileKind::Archive)]),
        linked(2, "libb", vec![crt(), marked(1)]),
        linked(3, "app", vec![crt(), plain(2, FileKind::SharedLibrary)]),
        linked(4, "other", vec![crt()]),
    ]
}

/// Registers, and waits until all of it is known.
pub fn register(daemon: &Daemon, records: &[BuildRecord]) {
    let mut stream = daemon.acknowledged();
    for record in records {
        stream.send(&encode_frame(MessageType::BuildRecord, record)).unwrap();
    }
    stream.wait_for(records.len() as u64).unwrap();
    daemon.registrations_are_settled();
}

/// First bytes of the signatures in a list.
pub fn signatures(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|build| build["signature"].as_str().unwrap()[..2].to_owned()).collect()
}

fn listed(daemon: &Daemon, question: &str) -> Vec<String> {
    let (status, json) = daemon.get(&format!("/v1/builds{question}"));
    assert_eq!(status, 200, "{question}: {json}");
    signatures(&json["builds"])
}

fn dependents(daemon: &Daemon, what: &str) -> Vec<(String, u64)> {
    let (status, json) = daemon.get(&format!("/v1/dependents/{what}"));
    assert_eq!(status, 200, "{what}: {json}");
    assert_eq!(json["count"], json["builds"].as_array().unwrap().len());
    let depths = json["builds"].as_array().unwrap().iter().map(|build| build["depth"].as_u64().unwrap());
    signatures(&json["builds"]).into_iter().zip(depths).collect()
}

fn deep(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(signature, depth)| ((*signature).to_owned(), *depth)).collect()
}

on_every_backend! {
    fn what_contains_something_is_found_however_deep(backend) {
        // In whichever order the builds come: a spool may deliver what was linked first last.
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let daemon = backend.start("");
            let stack = stack();
            for at in order {
                register(&daemon, &stack[at..=at]);
            }
            let libfoo = digest_text(0xF0);
            assert_eq!(dependents(&daemon, &libfoo), deep(&[("01", 1), ("02", 2), ("03", 3)]), "{order:?}");
            assert_eq!(dependents(&daemon, &signature_text(1)), deep(&[("02", 1), ("03", 2)]));
            assert_eq!(dependents(&daemon, &digest_text(1)), deep(&[("02", 1), ("03", 2)]));
            assert_eq!(dependents(&daemon, &digest_text(2)), deep(&[("03", 1)]));
            assert_eq!(dependents(&daemon, &signature_text(3)), deep(&[]));
            let direct = format!("{libfoo}?depth=1");
            assert_eq!(dependents(&daemon, &direct), deep(&[("01", 1)]));
            let mut all = listed(&daemon, &format!("?input_sha256={libfoo}&transitive=true"));
            all.sort();
            assert_eq!(all, ["01", "02", "03"]);
            assert_eq!(
                listed(&daemon, &format!("?input_signature={}&transitive=true&name=app", signature_text(1))),
                ["03"]
            );
            assert_eq!(listed(&daemon, &format!("?input_sha256={libfoo}")), ["01"]);
        }
    }

    fn what_is_unknown_is_not_found_and_what_is_malformed_is_refused(backend) {
        let daemon = backend.start("");
        register(&daemon, &stack());
        for (path, status) in [
            ("/v1/dependents/09090909-0909-0909-0909-090909090909".to_owned(), 404),
            (format!("/v1/dependents/{}", digest_text(0x77)), 404),
            ("/v1/dependents/nonsense".into(), 400),
            (format!("/v1/dependents/{}?depth=x", digest_text(1)), 400),
            (format!("/v1/dependents/{}?deep=1", digest_text(1)), 400),
            (format!("/v1/builds?input_sha256={}x", digest_text(1)), 400),
            ("/v1/builds?transitive=true".into(), 400),
            ("/v1/builds?flag=-I%2Fusr".into(), 400),
            ("/v1/builds?build_id=xyz".into(), 400),
            ("/v1/builds?cursor=1".into(), 400),
            ("/v1/builds?limit=-1".into(), 400),
            ("/v1/uses/%F0%9F%92%A9".into(), 400),
            ("/v1/nothing".into(), 404),
        ] {
            let (answered, problem) = daemon.get(&path);
            assert_eq!(answered, status, "{path}: {problem}");
            assert_eq!(problem["status"], status);
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.contains('\n')), "{problem}");
        }
    }

    fn builds_are_found_by_all_that_they_are(backend) {
        let daemon = backend.start("");
        let mut fast = linked(5, "fast", vec![plain(0xFE, FileKind::Object)]);
        fast.driver_command = ["gcc", "-O2", "-o", "fast"].map(Into::into).to_vec();
        fast.compilers = vec![Compiler {
            producer: Some("GNU Fortran2008 13.2.0 -mtune=generic -Ofast".into()),
            inputs: Some(2),
        }];
        fast.username = Some("alice".into());
        register(&daemon, &stack());
        register(&daemon, &[fast]);
        for (question, found) in [
            ("?name=app", vec!["03"]),
            ("?name=app&version=1.2.3", vec!["03"]),
            ("?version=1.2.3&limit=2", vec!["05", "04"]),
            ("?version=1.2", vec![]),
            ("?user=alice", vec!["05"]),
            ("?user=1001&limit=1", vec!["05"]),
            ("?user=easybuild&name=", vec!["04", "03", "02", "01"]),
            ("?flag=-Ofast", vec!["05"]),
            ("?flag=-O2", vec!["05"]),
            ("?flag=-O", vec![]),
            ("?compiler=gnu%20FORTRAN2008", vec!["05"]),
            ("?compiler=13.2.0", vec!["05"]),
            ("?compiler=13", vec![]),
            ("?build_id=b003", vec!["03"]),
            ("?build_id=B003", vec!["03"]),
            (&format!("?output_sha256={}", digest_text(4)), vec!["04"]),
            (&format!("?output_sha256={}", digest_text(4).to_uppercase()), vec!["04"]),
            (&format!("?input_sha256={}&user=alice", digest_text(0xFE)), vec!["05"]),
            (&format!("?input_signature={}", signature_text(1)), vec!["02"]),
            ("?since=1700000000&until=1700000001&limit=2", vec!["05", "04"]),
            ("?since=1700000001", vec![]),
            ("?until=1700000000", vec![]),
            ("?name=app&until=1700000000", vec![]),
        ] {
            assert_eq!(listed(&daemon, question), found, "{question}");
        }
    }

    fn a_list_comes_in_pages_and_nothing_is_lost_between_them(backend) {
        let daemon = backend.start("");
        let builds: Vec<BuildRecord> = (1..=23).map(|n| linked(n, "many", vec![marked(200)])).collect();
        register(&daemon, &builds);
        let newest_first: Vec<String> = (1..=23).rev().map(|n| format!("{n:02x}")).collect();
        for question in ["?", "?name=many", "?since=1", &format!("?input_signature={}&transitive=1", signature_text(200))] {
            let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let (status, json) = daemon.get(&format!("/v1/builds{question}&limit=5&cursor={cursor}"));
                assert_eq!(status, 200, "{json}");
                found.extend(signatures(&json["builds"]));
                pages += 1;
                match json["next"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            assert_eq!((&found, pages), (&newest_first, 5), "{question}");
        }
        let path = format!("/v1/dependents/{}?limit=20", signature_text(200));
        let (_, first) = daemon.get(&path);
        assert_eq!((&first["count"], first["builds"].as_array().unwrap().len()), (&23.into(), 20));
        let (_, second) = daemon.get(&format!("{path}&cursor={}", first["next"].as_str().unwrap()));
        assert_eq!(second["builds"].as_array().unwrap().len(), 3);
        assert_eq!(second["next"], Value::Null);
    }

    fn a_record_sent_twice_changes_nothing_and_a_different_one_is_refused(backend) {
        let daemon = backend.start("");
        for name in ["first", "first", "second"] {
            register(&daemon, &[linked(1, name, vec![])]);
        }
        let (_, json) = daemon.get(&format!("/v1/builds/{}", signature_text(1)));
        assert_eq!((&json["metadata"]["name"], &json["builds"]), (&"first".into(), &Value::Null));
        for kind in ["registered", "known", "conflicting"] {
            assert_eq!(daemon.metric(&format!("ogrt_builds_{kind}_total")), 1, "{kind}");
        }
        assert!(daemon.log().contains("refused: the first stands"), "{}", daemon.log());
        assert_eq!(listed(&daemon, "?"), ["01"]);
        assert_eq!(listed(&daemon, "?name=second"), [""; 0]);
        let post = |record: &BuildRecord| daemon.http("POST", "/v1/builds", &record.encode_to_vec()).0;
        assert_eq!(post(&linked(1, "first", vec![])), 200);
        assert_eq!(post(&linked(1, "third", vec![])), 409);
        assert_eq!(post(&linked(9, "new", vec![])), 201);
        assert_eq!(daemon.http("POST", "/v1/builds", b"garbage").0, 400);
    }

    fn builds_of_one_reproducible_signature_are_one_record(backend) {
        let daemon = backend.start("");
        let made = |host: &str, seconds: i64| BuildRecord {
            reproducible: Some(true),
            hostname: Some(host.into()),
            time_ns: Some(1_700_000_000_000_000_000 + seconds * 1_000_000_000),
            ..linked(1, "zlib", vec![])
        };
        register(&daemon, &[made("a", 1), made("b", 3), made("c", 2), made("b", 3), made("a", 1)]);
        let other = BuildRecord { output: linked(2, "zlib", vec![]).output, ..made("d", 4) };
        register(&daemon, &[other]);
        let (_, json) = daemon.get(&format!("/v1/builds/{}", signature_text(1)));
        let hosts: Vec<&str> =
            json["builds"].as_array().unwrap().iter().map(|build| build["hostname"].as_str().unwrap()).collect();
        assert_eq!(hosts, ["a", "c", "b"]);
        assert_eq!(json["hostname"], "a");
        assert_eq!(daemon.metric("ogrt_builds_conflicting_total"), 1);
        assert_eq!(daemon.metric("ogrt_builds_known_total"), 4);
        assert_eq!(listed(&daemon, "?"), ["01"]);
    }

    fn a_build_from_the_future_was_made_when_its_record_came(backend) {
        let daemon = backend.start("");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let far = now + 100 * 365 * 86_400;
        let at = |signature: u8, seconds: i64| {
            BuildRecord { time_ns: Some(seconds * 1_000_000_000), ..linked(signature, "x", vec![]) }
        };
        register(&daemon, &[at(1, far)]);
        register(&daemon, &[at(2, now - 86_400)]);
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let now = now + 1;
        register(&daemon, &[at(3, now)]);
        assert_eq!(listed(&daemon, &format!("?since={}", now - 60)), ["03", "01"]);
        assert_eq!(listed(&daemon, &format!("?since={}", now + 3600)), [""; 0]);
        assert_eq!(listed(&daemon, &format!("?until={}&name=x", now - 60)), ["02"]);
        // What the builder said stands in the record.
        let whole = daemon.get(&format!("/v1/builds/{}", signature_text(1))).1;
        assert_eq!(whole["time_ns"], far * 1_000_000_000);
        let (_, all) = daemon.get("/v1/builds?limit=2");
        let next = format!("?limit=2&cursor={}", all["next"].as_str().unwrap());
        assert_eq!((signatures(&all["builds"]), listed(&daemon, &next)), (vec!["03".into(), "01".into()], vec!["02".to_owned()]));
    }

    fn rings_and_self_links_end(backend) {
        let daemon = backend.start("");
        register(&daemon, &[
            linked(1, "a", vec![marked(3)]),
            linked(2, "b", vec![marked(1), marked(2), plain(2, FileKind::SharedLibrary)]),
            linked(3, "c", vec![marked(2)]),
        ]);
        assert_eq!(dependents(&daemon, &signature_text(1)), deep(&[("02", 1), ("03", 2)]));
        assert_eq!(dependents(&daemon, &signature_text(2)), deep(&[("03", 1), ("01", 2)]));
    }

    fn all_of_it_survives_a_crash(backend) {
        let daemon = backend.start("");
        register(&daemon, &stack()[..2]);
        let daemon = daemon.crash_and_restart(&backend.configuration());
        register(&daemon, &stack());
        assert_eq!(
            dependents(&daemon, &digest_text(0xF0)),
            deep(&[("01", 1), ("02", 2), ("03", 3)])
        );
        assert_eq!(listed(&daemon, "?version=1.2.3"), ["04", "03", "02", "01"]);
        assert_eq!(daemon.metric("ogrt_builds_known_total"), 2);
    }

    fn an_export_is_an_import(backend) {
        let daemon = backend.start("");
        let mut records = stack();
        records[0].working_directory = Some(vec![0xFF, b'/', 0].into());
        let again = BuildRecord { reproducible: Some(true), hostname: Some("again".into()), ..records[3].clone() };
        records[3].reproducible = Some(true);
        records.push(again);
        register(&daemon, &records);
        let (status, lines) = daemon.http("GET", "/v1/export", &[]);
        assert_eq!((status, lines.iter().filter(|byte| **byte == b'\n').count()), (200, 4));
        let first: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(first["build"]["metadata"]["name"], "liba");

        let other = backend.another().start("");
        for expected in [[4, 0], [0, 4]] {
            let (status, body) = other.http("POST", "/v1/import", &lines);
            let json: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((status, &json["new"], &json["known"]), (200, &expected[0].into(), &expected[1].into()));
        }
        assert_eq!(other.http("GET", "/v1/export", &[]).1, lines);
        assert_eq!(dependents(&other, &digest_text(0xF0)), deep(&[("01", 1), ("02", 2), ("03", 3)]));
        let (status, body) = other.http("POST", "/v1/import", &[&lines[..], b"{\"record\": \"!\"}\n"].concat());
        assert_eq!(status, 400);
        assert!(String::from_utf8(body).unwrap().contains("line 5"));
    }

    fn builds_move_while_no_server_runs(backend) {
        let mut daemon = backend.start("");
        register(&daemon, &stack());
        let lines = daemon.http("GET", "/v1/export", &[]).1;
        daemon.stop();
        assert_eq!(offline(&daemon, "export", b""), lines);

        let other = backend.another();
        let mut daemon = other.start("");
        daemon.stop();
        let said: Value = serde_json::from_slice(&offline(&daemon, "import", &lines)).unwrap();
        assert_eq!((&said["new"], &said["known"]), (&4.into(), &0.into()));
        let daemon = daemon.crash_and_restart(&other.configuration());
        assert_eq!(daemon.http("GET", "/v1/export", &[]).1, lines);
        assert_eq!(dependents(&daemon, &digest_text(0xF0)), deep(&[("01", 1), ("02", 2), ("03", 3)]));
    }

    fn old_builds_go_but_not_what_is_used_nor_what_it_contains(backend) {
        let daemon = backend.start("");
        register(&daemon, &stack());
        // Someone runs the app; nobody runs the other.
        daemon.datagram(&crate::process_events::event(1, "job", "alice", 3, &[]));
        wait_for("the use", || {
            let uses = daemon.get(&format!("/v1/uses/{}", signature_text(3))).1;
            (uses["direct"]["processes"] == 1).then_some(())
        });
        let more = format!("{}keep = \"1ms\"\nlook_every = \"50ms\"\n", backend.configuration());
        let daemon = daemon.crash_and_restart(&more);
        wait_for("the other build to go", || (listed(&daemon, "?name=other").is_empty()).then_some(()));
        // A second pass: nothing else may have gone.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(listed(&daemon, "?"), ["03", "02", "01"]);
        assert_eq!(daemon.get(&format!("/v1/builds/{}", signature_text(4))).0, 404);
        assert_eq!(dependents(&daemon, &digest_text(0xFE)), deep(&[("03", 1), ("02", 1), ("01", 1)]));
        assert_eq!(daemon.get(&format!("/v1/dependents/{}", digest_text(4))).0, 404);
        // It may come again.
        register(&daemon, &stack()[..0]);
    }

    fn nothing_goes_by_its_age_where_the_clock_is_in_doubt(backend) {
        let mut daemon = backend.start("");
        register(&daemon, &stack());
        assert!(daemon.stop().success());
        let mark = daemon.path().join("data/last-time");
        // The clock says that the server was down for a month, or that it is a month ago.
        for difference in [-30 * 86_400i64, 30 * 86_400] {
            let last: i64 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
            std::fs::write(&mark, format!("{}\n", last + difference)).unwrap();
            let more = format!("{}keep = \"1ms\"\nlook_every = \"50ms\"\n", backend.configuration());
            daemon = daemon.crash_and_restart(&more);
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert_eq!(listed(&daemon, "?").len(), stack().len());
            assert!(daemon.log().contains("the clock differs by"), "{}", daemon.log());
        }
        // By the new mark it has run since then.
        let more = format!("{}keep = \"1ms\"\nlook_every = \"50ms\"\n", backend.configuration());
        let daemon = daemon.crash_and_restart(&more);
        wait_for("all builds to go", || (listed(&daemon, "?").is_empty()).then_some(()));
    }

    fn too_many_builds_go_the_oldest_first(backend) {
        let daemon = backend.start("");
        let builds: Vec<BuildRecord> = (1..=9).map(|n| linked(n, "many", vec![])).collect();
        register(&daemon, &builds);
        let more = format!("{}builds_max = 4\nlook_every = \"50ms\"\n", backend.configuration());
        let daemon = daemon.crash_and_restart(&more);
        wait_for("five to go", || (listed(&daemon, "?name=many") == ["09", "08", "07", "06"]).then_some(()));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(listed(&daemon, "?").len(), 4);
        let again = daemon.crash_and_restart(&backend.configuration());
        register(&again, &builds[..2]);
        assert_eq!(listed(&again, "?name=many"), ["02", "01", "09", "08", "07", "06"]);
        assert_eq!(listed(&again, &format!("?output_sha256={}", digest_text(1))), ["01"]);
    }
}

/// Runs `ogrt-server export` or `import` where a server ran; what it prints.
pub fn offline(daemon: &Daemon, command: &str, input: &[u8]) -> Vec<u8> {
    let mut server = Command::new(SERVER);
    server.arg("--config").arg(daemon.path().join("ogrt.conf")).arg(command);
    let mut child = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn the_backend_of_the_tests_is_the_one_that_runs() {
    for backend in Backend::all() {
        let daemon = backend.start("");
        assert_eq!(daemon.log().contains("registry: postgres"), backend.is_postgres(), "{}", daemon.log());
    }
}
