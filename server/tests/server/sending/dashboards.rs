//! The saved objects for OpenSearch Dashboards and Kibana (`dashboards/ogrt.ndjson`): the query of
//! each panel, put to a real OpenSearch and a real Elasticsearch that hold known events.

mod panel;

use super::{id, send, services::SearchEngine, wait_for_output};
use crate::daemon::{Daemon, SERVER};
use ogrt_proto::{
    BuildMetadata, BuildRecord, EndedBy, MessageType, Note, ProcessEnd, ProcessInfo, SharedObject, ToldBy,
    encode_frame,
};
use panel::{Panel, SavedObjects};
use prost::Message;
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};

const SERIES: u64 = 21;
const HOUR_US: u64 = 3_600_000_000;

/// Monday, 9 March 2026, 00:00 UTC.
const MONDAY_NS: i64 = 1_773_014_400_000_000_000;
const DAY_NS: i64 = 24 * 3_600_000_000_000;

/// How a process ended.
#[derive(Clone, Copy)]
enum Ending {
    Exit(u32),
    Signal(u32),
}

/// A process: job, user and account, program and its mark, hours of user, system and worker time,
/// the day of its end, and how it ended.
type Process =
    (&'static str, (&'static str, &'static str), (&'static str, Option<u8>), [u64; 3], i64, Ending);

const GROMACS: Option<u8> = Some(1);
const LAMMPS: Option<u8> = Some(3);
/// It has a note, and nobody registered it.
const NOTED: Option<u8> = Some(5);
const FFTW: u8 = 2;

const PROCESSES: [Process; 8] = [
    ("j1", ("ada", "chem"), ("/apps/gmx", GROMACS), [10, 1, 1], 0, Ending::Exit(0)),
    ("j2", ("bob", "chem"), ("/apps/gmx", GROMACS), [20, 0, 0], 8, Ending::Signal(9)),
    ("j3", ("bob", "bio"), ("/apps/lmp", LAMMPS), [5, 0, 0], 1, Ending::Exit(1)),
    ("j4", ("eve", "bio"), ("/home/eve/a.out", None), [2, 1, 0], 1, Ending::Signal(11)),
    ("j4", ("eve", "bio"), ("/home/eve/a.out", None), [1, 0, 0], 2, Ending::Signal(11)),
    ("j5", ("eve", "bio"), ("/home/eve/noted", NOTED), [4, 0, 0], 9, Ending::Signal(9)),
    ("j5", ("eve", "bio"), ("/usr/bin/ls", None), [0, 0, 0], 9, Ending::Exit(2)),
    ("j6", ("ada", "chem"), ("/apps/lmp", LAMMPS), [1, 0, 0], 9, Ending::Exit(0)),
];

/// The processes that load FFTW at their start, and the one that does it later.
const WITH_FFTW: [usize; 2] = [0, 1];
const LATER_WITH_FFTW: usize = 4;

fn build(signature: u8, name: &str, compiler: &str) -> bytes::Bytes {
    let metadata =
        BuildMetadata { name: Some(name.into()), compiler: Some(compiler.into()), ..Default::default() };
    let record = BuildRecord {
        signature: Some(vec![signature; 16].into()),
        metadata: Some(metadata),
        ..Default::default()
    };
    encode_frame(MessageType::BuildRecord, &record)
}

fn note(signature: u8) -> Note {
    let name = (Some(signature) == NOTED).then(|| "noted".into());
    let metadata = name.map(|name| BuildMetadata { name: Some(name), ..Default::default() });
    let metadata = metadata.map(|metadata| metadata.encode_to_vec().into());
    Note { signature: Some(vec![signature; 16].into()), metadata, ..Default::default() }
}

fn fftw() -> Vec<SharedObject> {
    vec![SharedObject {
        path: Some("/lib/libfftw3.so.3".into()),
        notes: vec![note(FFTW)],
        ..Default::default()
    }]
}

fn start(number: usize) -> ProcessInfo {
    let (job, (user, account), (path, mark), _, day, _) = PROCESSES[number];
    ProcessInfo {
        event_id: Some(id(SERIES, number as u64)),
        job_id: Some(job.into()),
        username: Some(user.into()),
        account: Some(account.into()),
        binpath: Some(path.into()),
        pid: Some(100 + number as i32),
        hostname: Some("node1".into()),
        start_time_ns: Some(MONDAY_NS + day * DAY_NS),
        notes: mark.map(note).into_iter().collect(),
        shared_objects: if WITH_FFTW.contains(&number) { fftw() } else { vec![] },
        ..Default::default()
    }
}

