//! The questions that the project ships (`server/queries/`), put to a real OpenSearch and a real
//! Elasticsearch that hold known events.

use super::{id, send, services::SearchEngine, wait_for_output};
use crate::daemon::Daemon;
use ogrt_proto::{
    BuildMetadata, BuildRecord, MessageType, Note, ProcessEnd, ProcessInfo, SharedObject, encode_frame,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

const SERIES: u64 = 20;

fn build(signature: u8, name: &str, compiler: &str) -> bytes::Bytes {
    let metadata = BuildMetadata {
        name: Some(name.into()),
        version: Some("1.0".into()),
        compiler: Some(compiler.into()),
        ..Default::default()
    };
    let record = BuildRecord {
        signature: Some(vec![signature; 16].into()),
        metadata: Some(metadata),
        time_ns: Some(1_700_000_000_000_000_000),
        ..Default::default()
    };
    encode_frame(MessageType::BuildRecord, &record)
}

fn mark(signature: Option<u8>) -> Vec<Note> {
    let note = |byte: u8| Note { signature: Some(vec![byte; 16].into()), ..Default::default() };
    signature.map(note).into_iter().collect()
}

/// A process: job, user, program and its mark, the mark of a library, pid and parent.
type Process = (&'static str, &'static str, &'static str, Option<u8>, Option<u8>, (i32, i32));

const GROMACS: Option<u8> = Some(1);
const FFTW: Option<u8> = Some(2);
const LAMMPS: Option<u8> = Some(3);
const HELLO: Option<u8> = Some(4);

const PROCESSES: [Process; 11] = [
    ("j1", "ada", "/bin/bash", None, None, (100, 1)),
    ("j1", "ada", "/apps/gmx", GROMACS, FFTW, (101, 100)),
    ("j1", "ada", "/apps/gmx", GROMACS, FFTW, (102, 101)),
    ("j2", "bob", "/apps/gmx", GROMACS, FFTW, (200, 1)),
    ("j3", "bob", "/apps/gmx", GROMACS, None, (300, 1)),
    ("j4", "ada", "/apps/lmp", LAMMPS, None, (400, 1)),
    ("j5", "eve", "/home/eve/hello", HELLO, None, (500, 1)),
    ("j6", "eve", "/home/eve/hello", HELLO, None, (600, 1)),
    ("j7", "eve", "/home/eve/a.out", None, FFTW, (700, 1)),
    ("j7", "eve", "/home/eve/a.out", None, None, (701, 1)),
    ("j7", "eve", "/usr/bin/ls", None, None, (702, 700)),
];

fn start(number: usize) -> ProcessInfo {
    let (job, user, path, program, library, (pid, parent)) = PROCESSES[number];
    let library = library.map(|library| SharedObject {
        path: Some("/lib/libfftw3.so.3".into()),
        notes: mark(Some(library)),
        ..Default::default()
    });
    ProcessInfo {
        event_id: Some(id(SERIES, number as u64)),
        job_id: Some(job.into()),
        username: Some(user.into()),
        binpath: Some(path.into()),
        pid: Some(pid),
        parent_pid: Some(parent),
        hostname: Some("node1".into()),
        start_time_ns: Some(1_760_000_000_000_000_000 + number as i64 * 1_000_000_000),
        notes: mark(program),
        shared_objects: library.into_iter().collect(),
        ..Default::default()
    }
}

/// Asks a question that is shipped; each place in it is filled.
fn ask(search: &SearchEngine, question: &str, places: &[(&str, &str)]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries").join(question);
    let mut body = fs::read_to_string(&path).unwrap();
    for (place, value) in places {
        assert!(body.contains(place), "{question} has no {place}");
        body = body.replace(place, value);
    }
    assert!(
        !body.contains('@') || body.replace("\"@timestamp\"", "").find('@').is_none(),
        "{question}: a place is left"
    );
    search.ask("POST", "/asked-*/_search", &body)
}

/// Buckets as pairs of key and the value of an aggregation in them.
fn buckets<'a>(buckets: &'a Value, value: impl Fn(&'a Value) -> &'a Value) -> BTreeMap<&'a str, &'a Value> {
    let all = buckets["buckets"].as_array().unwrap().iter();
    all.map(|bucket| (bucket["key"].as_str().unwrap(), value(bucket))).collect()
}

fn keys(aggregation: &Value) -> Vec<&str> {
    aggregation["buckets"].as_array().unwrap().iter().map(|bucket| bucket["key"].as_str().unwrap()).collect()
}

#[test]
fn the_questions_that_are_shipped_have_the_right_answers() {
    SearchEngine::opensearch().map(questions_are_answered).unwrap_or_default();
}

#[test]
fn and_in_elasticsearch() {
    SearchEngine::elasticsearch().map(questions_are_answered).unwrap_or_default();
}

fn questions_are_answered(search: &SearchEngine) {
    let daemon = Daemon::start(&format!(
        "[outputs.search]\ntype = \"elasticsearch\"\nurls = [\"http://{}\"]\nindex = \"asked\"\nlinger = \"10ms\"\n",
        search.address
    ));
    let gcc = "gcc 13.2.0";
    send(
        &daemon,
        [
            build(1, "gromacs", gcc),
            build(2, "fftw", gcc),
            build(3, "lammps", gcc),
            build(4, "hello", "clang 17.0.6"),
        ],
    );
    let starts = (0..PROCESSES.len()).map(|number| encode_frame(MessageType::ProcessInfo, &start(number)));
    send(&daemon, starts);
    // One that loads the library after its start, which its end tells, with who ran it.
    let end = ProcessEnd {
        event_id: Some(id(SERIES, 4)),
        job_id: Some("j3".into()),
        pid: Some(300),
        hostname: Some("node1".into()),
        time_ns: Some(1_760_000_100_000_000_000),
        duration_ns: Some(96_000_000_000),
        shared_objects: vec![SharedObject {
            path: Some("/lib/libfftw3.so.3".into()),
            notes: mark(FFTW),
            ..Default::default()
        }],
        start: Some(ProcessInfo {
            binpath: Some("/home/eve/a.out".into()),
            username: Some("eve".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    send(&daemon, [encode_frame(MessageType::ProcessEnd, &end)]);
    wait_for_output(&daemon, "search", PROCESSES.len() as u64 + 1);
    assert_eq!(search.count("asked-*"), PROCESSES.len() as u64 + 1);

    let top = &ask(search, "top-programs-by-jobs.json", &[("@SINCE@", "2025-01-01")])["aggregations"];
    assert_eq!(keys(&top["programs"]), ["gromacs", "hello", "lammps"]);
    let jobs = buckets(&top["programs"], |bucket| &bucket["jobs"]["value"]);
    assert_eq!(jobs, [("gromacs", &json!(3)), ("hello", &json!(2)), ("lammps", &json!(1))].into());
    let unnamed = buckets(&top["paths_without_a_build"]["paths"], |bucket| &bucket["jobs"]["value"]);
    assert_eq!(unnamed[&"/home/eve/a.out"], 1);
    let none = ask(search, "top-programs-by-jobs.json", &[("@SINCE@", "2026-01-01")]);
    assert!(keys(&none["aggregations"]["programs"]).is_empty());

    for library in ["fftw", "02020202-0202-0202-0202-020202020202"] {
        let users = &ask(search, "users-of-a-library.json", &[("@LIBRARY@", library)])["aggregations"];
        let jobs = buckets(&users["users"], |bucket| &bucket["jobs"]["value"]);
        assert_eq!(jobs, [("ada", &json!(1)), ("bob", &json!(1)), ("eve", &json!(2))].into(), "{library}");
        let processes = buckets(&users["users"], |bucket| &bucket["doc_count"]);
        assert_eq!((processes["ada"], processes["bob"]), (&json!(2), &json!(1)));
        assert_eq!(keys(&users["jobs_that_loaded_it_later"]["jobs"]), ["j3"]);
    }

    let hours =
        &ask(search, "hours-by-program.json", &[("@SINCE@", "2025-01-01")])["aggregations"]["programs"];
    let nanoseconds = buckets(hours, |bucket| &bucket["nanoseconds"]["value"]);
    assert_eq!(nanoseconds, [("/home/eve/a.out", &json!(96e9))].into());
    assert_eq!(keys(&hours["buckets"][0]["users"]), ["eve"]);

    let compilers = &ask(search, "builds-by-compiler.json", &[])["aggregations"]["compilers"];
    let builds = buckets(compilers, |bucket| &bucket["builds"]["value"]);
    assert_eq!(builds, [(gcc, &json!(2)), ("clang 17.0.6", &json!(1))].into());

    let strangers =
        &ask(search, "unregistered-software.json", &[("@SINCE@", "2025-01-01")])["aggregations"]["paths"];
    assert_eq!(keys(strangers), ["/home/eve/a.out"]);
    assert_eq!(strangers["buckets"][0]["doc_count"], 2);
    assert_eq!(keys(&strangers["buckets"][0]["users"]), ["eve"]);

    let tree = ask(search, "job-tree.json", &[("@JOB@", "j1")]);
    let processes: Vec<&Value> =
        tree["hits"]["hits"].as_array().unwrap().iter().map(|hit| &hit["_source"]).collect();
    let edges: Vec<(i64, i64)> = processes
        .iter()
        .map(|process| (process["parent_pid"].as_i64().unwrap(), process["pid"].as_i64().unwrap()))
        .collect();
    assert_eq!(edges, [(1, 100), (100, 101), (101, 102)]);
    assert_eq!(processes[2]["build"]["name"], "gromacs");
    let ended = ask(search, "job-tree.json", &[("@JOB@", "j3")]);
    assert_eq!(ended["hits"]["hits"][1]["_source"]["end"]["duration_ns"], 96_000_000_000_u64);
}
