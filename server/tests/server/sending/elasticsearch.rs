//! `elasticsearch` against a real OpenSearch and a real Elasticsearch: each document once, with the
//! mapping of our template.

use super::{
    Ending, certificate, dead_letters, ends, http, id_text, send,
    services::{SearchEngine, has},
    start, starts, wait_for_output,
};
use crate::daemon::{Daemon, build_frame, wait_for};
use ogrt_proto::{MessageType, Note, SharedObject, encode_frame};
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

fn output(address: &str, index: &str, more: &str) -> String {
    format!(
        "[outputs.search]\ntype = \"elasticsearch\"\nurls = [\"http://{address}\"]\nindex = \"{index}\"\nlinger = \"10ms\"\n{more}\n"
    )
}

#[test]
fn documents_arrive_once_with_the_mapping_of_the_template() {
    SearchEngine::opensearch().map(documents_arrive_once).unwrap_or_default();
}

#[test]
fn so_they_do_in_elasticsearch() {
    SearchEngine::elasticsearch().map(documents_arrive_once).unwrap_or_default();
}

fn documents_arrive_once(search: &SearchEngine) {
    let more = output(&search.address, "dated", "batch_events = 50\n");
    let daemon = Daemon::start(&more);
    send(&daemon, [build_frame(1, "gromacs"), build_frame(2, "fftw")]);
    let mark =
        |signature: u8| vec![Note { signature: Some(vec![signature; 16].into()), ..Default::default() }];
    let mut joined = start(1, 0);
    joined.notes = mark(1);
    joined.time = Some(1_700_000_000);
    joined.shared_objects =
        vec![SharedObject { path: Some("/lib/libfftw3.so".into()), notes: mark(2), ..Default::default() }];
    send(&daemon, [encode_frame(MessageType::ProcessInfo, &joined)]);
    send(&daemon, starts(1, 1..400));
    send(&daemon, ends(1, 0..400));
    wait_for_output(&daemon, "search", 100);
    // What comes again after a crash is there already.
    let daemon = daemon.crash_and_restart(&more);
    wait_for("all documents", || (search.count("dated-*") == 800).then_some(()));
    wait_for("the place to be moved on", || {
        (daemon.metric("ogrt_output_lag_batches{output=\"search\"}") == 0).then_some(())
    });
    assert_eq!(search.count("dated-*"), 800);

    let index = search.ask("GET", "/dated-*", "");
    let (name, index) = index.as_object().unwrap().iter().next().unwrap();
    let today = Command::new("date").args(["-u", "+dated-%Y.%m.%d"]).output().unwrap();
    assert!(name.len() == "dated-2026.11.25".len() && *name <= String::from_utf8(today.stdout).unwrap());
    let types = &index["mappings"]["properties"];
    for (key, kind) in [("@timestamp", "date"), ("job_id", "keyword"), ("cmdline", "text"), ("pid", "long")] {
        assert_eq!(types[key]["type"], kind, "{key}");
    }
    let document = search.ask("GET", &format!("/{name}/_doc/00000000-0000-0001-0000-000000000000"), "");
    let source = &document["_source"];
    assert_eq!(source["@timestamp"], "2023-11-14T22:13:20.000Z");
    assert_eq!(source["build"]["name"], "gromacs");
    assert_eq!(source["shared_objects"][0]["build"]["name"], "fftw");
    let end = search.ask("GET", &format!("/{name}/_doc/00000000-0000-0001-0000-000000000007-end"), "");
    assert_eq!(
        (&end["_source"]["type"], &end["_source"]["end"]["duration_ns"]),
        (&"end".into(), &1_007.into())
    );
}

#[test]
fn a_data_stream_takes_them_too() {
    let Some(search) = SearchEngine::opensearch() else { return };
    let daemon = Daemon::start(&output(&search.address, "stream", "layout = \"data-stream\"\n"));
    send(&daemon, starts(2, 0..300));
    wait_for("all documents", || (search.count("stream") == 300).then_some(()));
    let streams = search.ask("GET", "/_data_stream/stream", "");
    assert_eq!(streams["data_streams"][0]["template"], "stream");
}

#[test]
fn the_next_node_is_taken_when_one_is_away_and_a_late_one_is_waited_for() {
    let Some(search) = SearchEngine::opensearch() else { return };
    // Nobody listens at this port any more.
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = format!("http://{away}\", \"http://{}", search.address);
    let urls = urls.trim_start_matches("http://");
    let daemon = Daemon::start(&output(urls, "nodes", "backoff_max = \"200ms\"\n"));
    send(&daemon, starts(3, 0..500));
    wait_for("all documents", || (search.count("nodes-*") == 500).then_some(()));
    // With no node at all the events wait, and health says why.
    let alone = Daemon::start(&output(&away.to_string(), "nodes", "backoff_max = \"200ms\"\n"));
    send(&alone, starts(3, 500..510));
    let health = wait_for("bad health", || Some(alone.get("/healthz")).filter(|(status, _)| *status == 503));
    assert_eq!(health.1["outputs"]["search"]["state"], "failing");
    let problem = health.1["outputs"]["search"]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains(&away.to_string()), "{problem}");
    assert_eq!(health.1["outputs"]["lines"]["state"], "up");
}