/// The end, as the server of a node tells it: with what the start had.
fn end(number: usize) -> ProcessEnd {
    let (job, _, _, [user, system, workers], day, ending) = PROCESSES[number];
    let (ended_by, exit_status, signal) = match ending {
        Ending::Exit(status) => (EndedBy::Exit, Some(status), None),
        Ending::Signal(signal) => (EndedBy::Signal, None, Some(signal)),
    };
    ProcessEnd {
        event_id: Some(id(SERIES, number as u64)),
        job_id: Some(job.into()),
        pid: Some(100 + number as i32),
        hostname: Some("node1".into()),
        time_ns: Some(MONDAY_NS + day * DAY_NS + DAY_NS / 2),
        duration_ns: Some((DAY_NS / 2) as u64),
        user_time_us: Some(user * HOUR_US),
        system_time_us: Some(system * HOUR_US),
        worker_time_us: Some(workers * HOUR_US),
        ended_by: Some(ended_by as i32),
        exit_status,
        signal,
        told_by: Some(ToldBy::Kernel as i32),
        shared_objects: if number == LATER_WITH_FFTW { fftw() } else { vec![] },
        start: Some(ProcessInfo { event_id: None, shared_objects: vec![], ..start(number) }),
        ..Default::default()
    }
}

#[test]
fn each_panel_shows_the_right_numbers_in_opensearch() {
    SearchEngine::opensearch().map(panels_are_right).unwrap_or_default();
}

#[test]
fn and_in_elasticsearch() {
    SearchEngine::elasticsearch().map(panels_are_right).unwrap_or_default();
}

fn panels_are_right(search: &SearchEngine) {
    let daemon = Daemon::start(&format!(
        "[outputs.search]\ntype = \"elasticsearch\"\nurls = [\"http://{}\"]\nindex = \"dashboards\"\n\
         linger = \"10ms\"\n[join]\nwait = \"100ms\"\n",
        search.address
    ));
    let gcc = "gcc 13.2.0";
    send(&daemon, [build(1, "gromacs", gcc), build(FFTW, "fftw", gcc), build(3, "lammps", "clang 17.0.6")]);
    daemon.registrations_are_settled();
    let all = 0..PROCESSES.len();
    send(&daemon, all.clone().map(|number| encode_frame(MessageType::ProcessInfo, &start(number))));
    send(&daemon, all.map(|number| encode_frame(MessageType::ProcessEnd, &end(number))));
    wait_for_output(&daemon, "search", 2 * PROCESSES.len() as u64);
    assert_eq!(search.count("dashboards-*"), 2 * PROCESSES.len() as u64);

    let objects = SavedObjects::read();
    fields_are_those_of_the_index(search, &objects);
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let rows = |panel: &str, searched: &str| {
        asked.borrow_mut().insert(panel.to_owned());
        let panel = Panel::of(&objects, panel);
        panel.rows(&search.ask("POST", "/dashboards-*/_search", &panel.body(&objects, searched).to_string()))
    };

    assert_eq!(rows("ogrt-totals", ""), json!([[46.0, 8, 6, 3]]));
    assert_eq!(
        rows("ogrt-software", ""),
        json!([
            ["gromacs", 32.0, 2, 2, 2],
            ["lammps", 6.0, 2, 2, 2],
            ["(unknown)", 4.0, 3, 2, 1],
            ["noted", 4.0, 1, 1, 1]
        ])
    );
    // The weeks begin on 9 and 16 March.
    assert_eq!(
        rows("ogrt-hours-by-week", ""),
        json!([
            ["2026-03-09", "gromacs", 12.0],
            ["2026-03-09", "lammps", 5.0],
            ["2026-03-09", "(unknown)", 4.0],
            ["2026-03-16", "gromacs", 20.0],
            ["2026-03-16", "noted", 4.0],
            ["2026-03-16", "lammps", 1.0],
            ["2026-03-16", "(unknown)", 0.0]
        ])
    );
    assert_eq!(
        rows("ogrt-users", ""),
        json!([["bob", 25.0, 2, 2, 2], ["ada", 13.0, 2, 2, 2], ["eve", 8.0, 4, 2, 1]])
    );
    assert_eq!(rows("ogrt-accounts", ""), json!([["chem", 33.0, 3, 3, 2], ["bio", 13.0, 5, 3, 2]]));
    assert_eq!(rows("ogrt-registered", ""), json!([["registered", 38.0], ["not registered", 8.0]]));
    assert_eq!(
        rows("ogrt-unregistered", ""),
        json!([["/home/eve/a.out", 2, 1, 1], ["/home/eve/noted", 1, 1, 1]])
    );
    assert_eq!(
        rows("ogrt-failures", ""),
        json!([
            ["/home/eve/a.out", "signal 11", 2, 1, 1],
            ["/apps/gmx", "signal 9", 1, 1, 1],
            ["/apps/lmp", "exit 1", 1, 1, 1],
            ["/home/eve/noted", "signal 9", 1, 1, 1],
            ["/usr/bin/ls", "exit 2", 1, 1, 1]
        ])
    );
    assert_eq!(
        rows("ogrt-failures-by-day", ""),
        json!([
            ["2026-03-10", "exit 1", 1],
            ["2026-03-10", "signal 11", 1],
            ["2026-03-11", "signal 11", 1],
            ["2026-03-17", "signal 9", 1],
            ["2026-03-18", "exit 2", 1],
            ["2026-03-18", "signal 9", 1]
        ])
    );
    assert_eq!(
        rows("ogrt-compilers", ""),
        json!([["(unknown)", 1, 1, 1, 1], ["clang 17.0.6", 1, 2, 2, 2], [gcc, 1, 2, 2, 2]])
    );

    assert_eq!(rows("ogrt-libraries", ""), json!([["fftw", 2, 2, 2]]));
    let last = |number: usize| (MONDAY_NS + PROCESSES[number].4 * DAY_NS) as f64 / 1e6;
    let searched = documented_search();
    assert_eq!(
        rows("ogrt-library-users", &searched),
        json!([
            ["ada", 1, 1, last(0)],
            ["bob", 1, 1, last(1)],
            ["eve", 1, 1, last(LATER_WITH_FFTW) + (DAY_NS / 2) as f64 / 1e6]
        ])
    );
    assert_eq!(
        rows("ogrt-library-programs", &searched),
        json!([["/apps/gmx", 2, 2], ["/home/eve/a.out", 1, 1]])
    );

    // That memory was short is told by a node's own server alone, as in this document of one.
    let ended = json!({"oom_killed": true, "ended_by": "signal", "signal": 9});
    let document = json!({
        "@timestamp": "2026-03-20T00:00:00Z", "type": "end", "binpath": "/apps/big", "end": ended
    });
    search.ask("PUT", "/dashboards-of-a-node/_doc/1?refresh=true", &document.to_string());
    let failures = rows("ogrt-failures", "");
    let ending = failures.as_array().unwrap().iter().find(|row| row[0] == "/apps/big").unwrap();
    assert_eq!(ending[1], "out of memory");

    let panels: BTreeSet<String> = objects.of_type("visualization").map(str::to_owned).collect();
    assert_eq!(asked.into_inner(), panels, "a panel is not tested");
    objects_can_be_kept(search, &objects);
}

