//! Likeness: what nobody knows resembles something that was learned, is never called so, and is
//! never counted as that.

use crate::{
    backend::on_every_backend,
    daemon::{Daemon, wait_for},
    learned::{answer, learn, operator, package},
    process_events::send,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ogrt_proto::{MessageType, ProcessInfo, encode_frame};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A sketch of these names and texts, in base64.
fn sketch(symbols: impl IntoIterator<Item = u32>, texts: impl IntoIterator<Item = u32>) -> String {
    let mut bytes = vec![1];
    for hashes in [symbols.into_iter().collect::<Vec<u32>>(), texts.into_iter().collect()] {
        let mut hashes: Vec<u32> = hashes.into_iter().map(scattered).collect();
        hashes.sort_unstable();
        hashes.truncate(256);
        bytes.extend((hashes.len() as u16).to_be_bytes());
        bytes.extend(hashes.iter().flat_map(|hash| hash.to_be_bytes()));
    }
    STANDARD.encode(bytes)
}

/// Another number for each number.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B1).rotate_left(13).wrapping_mul(0x85EB_CA77)
}

/// A package with one file and its sketch.
fn sketched(software: &str, version: &str, path: &str, build_id: &str, sketch: &str) -> Value {
    let mut package = package(software, version, &[(path, build_id)]);
    package["files"][0]["sketch"] = sketch.into();
    package
}

fn identify(daemon: &Daemon, build_id: &str, sketch: &str) -> Value {
    let sketch = sketch.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    answer(daemon, &format!("/v1/identify?build_id={build_id}&sketch={sketch}"))
}