#[test]
fn the_api_key_or_the_password_is_sent_compressed_over_tls() {
    let Some(search) = SearchEngine::opensearch() else { return };
    if !has("socat") || !has("openssl") {
        return;
    }
    let seen: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
    let noted = seen.clone();
    let proxy = http::proxy(&search.address, move |request, real| {
        let gzip = request.header("content-encoding") == Some("gzip");
        noted.lock().unwrap().push((request.header("authorization").unwrap_or_default().to_owned(), gzip));
        real()
    });
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (certificate, key) = certificate(directory.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tls = Command::new("socat")
        .arg(format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={},key={}",
            certificate, key
        ))
        .arg(format!("TCP:{proxy}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ends_with_the_test = Ending(tls);
    fs::write(file("key"), "VnVhQ2ZHY0JDZGJrUW0=\n").unwrap();
    fs::write(file("password"), "secret\n").unwrap();
    let base = format!("ca_file = \"{}\"\nbackoff_max = \"200ms\"\n", certificate);
    let secure = |index: &str, more: String| {
        output(&format!("localhost:{port}"), index, &(base.clone() + &more)).replace("http://", "https://")
    };
    let with_key = Daemon::start(&secure("key", format!("api_key_file = \"{}\"\n", file("key"))));
    send(&with_key, starts(4, 0..50));
    wait_for("all documents", || (search.count("key-*") == 50).then_some(()));
    let keys = std::mem::take(&mut *seen.lock().unwrap());
    assert!(keys.iter().all(|(key, _)| key == "ApiKey VnVhQ2ZHY0JDZGJrUW0="), "{keys:?}");
    assert!(keys.iter().any(|(_, gzip)| *gzip));
    let user = format!("user = \"ogrt\"\npassword_file = \"{}\"\n", file("password"));
    let with_user = Daemon::start(&secure("user", user));
    send(&with_user, starts(4, 0..50));
    wait_for("all documents", || (search.count("user-*") == 50).then_some(()));
    assert!(seen.lock().unwrap().iter().any(|(key, _)| key == "Basic b2dydDpzZWNyZXQ="));
    // A certificate that nobody vouches for is refused.
    let stranger =
        Daemon::start(&secure("stranger", String::new()).replace(&base, "backoff_max = \"200ms\"\n"));
    send(&stranger, starts(4, 0..5));
    wait_for("bad health", || (stranger.get("/healthz").0 == 503).then_some(()));
    assert!(stranger.log().contains("certificate"), "{}", stranger.log());
    assert_eq!(search.count("stranger-*"), 0);
}

#[test]
fn what_the_receiver_refuses_for_good_is_put_aside_once_and_exactly() {
    let Some(search) = SearchEngine::opensearch() else { return };
    // An index that wants a number where one document in a hundred has none.
    let wants = r#"{"index_patterns":["strict-*"],"template":{"mappings":{"properties":{"job_step":{"type":"integer"},"event_id":{"type":"keyword"},"type":{"type":"keyword"}}}}}"#;
    search.ask("PUT", "/_index_template/strict", wants);
    let more = output(&search.address, "strict", "template = false\nbatch_events = 150\n");
    let daemon = Daemon::start(&more);
    let step = |number: u64| if number % 100 == 7 { "batch".to_owned() } else { number.to_string() };
    let frames = |numbers: std::ops::Range<u64>| {
        numbers.map(|number| {
            let mut start = start(5, number);
            start.job_step = Some(step(number).into());
            encode_frame(MessageType::ProcessInfo, &start)
        })
    };
    send(&daemon, frames(0..1000));
    wait_for("refused documents", || (dead_letters(&daemon, "search").len() >= 3).then_some(()));
    // A crash puts none there twice.
    let daemon = daemon.crash_and_restart(&more);
    send(&daemon, frames(1000..1500));
    wait_for("all others", || (search.count("strict-*") == 1485).then_some(()));
    wait_for("all refused", || (dead_letters(&daemon, "search").len() >= 15).then_some(()));
    let letters = dead_letters(&daemon, "search");
    let refused: Vec<String> = letters.iter().map(|l| l["event_id"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<String> = (0..1500).filter(|n| n % 100 == 7).map(|n| id_text(5, n)).collect();
    let mut sorted = refused.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
    for letter in &letters {
        assert!(letter["reason"].as_str().unwrap().contains("batch"), "{letter}");
        assert_eq!(letter["document"]["job_step"], "batch");
        assert_eq!(letter["document"]["event_id"], letter["event_id"]);
    }
    let all: BTreeSet<String> = (0..1500).map(|number| id_text(5, number)).collect();
    let there = search.ids("strict-*");
    assert_eq!(there.len(), 1485);
    assert!(all.is_superset(&there) && refused.iter().all(|id| !there.contains(id)));
}