/// The search that docs/dashboards.md tells for the users of a library.
fn documented_search() -> String {
    let text = include_str!("../../../../docs/dashboards.md");
    let line = text.lines().find(|line| line.starts_with("shared_objects.build.name:fftw"));
    line.expect("docs/dashboards.md tells how to search for fftw").to_owned()
}

/// Holds each field of the index pattern against the index: the same type, and none is missing.
fn fields_are_those_of_the_index(search: &SearchEngine, objects: &SavedObjects) {
    let found = search.ask("GET", "/dashboards-*/_field_caps?fields=*", "");
    let mut compared = 0;
    for (name, types) in found["fields"].as_object().unwrap() {
        let (kind, capabilities) = types.as_object().unwrap().iter().next().unwrap();
        if name.starts_with('_') || matches!(kind.as_str(), "object" | "nested") {
            continue;
        }
        let field = objects.fields.get(name);
        let field = field.unwrap_or_else(|| panic!("the index has {name}, and the index pattern has not"));
        assert_eq!(field["esTypes"], json!([kind]), "{name}");
        for capability in ["searchable", "aggregatable"] {
            assert_eq!(field[capability], capabilities[capability], "{name}: {capability}");
        }
        compared += 1;
    }
    assert!(compared > 80, "only {compared} fields: is the template there?");
}

