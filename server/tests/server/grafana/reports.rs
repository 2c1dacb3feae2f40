//! The dashboard of reports: each address that it asks for, put to a real server that knows of
//! processes, and each column that it names.

use super::{board, queries};
use crate::{
    daemon::{Daemon, wait_for},
    sending::{id, send},
    site_in_a_box::site_token,
};
use ogrt_load::site::EventStream;
use ogrt_proto::{
    BuildMetadata, BuildRecord, EndedBy, MessageType, Note, ProcessEnd, ProcessInfo, Provenance, ToldBy,
    encode_frame,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

const HOUR_US: u64 = 3_600_000_000;

/// A server that knows, by a relay, of two processes of root: a registered one that works for 30
/// hours, and another one for 10 that fails.
fn server(now_ns: i64) -> Daemon {
    let directory = tempfile::tempdir().unwrap();
    let token = site_token(directory.path());
    let daemon = Daemon::start_in(directory, "");
    let signature = vec![9; 16];
    let metadata = BuildMetadata {
        name: Some("gromacs".into()),
        version: Some("2024.3".into()),
        compiler: Some("gcc 13.2.0".into()),
        ..Default::default()
    };
    let record = BuildRecord {
        signature: Some(signature.clone().into()),
        metadata: Some(metadata),
        ..Default::default()
    };
    send(&daemon, [encode_frame(MessageType::BuildRecord, &record)]);
    daemon.registrations_are_settled();
    let provenance = |pid: Option<i32>| {
        Some(Provenance {
            pid: pid.map(i32::unsigned_abs),
            uid: Some(0),
            gid: Some(0),
            ..Provenance::default()
        })
    };
    let mut relay = EventStream::connect(&daemon.tcp, Some(&token)).unwrap();
    let programs = [("/apps/gmx", Some(signature), 30, 0), ("/home/eve/a.out", None, 10, 1)];
    for (number, (path, signature, hours, status)) in programs.into_iter().enumerate() {
        let job = Some(format!("j{number}").into());
        let pid = Some(100 + number as i32);
        let note = |signature: Vec<u8>| Note { signature: Some(signature.into()), ..Default::default() };
        let start = ProcessInfo {
            event_id: Some(id(41, number as u64)),
            job_id: job.clone(),
            cluster: Some("alpha".into()),
            account: Some("bio".into()),
            nodes: Some(2),
            binpath: Some(path.into()),
            pid,
            hostname: Some("node1".into()),
            provenance: provenance(pid),
            start_time_ns: Some(now_ns - 60_000_000_000),
            notes: signature.map(note).into_iter().collect(),
            ..Default::default()
        };
        let end = ProcessEnd {
            event_id: Some(id(41, number as u64)),
            job_id: job,
            cluster: Some("alpha".into()),
            pid,
            hostname: Some("node1".into()),
            provenance: provenance(pid),
            time_ns: Some(now_ns),
            duration_ns: Some(60_000_000_000),
            user_time_us: Some(hours * HOUR_US),
            ended_by: Some(EndedBy::Exit as i32),
            exit_status: Some(status),
            told_by: Some(ToldBy::Kernel as i32),
            // As the server of a node tells it, with what the start had.
            start: Some(ProcessInfo { event_id: None, is_outermost: Some(true), ..start.clone() }),
            ..Default::default()
        };
        relay.send(&encode_frame(MessageType::ProcessInfo, &start)).unwrap();
        relay.send(&encode_frame(MessageType::ProcessEnd, &end)).unwrap();
    }
    relay.flush().unwrap();
    wait_for("both ends to be counted", || {
        let (_, report) = daemon.get("/v1/report?by=software");
        (report["total"]["cpu_us"] == 40 * HOUR_US).then_some(())
    });
    daemon
}

/// The rows of a query as the data source makes them: columns, and what is computed of them.
fn rows(answer: &Value, target: &Value, title: &str) -> Vec<BTreeMap<String, Value>> {
    let root = &answer[target["root_selector"].as_str().unwrap()];
    let found = match root {
        Value::Array(rows) => rows.iter().collect(),
        Value::Object(_) => vec![root],
        _ => panic!("{title}: no {} in {answer}", target["root_selector"]),
    };
    let mut seen = BTreeSet::new();
    let row = |row: &Value| {
        let mut cells = BTreeMap::new();
        for column in target["columns"].as_array().unwrap() {
            let [selector, text, kind] =
                ["selector", "text", "type"].map(|key| column[key].as_str().unwrap());
            let Some(value) = row.get(selector) else { continue };
            let fits = if kind == "number" { value.is_number() } else { value.is_string() };
            assert!(fits, "{title}: {selector} is {value} and not a {kind}");
            seen.insert(selector.to_owned());
            cells.insert(text.to_owned(), value.clone());
        }
        for column in target["computed_columns"].as_array().unwrap() {
            let expression = column["selector"].as_str().unwrap();
            let (name, divisor) = expression.split_once(" / ").expect("a division");
            let value = cells.get(name).unwrap_or_else(|| panic!("{title}: no column {name}"));
            let quotient = value.as_f64().unwrap() / divisor.parse::<f64>().unwrap();
            cells.insert(column["text"].as_str().unwrap().to_owned(), quotient.into());
        }
        cells
    };
    let rows = found.into_iter().map(row).collect();
    for column in target["columns"].as_array().unwrap() {
        let selector = column["selector"].as_str().unwrap();
        // A signal is there only where there was one.
        assert!(seen.contains(selector) || selector == "signal", "{title}: no {selector} in {answer}");
    }
    rows
}

#[test]
fn each_address_of_the_reports_dashboard_has_the_columns_that_it_names() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let daemon = server(now.as_nanos() as i64);
    let board = board("reports");
    let mut tables = BTreeMap::new();
    for (title, target) in queries(&board) {
        let address = target["url"].as_str().unwrap();
        let address = address.replace("${__from:date:seconds}", &(now.as_secs() - 30 * 86_400).to_string());
        let address = address.replace("${__to:date:seconds}", &(now.as_secs() + 60).to_string());
        assert!(!address.contains('$'), "{address}: a variable is not known");
        let (status, answer) = daemon.get(&address);
        assert_eq!(status, 200, "{title}: {address}: {answer}");
        let rows = rows(&answer, &target, &title);
        assert!(!rows.is_empty(), "{title}: nothing");
        tables.insert((title, target["refId"].as_str().unwrap().to_owned()), rows);
    }
    let table = |title: &str, query: &str| &tables[&(title.to_owned(), query.to_owned())];
    let first = |title: &str, column: &str| table(title, "A")[0][column].clone();
    assert_eq!(first("In all", "CPU-hours"), 40.0);
    assert_eq!(first("In all", "Jobs"), 2);
    assert_eq!(first("Software by CPU-hours", "Software"), "gromacs");
    assert_eq!(first("Software by CPU-hours", "Version"), "2024.3");
    assert_eq!(first("Software by CPU-hours", "CPU-hours"), 30.0);
    assert_eq!(first("Software by CPU-hours", "Share"), 0.75);
    let share = "Registered or not, by CPU-hours";
    assert_eq!(table(share, "A")[0]["registered"], 30.0);
    assert_eq!(table(share, "B")[0]["not registered"], 10.0);
    assert_eq!(first("Accounts by month, in CPU-hours", "Account"), "bio");
    assert_eq!(first("Users", "User"), "root");
    assert_eq!(first("Compilers of what ran", "Compiler"), "gcc 13.2.0");
    assert_eq!(first("Programs that nobody registered", "Program"), "/home/eve/a.out");
    assert_eq!(table("Jobs that failed", "A").len(), 1);
    assert_eq!(first("Jobs that failed", "State"), "failed");
    assert_eq!(first("Jobs that failed", "Exit status"), 1);
    let start_ms = first("Jobs that failed", "Start").as_f64().unwrap();
    assert!((start_ms - now.as_millis() as f64).abs() < 600_000.0, "{start_ms}");
}

#[test]
fn what_panels_do_with_columns_names_columns_that_are_there() {
    for panel in board("reports")["panels"].as_array().unwrap() {
        let title = &panel["title"];
        let mut columns = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            for column in
                ["columns", "computed_columns"].iter().flat_map(|key| target[*key].as_array().unwrap())
            {
                columns.insert(column["text"].as_str().unwrap());
            }
        }
        let mut named = BTreeSet::new();
        for transformation in panel["transformations"].as_array().unwrap() {
            let options = &transformation["options"];
            for key in ["excludeByName", "indexByName"] {
                named.extend(options[key].as_object().into_iter().flatten().map(|(name, _)| name.as_str()));
            }
            named.extend(
                ["columnField", "rowField", "valueField"].iter().filter_map(|key| options[*key].as_str()),
            );
        }
        let overrides = panel["fieldConfig"]["overrides"].as_array().unwrap();
        named.extend(overrides.iter().map(|each| each["matcher"]["options"].as_str().unwrap()));
        let missing: Vec<_> = named.difference(&columns).collect();
        assert!(missing.is_empty(), "{title}: no columns {missing:?}");
    }
}