fn post(daemon: &Daemon, token: &str, body: &Value) -> (u16, Value) {
    let header = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = daemon.http_with("POST", "/v1/sketches", &header, body.to_string().as_bytes());
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

fn start(number: u32, path: &str, build_id: &[u8]) -> bytes::Bytes {
    let info = ProcessInfo {
        event_id: Some(uuid::Uuid::from_u64_pair(24, u64::from(number)).as_bytes().to_vec().into()),
        binpath: Some(path.to_owned().into()),
        build_id: Some(build_id.to_vec().into()),
        job_id: Some("80".into()),
        username: Some("ann".into()),
        start_time_ns: Some(1_700_000_000_000_000_000 + i64::from(number)),
        ..ProcessInfo::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

/// The software and the score of each resemblance.
fn scores(answer: &Value) -> Vec<(String, f64)> {
    let resembles = answer["resembles"].as_array().into_iter().flatten();
    let score = |one: &Value| {
        assert_eq!(one["known_by"], "likeness", "{answer}");
        (one["software"].as_str().unwrap().to_owned(), one["score"].as_f64().unwrap())
    };
    resembles.map(score).collect()
}

on_every_backend! {
fn an_unknown_program_resembles_what_was_learned_and_is_never_counted_as_it(backend) {
    let daemon = backend.start("");
    let token = operator(&daemon);
    let body = json!({ "source": "node-1", "packages": [
        sketched("lammps", "2022", "/opt/lammps/2022/lmp", "aa01", &sketch(0..200, 1000..1200)),
        sketched("lammps", "2023", "/opt/lammps/2023/lmp", "aa02", &sketch(50..250, 1050..1250)),
        sketched("gromacs", "2024", "/opt/gromacs/gmx", "bb01", &sketch(5000..5200, 6000..6200)),
    ] });
    let (status, learned) = learn(&daemon, &token, &body);
    assert_eq!((status, &learned["new"], &learned["sketches"]), (200, &3.into(), &3.into()), "{learned}");
    let (_, again) = learn(&daemon, &token, &body);
    assert_eq!((&again["known"], &again["sketches"]), (&3.into(), &0.into()), "{again}");

    // 200 of 250, in both kinds, and the nearer version.
    let next = sketch(100..300, 1100..1300);
    let found = identify(&daemon, "cc01", &next);
    assert_eq!(scores(&found), [("lammps".to_owned(), 0.6)], "150 of 250: {found}");
    assert_eq!(found["resembles"][0]["version"], "2023");
    assert_eq!(found["resembles"][0]["source"], "node-1");
    // What is known is known, whatever it looks like.
    let known = identify(&daemon, "bb01", &next);
    assert_eq!((&known["known"]["software"], &known["known"]["known_by"]), (&"gromacs".into(), &"build_id".into()));
    assert!(known["resembles"].is_null(), "{known}");
    assert_eq!(scores(&identify(&daemon, "cc02", &sketch(9000..9200, 9500..9700))), []);
    assert_eq!(scores(&identify(&daemon, "cc03", &sketch([], 1100..1300))), [("lammps".to_owned(), 0.6)], "stripped");

    // The first sketch of a build-id stands.
    let other = sketched("gromacs", "2024", "/home/eve/gmx", "bb01", &next);
    let (_, taught) = learn(&daemon, &token, &json!({ "packages": [other] }));
    assert_eq!((&taught["new"], &taught["sketches"]), (&1.into(), &0.into()), "{taught}");
    assert_eq!(scores(&identify(&daemon, "cc01", &next)), [("lammps".to_owned(), 0.6)]);

    // A program that ran.
    send(&daemon, &[start(1, "/home/ann/lmp", &[0xCC, 1]), start(2, "/home/ann/a.out", &[0xCC, 2])]);
    let unregistered = |path: &str| wait_for("the programs", || {
        let answer = answer(&daemon, path);
        (answer["programs"].as_array().is_some_and(|all| all.len() == 2)).then_some(answer)
    });
    let before = unregistered("/v1/unregistered");
    assert!(before["programs"].as_array().unwrap().iter().all(|one| one["resembles"].is_null()), "{before}");
    let body = json!({ "sketches": [{ "build_id": "cc01", "sketch": next }] });
    assert_eq!(post(&daemon, "", &body).0, 401);
    assert_eq!(post(&daemon, &token, &body), (200, json!({ "new": 1, "known": 0 })));
    assert_eq!(post(&daemon, &token, &body), (200, json!({ "new": 0, "known": 1 })));
    let after = unregistered("/v1/unregistered");
    let of = |path: &str| {
        let all = after["programs"].as_array().unwrap();
        all.iter().find(|one| one["binpath"] == path).unwrap_or_else(|| panic!("{after}")).clone()
    };
    let lmp = of("/home/ann/lmp");
    assert!(lmp["software"].is_null() && lmp["known_by"].is_null(), "no name: {lmp}");
    let like = &lmp["resembles"];
    assert_eq!((&like["software"], &like["score"], &like["known_by"]), (&"lammps".into(), &0.6.into(), &"likeness".into()));
    assert!(of("/home/ann/a.out")["resembles"].is_null());
    assert!(after["explained"].is_null(), "a resemblance explains nothing: {after}");
    let jobs = answer(&daemon, "/v1/unregistered?by=job");
    assert!(jobs.to_string().contains("\"resembles\""), "{jobs}");
    let report = answer(&daemon, "/v1/report?by=software&since=0");
    assert!(!report.to_string().contains("lammps"), "{report}");
    // Learned in the end: the name is there, and the resemblance is gone.
    learn(&daemon, &token, &json!({ "packages": [package("lammps", "2024", &[("/home/ann/lmp", "cc01")])] }));
    let named = answer(&daemon, "/v1/unregistered?explained=true").to_string();
    assert!(named.contains("\"known_by\":\"build_id\"") && !named.contains("resembles"), "{named}");
}

fn what_several_softwares_share_is_no_evidence(backend) {
    let daemon = backend.start("");
    let token = operator(&daemon);
    // Each contains the same library, and a little of its own.
    let mut packages: Vec<Value> = (0..20_u32).map(|number| {
        let own = 10_000 + number * 100;
        let texts = (0..150).chain(own..own + 40);
        sketched(&format!("tool{number}"), "1", &format!("/opt/{number}"), &format!("dd{number:02}"), &sketch([], texts))
    }).collect();
    // One software in many versions is one software.
    packages.extend((0..300_u32).map(|number| {
        let texts = 50_000 + number / 3..50_200 + number / 3;
        sketched("vasp", &format!("6.{number}"), &format!("/opt/vasp/{number}"), &format!("ee{number:04}"), &sketch([], texts))
    }));
    assert_eq!(learn(&daemon, &token, &json!({ "packages": packages })).1["sketches"], 320);
    assert_eq!(scores(&identify(&daemon, "", &sketch([], (0..150).chain(90_000..90_040)))), [], "the library alone");
    let tool = scores(&identify(&daemon, "", &sketch([], (0..150).chain(10_000..10_030))));
    assert_eq!(tool, [("tool0".to_owned(), 0.75)]);
    let vasp = scores(&identify(&daemon, "", &sketch([], 50_050..50_250)));
    assert_eq!(vasp.len(), 1, "{vasp:?}");
    assert!(vasp[0].0 == "vasp" && vasp[0].1 > 0.9, "{vasp:?}");
}
}

#[test]
fn what_is_no_sketch_is_refused() {
    let daemon = Daemon::start("");
    let token = operator(&daemon);
    let good = sketch(0..50, []);
    for bad in ["", "x", "AAAA", &STANDARD.encode([2, 0, 0, 0, 0]), &good[4..], &format!("{good}AAAA")] {
        let body = json!({ "sketches": [{ "build_id": "aa", "sketch": bad }] });
        assert_eq!(post(&daemon, &token, &body).0, 400, "{bad}");
        if !bad.is_empty() {
            let body = json!({ "packages": [sketched("a", "1", "/a", "aa", bad)] });
            assert_eq!(learn(&daemon, &token, &body).0, 400, "{bad}");
        }
    }
    for build_id in ["", "abc", &"ab".repeat(65)] {
        let body = json!({ "sketches": [{ "build_id": build_id, "sketch": good }] });
        assert_eq!(post(&daemon, &token, &body).0, 400, "{build_id}");
    }
    assert_eq!(daemon.get("/v1/identify?build_id=abc").0, 400);
    assert_eq!(daemon.get("/v1/identify?sketch=AAAA").0, 400);
    assert_eq!(daemon.get("/v1/identify?x=1").0, 400);
    assert_eq!(answer(&daemon, "/v1/identify"), json!({ "resembles": [] }));
}

/// 100,000 sketches, 60 of each software, each answered in less than 50 ms when the server is
/// built for use.
#[test]
fn the_nearest_of_many_is_found_at_once() {
    let count: u32 = if std::env::var_os("OGRT_TEST_FULL").is_some() { 100_000 } else { 2000 };
    let daemon = Daemon::start("");
    let token = operator(&daemon);
    // Half of what a file has is its software's, a quarter its version's, and some is everybody's.
    let features = |file: u32, kind: u32| {
        let (software, version) = (file / 60, file / 6);
        let base = kind << 31;
        let own = (0..400).map(move |n| base + 1_000_000 + software * 400 + n);
        let of_version = (0..200).map(move |n| base + 100_000_000 + version * 200 + n);
        let common = (0..100).map(move |n| base + n);
        own.chain(of_version).chain(common)
    };
    let one = |file: u32| sketch(features(file, 0), features(file, 1));
    let begin = Instant::now();
    for first in (0..count).step_by(2000) {
        let packages: Vec<Value> = (first..first + 2000)
            .map(|file| {
                let (path, id) = (format!("/opt/{file}"), format!("{file:08x}"));
                sketched(&format!("code{}", file / 60), &format!("{}", file / 6), &path, &id, &one(file))
            })
            .collect();
        assert_eq!(learn(&daemon, &token, &json!({ "packages": packages })).0, 200);
    }
    println!("{count} sketches were learned in {:?}", begin.elapsed());
    let mut times: Vec<Duration> = (0..100)
        .map(|number| {
            let file = number * 7919 % count;
            let asked = one(file);
            let begin = Instant::now();
            let found = identify(&daemon, "", &asked);
            let time = begin.elapsed();
            let best = &found["resembles"][0];
            assert_eq!(
                (best["software"].as_str(), best["score"].as_f64()),
                (Some(&*format!("code{}", file / 60)), Some(1.0)),
                "{found}"
            );
            time
        })
        .collect();
    times.sort();
    println!(
        "{count} sketches: nearest found in {:?} (median), {:?} (slowest of 100); limit 50 ms",
        times[50], times[99]
    );
    if !cfg!(debug_assertions) {
        assert!(times[98] < Duration::from_millis(50), "{:?}", times[98]);
    }
}