/// Keeps the objects in the index where Dashboards and Kibana keep theirs, under its mapping for
/// them, and reads them back.
fn objects_can_be_kept(search: &SearchEngine, objects: &SavedObjects) {
    let text = json!({"type": "text"});
    let of_each = json!({"properties": {
        "title": text, "description": text, "fields": text, "fieldFormatMap": text, "visState": text,
        "timeFieldName": {"type": "keyword"}, "uiStateJSON": text, "version": {"type": "integer"},
        "hits": {"type": "integer"}, "optionsJSON": text, "panelsJSON": text, "timeFrom": text,
        "timeTo": text, "timeRestore": {"type": "boolean"}, "refreshInterval": {"type": "object"},
        "kibanaSavedObjectMeta": {"properties": {"searchSourceJSON": text}}
    }, "dynamic": "strict"});
    let mapping = json!({"mappings": {"dynamic": "strict", "properties": {
        "type": {"type": "keyword"},
        "references": {"type": "nested", "properties": {
            "id": {"type": "keyword"}, "name": {"type": "keyword"}, "type": {"type": "keyword"}
        }},
        "migrationVersion": {"dynamic": "true", "type": "object"},
        "index-pattern": of_each, "visualization": of_each, "dashboard": of_each
    }}});
    let mut mapping = mapping;
    for kind in ["index-pattern", "visualization", "dashboard"] {
        mapping["mappings"]["properties"][kind]["properties"]["refreshInterval"] = json!({"properties": {
            "pause": {"type": "boolean"}, "value": {"type": "integer"}
        }});
    }
    search.ask("PUT", "/.kibana-dashboards", &mapping.to_string());
    for object in &objects.all {
        let (kind, name) = (object["type"].as_str().unwrap(), object["id"].as_str().unwrap());
        let mut kept = json!({
            "type": kind, "references": object["references"], "migrationVersion": object["migrationVersion"]
        });
        kept[kind] = object["attributes"].clone();
        search.ask("PUT", &format!("/.kibana-dashboards/_doc/{kind}:{name}"), &kept.to_string());
    }
    assert_eq!(search.count(".kibana-dashboards"), objects.all.len() as u64);
}

#[test]
fn saved_objects_name_only_what_is_there() {
    let objects = SavedObjects::read();
    let names: Vec<(&Value, &Value)> =
        objects.all.iter().map(|object| (&object["type"], &object["id"])).collect();
    let different: BTreeSet<String> = names.iter().map(|(_, id)| id.to_string()).collect();
    assert_eq!(different.len(), names.len(), "an id is there twice");
    for object in &objects.all {
        for reference in object["references"].as_array().unwrap() {
            let named = (&reference["type"], &reference["id"]);
            assert!(names.contains(&named), "{}: {reference} does not exist", object["id"]);
        }
    }
    for panel in objects.of_type("visualization") {
        let panel = Panel::of(&objects, panel);
        for field in panel.fields() {
            assert!(objects.fields.contains_key(&field), "{}: no field {field}", panel.id);
        }
    }
    let mut shown = BTreeSet::new();
    for board in objects.of_type("dashboard") {
        shown.extend(objects.panels_of(board));
    }
    assert_eq!(shown.len(), objects.of_type("visualization").count(), "a panel is on no dashboard");
}

#[test]
fn the_index_pattern_is_for_the_output_as_it_is() {
    let objects = SavedObjects::read();
    let pattern = objects.attributes("index-pattern", "ogrt-events");
    assert_eq!(pattern["timeFieldName"], "@timestamp");
    let printed = Command::new(SERVER).arg("print-default-config").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let index = printed.lines().find_map(|line| line.trim_start_matches("# ").strip_prefix("index = "));
    let index: String = serde_json::from_str(index.expect("the default index")).unwrap();
    assert_eq!(pattern["title"], format!("{index}-*"));
    // All that the template maps is known before the first event, or a dashboard that is opened too
    // early would lose its scripted fields.
    let mapping = include_str!("../../../src/outputs/elasticsearch/mapping.json");
    let mapping: Value = serde_json::from_str(mapping).unwrap();
    let mut missing = Vec::new();
    mapped(&mapping, "", &mut |name, kind| {
        if objects.fields.get(name).is_none_or(|field| field["esTypes"] != json!([kind])) {
            missing.push(name.to_owned());
        }
    });
    assert!(missing.is_empty(), "not in the index pattern, or with another type: {missing:?}");
}

/// Each field of a mapping with its type.
fn mapped(mapping: &Value, before: &str, field: &mut impl FnMut(&str, &str)) {
    for (name, inner) in mapping["properties"].as_object().unwrap() {
        if inner["properties"].is_object() {
            mapped(inner, &format!("{before}{name}."), field);
        } else {
            field(&format!("{before}{name}"), inner["type"].as_str().unwrap());
        }
    }
}
