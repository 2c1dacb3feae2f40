//! Outputs that send over a network, each against the real receiver.

mod elasticsearch;
mod faults;
mod http;
mod services;

use crate::daemon::{Daemon, wait_for};
use bytes::Bytes;
use ogrt_proto::{MessageType, ProcessEnd, ProcessInfo, encode_frame};

/// The start of a process, which a test fills in.
fn start(series: u64, number: u64) -> ProcessInfo {
    ProcessInfo {
        event_id: Some(id(series, number)),
        job_id: Some(format!("job{}", number % 7).into()),
        pid: Some(number as i32),
        binpath: Some(format!("/apps/program{}", number % 10).into()),
        ..Default::default()
    }
}

/// The end of the same.
fn end(series: u64, number: u64) -> ProcessEnd {
    ProcessEnd {
        event_id: Some(id(series, number)),
        job_id: Some(format!("job{}", number % 7).into()),
        duration_ns: Some(1_000 + number),
        ..Default::default()
    }
}

fn id(series: u64, number: u64) -> Bytes {
    Bytes::copy_from_slice(uuid::Uuid::from_u64_pair(series, number).as_bytes())
}

/// The identifiers that documents of starts get.
fn start_ids(series: u64, numbers: std::ops::Range<u64>) -> std::collections::BTreeSet<String> {
    numbers.map(|number| uuid::Uuid::from_u64_pair(series, number).to_string()).collect()
}

/// Sends events and waits until the server has promised to keep them.
fn send(daemon: &Daemon, frames: impl IntoIterator<Item = Bytes>) {
    let mut stream = daemon.acknowledged();
    let mut sent = 0;
    for frame in frames {
        stream.send(&frame).unwrap();
        sent += 1;
    }
    stream.wait_for(sent).unwrap();
}

fn starts(series: u64, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Bytes> {
    numbers.map(move |number| encode_frame(MessageType::ProcessInfo, &start(series, number)))
}

fn ends(series: u64, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Bytes> {
    numbers.map(move |number| encode_frame(MessageType::ProcessEnd, &end(series, number)))
}

/// Waits until an output has so many documents behind it: written, known before, or put aside.
fn wait_for_output(daemon: &Daemon, output: &str, documents: u64) {
    wait_for(&format!("{documents} documents through {output}"), || {
        let count = |metric: &str| daemon.metric(&format!("{metric}{{output=\"{output}\"}}"));
        let done = count("ogrt_events_written_total")
            + count("ogrt_events_already_written_total")
            + count("ogrt_events_dead_letters_total");
        (done >= documents).then_some(())
    });
}

/// Lines of the file of dead letters.
fn dead_letters(daemon: &Daemon, output: &str) -> Vec<serde_json::Value> {
    let path = daemon.path().join(format!("data/dead-letters/{output}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
