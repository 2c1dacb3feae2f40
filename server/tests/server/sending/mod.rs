//! Outputs that send over a network, each against the real receiver.

mod dashboards;
mod elasticsearch;
mod faults;
pub mod http;
mod json_tcp;
mod kafka;
mod queries;
mod relay;
pub mod services;
mod splunk_hec;

use crate::daemon::{Daemon, wait_for};
use bytes::Bytes;
use ogrt_proto::{MessageType, ProcessEnd, ProcessInfo, encode_frame};
use std::{
    collections::BTreeSet,
    path::Path,
    process::{Child, Command},
};

/// A child that ends with this, as by a crash.
pub struct Ending(pub Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate for localhost and its key, as files.
fn certificate(directory: &Path) -> (String, String) {
    let file = |name: &str| directory.join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (file("cert.pem"), file("key.pem"))
}

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

pub fn id(series: u64, number: u64) -> Bytes {
    Bytes::copy_from_slice(uuid::Uuid::from_u64_pair(series, number).as_bytes())
}

/// The same as text, as documents have it.
fn id_text(series: u64, number: u64) -> String {
    uuid::Uuid::from_u64_pair(series, number).to_string()
}

/// Sends events and waits until the server has promised to keep them.
pub fn send(daemon: &Daemon, frames: impl IntoIterator<Item = Bytes>) {
    let mut stream = daemon.acknowledged();
    let mut sent = 0;
    for frame in frames {
        stream.send(&frame).unwrap();
        sent += 1;
    }
    stream.wait_for(sent).unwrap();
}

pub fn starts(series: u64, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Bytes> {
    numbers.map(move |number| encode_frame(MessageType::ProcessInfo, &start(series, number)))
}

fn ends(series: u64, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Bytes> {
    numbers.map(move |number| encode_frame(MessageType::ProcessEnd, &end(series, number)))
}

/// Waits, as long as it makes progress, until an output has this many documents behind it: written,
/// known to the receiver, or put aside.
fn wait_for_output(daemon: &Daemon, output: &str, documents: u64) {
    let count = |metric: &str| daemon.metric(&format!("{metric}{{output=\"{output}\"}}"));
    let mut done = 0;
    while done < documents {
        done = wait_for(&format!("more than {done} of {documents} documents through {output}"), || {
            let now = count("ogrt_events_written_total")
                + count("ogrt_events_already_written_total")
                + count("ogrt_events_dead_letters_total");
            (now > done).then_some(now)
        });
    }
}

/// Are these the same? If not, how do they differ?
fn assert_same(there: &BTreeSet<String>, expected: &BTreeSet<String>) {
    let difference = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
        let those: Vec<String> = a.difference(b).cloned().collect();
        (those.len(), those.into_iter().take(3).collect::<Vec<_>>())
    };
    let (missing, strange) = (difference(expected, there), difference(there, expected));
    assert!(there == expected, "of {} are missing {missing:?}, and {strange:?} are not ours", expected.len());
}

/// Lines of the file of dead letters.
fn dead_letters(daemon: &Daemon, output: &str) -> Vec<serde_json::Value> {
    let path = daemon.path().join(format!("data/dead-letters/{output}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
