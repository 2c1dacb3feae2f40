//! Large jobs: answered whole, page after page, in bounded memory, to many readers at once.

use crate::{
    backend::on_every_store,
    daemon::{Acknowledged, Daemon, wait_for},
};
use ogrt_proto::{Hello, MessageType, ProcessEnd, ProcessInfo, encode_frame};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    net::TcpStream,
    thread::{scope, sleep},
    time::{Duration, Instant},
};

/// The number of processes, which is a million where the whole tests run.
fn size(usual: u64) -> u64 {
    if std::env::var_os("OGRT_TEST_FULL").is_some() { 1_000_000 } else { usual }
}

fn id(number: u64) -> Option<bytes::Bytes> {
    let mut id = [9; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Some(id.to_vec().into())
}

/// Sends a job, whose ends come in another order than its starts; each process is one of so many
/// programs.
pub fn send_job(daemon: &Daemon, job: &str, processes: u64, programs: u64) {
    let stream = TcpStream::connect(&daemon.tcp).unwrap();
    let mut stream = Acknowledged::greet(stream, &Hello::default()).unwrap();
    let start = |number: u64| {
        let info = ProcessInfo {
            event_id: id(number),
            job_id: Some(job.to_owned().into()),
            binpath: Some(format!("/sw/app/{}", number % programs).into()),
            ..ProcessInfo::default()
        };
        encode_frame(MessageType::ProcessInfo, &info)
    };
    let end = |number: u64| {
        let end = ProcessEnd {
            event_id: id(number),
            job_id: Some(job.to_owned().into()),
            duration_ns: Some(number),
            ..ProcessEnd::default()
        };
        encode_frame(MessageType::ProcessEnd, &end)
    };
    let mut sent = 0;
    let mut send = |frames: &mut dyn Iterator<Item = bytes::Bytes>| {
        let frames: Vec<_> = frames.collect();
        sent += frames.len() as u64;
        stream.send(&frames.concat()).unwrap();
        stream.wait_for(sent).unwrap();
    };
    for from in (0..processes).step_by(2000) {
        send(&mut (from..processes.min(from + 2000)).map(start));
    }
    for from in (0..processes).step_by(2000) {
        send(&mut (from..processes.min(from + 2000)).map(|number| end(number * 7919 % processes)));
    }
}

fn processes(page: &Value) -> impl Iterator<Item = (&str, Option<u64>)> {
    let all = page["processes"].as_array().unwrap().iter();
    all.map(|process| (process["binpath"].as_str().unwrap(), process["end"]["duration_ns"].as_u64()))
}

/// The address of the next part in a page, and the number of lines in this one.
fn next_part(html: &str) -> (Option<String>, usize) {
    let next = html.split("data-next=\"").nth(1).and_then(|rest| rest.split('"').next());
    let next = next.filter(|next| !next.is_empty()).map(|next| next.replace("&amp;", "&"));
    (next, html.matches("<tr").count())
}

on_every_store! {
fn a_large_job_is_answered_whole_in_pages_and_in_bounded_memory(backend) {
    let count = size(6_011);
    let daemon = backend.start("[jobs]\nanswer_processes_max = 4000\n");
    send_job(&daemon, "large", count, count);
    wait_for("the job to be kept", || (daemon.metric("ogrt_jobs_lag_batches") == 0).then_some(()));
    let memory = daemon.metric("process_resident_memory_bytes");
    // A client that knows of no pages is told that it has not all.
    let (_, first) = daemon.get("/v1/jobs/large");
    assert_eq!((processes(&first).count(), &first["truncated"]), (4_000, &Value::Bool(true)));
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let (status, page) = daemon.get(&format!("/v1/jobs/large?limit=1500&cursor={cursor}"));
        assert_eq!((status, &page["truncated"]), (200, &Value::Null), "{}", page["detail"]);
        for (path, duration) in processes(&page) {
            let number: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(duration, Some(number), "{path}");
            assert!(seen.insert(number), "{path} twice");
        }
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((seen.len() as u64, pages), (count, count.div_ceil(1500)));
    let grown = daemon.metric("process_resident_memory_bytes").saturating_sub(memory);
    assert!(grown < 64 << 20, "{} MiB more than before", grown >> 20);
    assert_eq!(daemon.get("/v1/jobs/large?cursor=nonsense").0, 400);
}

fn the_page_of_a_large_job_opens_at_once_and_goes_on(backend) {
    let count = size(6_011);
    let daemon = backend.start("");
    send_job(&daemon, "large", count, 1_000);
    for lag in ["ogrt_jobs_lag_batches", "ogrt_uses_lag_batches"] {
        // A million takes its time; what stands still is stuck.
        let mut left = u64::MAX;
        while left > 0 {
            let before = left;
            left = wait_for("more of the job to be counted", || {
                Some(daemon.metric(lag)).filter(|now| *now < before)
            });
        }
    }
    // What is counted in memory is written at the first question that wants it.
    wait_for("the list to have the job", || {
        daemon.get("/v1/jobs?job_id=large").1.get("counted_until_ns").is_none().then_some(())
    });
    let page = |address: &str| {
        let since = Instant::now();
        let (status, body) = daemon.http("GET", address, &[]);
        let html = String::from_utf8(body).unwrap();
        assert_eq!(status, 200, "{address}: {}", &html[..html.len().min(500)]);
        assert!(html.len() < 3 << 20, "{address} has {} bytes", html.len());
        (html, since.elapsed())
    };
    let (first, opened) = page("/job?id=large");
    println!("the page of {count} processes: {} KB in {opened:?}", first.len() >> 10);
    // The bound is for the size that the documents claim, with an optimised server.
    assert!(cfg!(debug_assertions) || opened < Duration::from_secs(1), "it opened in {opened:?}");
    assert!(first.contains("The first 500 processes") && first.contains("further processes"));
    let (mut next, mut lines) = next_part(&first);
    let (mut parts, mut slowest) = (0, Duration::ZERO);
    while let Some(address) = next {
        let (html, took) = page(&address);
        let (following, added) = next_part(&html);
        (next, lines, parts, slowest) = (following, lines + added, parts + 1, slowest.max(took));
        // A few parts of a million tell as much as all of them.
        if parts == 40 {
            next = None;
        }
    }
    println!("{parts} further parts, the slowest in {slowest:?}");
    let expected = count.min(500 + 40 * 500);
    assert!(lines as u64 >= expected, "{lines} lines of {expected} processes");
}

fn many_readers_of_a_large_job_hold_up_nobody(backend) {
    let daemon = backend.start("");
    send_job(&daemon, "large", 5_000, 5_000);
    wait_for("the job to be kept", || (daemon.metric("ogrt_jobs_lag_batches") == 0).then_some(()));
    let memory = daemon.metric("process_resident_memory_bytes");
    let mut largest = 0;
    scope(|scope| {
        let read = || {
            let (status, page) = daemon.get("/v1/jobs/large");
            assert_eq!((status, processes(&page).count()), (200, 5_000));
        };
        let readers: Vec<_> = (0..24).map(|_| scope.spawn(read)).collect();
        while readers.iter().any(|reader| !reader.is_finished()) {
            let asked = Instant::now();
            assert_eq!(daemon.get("/healthz").0, 200);
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            largest = largest.max(daemon.metric("process_resident_memory_bytes"));
            sleep(Duration::from_millis(50));
        }
    });
    let grown = largest.saturating_sub(memory);
    assert!(grown < 64 << 20, "{} MiB more than before", grown >> 20);
}
}
