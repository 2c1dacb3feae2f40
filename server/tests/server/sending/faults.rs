//! Every fault that a receiver can have, in turn and under load, in front of a real OpenSearch.
//!
//! While OpenSearch is stopped, answers 429 or 503, hangs, or closes in the middle of an answer,
//! nothing is lost, nothing is there twice, and the `file` output does not notice; one document in
//! a hundred is refused by the real mapping, and exactly those are in the file of dead letters. It
//! would fail if the offset in the queue moved on before an answer, if a part of a request that
//! failed were forgotten, or if an output waited for another.

use super::{
    assert_same, dead_letters,
    http::{self, Answer, How},
    id_text,
    services::SearchEngine,
    start, wait_for_output,
};
use crate::daemon::{Acknowledged, Daemon, wait_for};
use ogrt_proto::{MessageType, encode_frame};
use std::{
    collections::BTreeSet,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What the proxy in front of OpenSearch does with every other request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Status(u16),
    Hangs,
    ClosesMidBody,
}

/// At their full size faults last as long as the issue says: OpenSearch is away for two minutes.
fn lasting(short: u64, full: u64) -> Duration {
    let is_full = std::env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    Duration::from_secs(if is_full { full } else { short })
}

/// An event of which OpenSearch refuses one in a hundred: it wants a number.
fn frame(number: u64) -> bytes::Bytes {
    let mut start = start(6, number);
    start.job_step = Some(if number % 100 == 42 { "none".to_owned() } else { number.to_string() }.into());
    encode_frame(MessageType::ProcessInfo, &start)
}

fn id(number: u64) -> String {
    id_text(6, number)
}

/// Sends events with short pauses alone until told to stop. Returns how many were acknowledged.
fn load(address: String, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = Acknowledged::new(TcpStream::connect(&address).unwrap());
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..20 {
                stream.send(&frame(number)).unwrap();
                number += 1;
            }
            acknowledged.store(stream.wait_for(number).unwrap(), Ordering::Relaxed);
            thread::sleep(Duration::from_millis(20));
        }
    })
}

#[test]
fn no_fault_of_the_receiver_loses_an_event_or_slows_another_output() {
    let Some(mut search) = SearchEngine::own() else { return };
    let wants = r#"{"index_patterns":["faulty-*"],"template":{"mappings":{"properties":{
        "job_step":{"type":"integer"},"event_id":{"type":"keyword"},"type":{"type":"keyword"}}}}}"#;
    search.ask("PUT", "/_index_template/faulty", wants);
    let fault = Arc::new(Mutex::new(Fault::None));
    let (now, turn) = (fault.clone(), AtomicU64::new(0));
    let proxy = http::proxy(&search.address, move |_, real| {
        let fault = *now.lock().unwrap();
        if turn.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
            // Even in bad times some requests work.
            return real();
        }
        match fault {
            Fault::None => real(),
            Fault::Status(status) => Answer::new(status, "{\"error\":\"by the test\"}"),
            Fault::Hangs => Answer { how: How::Never, ..Answer::new(200, "") },
            // The documents are taken, and we do not hear of it.
            Fault::ClosesMidBody => Answer { how: How::Half, ..real() },
        }
    });
    let daemon = Daemon::start(&format!(
        "[outputs.search]\ntype = \"elasticsearch\"\nurls = [\"http://{proxy}\"]\nindex = \"faulty\"\ntemplate = false\n\
         batch_events = 200\nlinger = \"20ms\"\ntimeout = \"1s\"\nbackoff_max = \"500ms\"\n"
    ));
    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let sender = load(daemon.tcp.clone(), acknowledged.clone(), stop.clone());
    let lines = || daemon.metric("ogrt_events_written_total{output=\"lines\"}");
    let mut slowest = Duration::ZERO;
    // The other output has whatever was acknowledged, at once.
    let mut watch_the_file = |phase: Duration| {
        let since = Instant::now();
        while since.elapsed() < phase {
            let sent = acknowledged.load(Ordering::Relaxed);
            let asked = Instant::now();
            wait_for("the file output", || (lines() >= sent).then_some(()));
            slowest = slowest.max(asked.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
    };
    let set = |new: Fault| *fault.lock().unwrap() = new;
    watch_the_file(Duration::from_secs(1));
    for new in [Fault::Status(429), Fault::Status(503), Fault::Hangs, Fault::ClosesMidBody] {
        set(new);
        watch_the_file(lasting(3, 20));
        assert!(daemon.metric("ogrt_output_retries_total{output=\"search\"}") > 0, "{new:?} was not noticed");
    }
    set(Fault::None);
    search.kill();
    watch_the_file(lasting(4, 120));
    assert_eq!(daemon.get("/healthz").1["outputs"]["search"]["state"], "failing");
    assert_eq!(daemon.get("/healthz").1["outputs"]["lines"]["state"], "up");
    search.restart();
    watch_the_file(Duration::from_secs(1));
    stop.store(true, Ordering::Relaxed);
    sender.join().unwrap();

    let sent = acknowledged.load(Ordering::Relaxed);
    let refused: BTreeSet<String> = (0..sent).filter(|number| number % 100 == 42).map(id).collect();
    let taken: BTreeSet<String> = (0..sent).map(id).filter(|id| !refused.contains(id)).collect();
    assert!(refused.len() > 20, "only {sent} events were sent");
    wait_for_output(&daemon, "search", sent);
    // As a set and by number: each is there, once.
    assert_same(&search.ids("faulty-*"), &taken);
    assert_eq!(search.count("faulty-*"), taken.len() as u64);
    let letters = dead_letters(&daemon, "search");
    let put_aside: Vec<String> = letters.iter().map(|l| l["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(put_aside.len(), refused.len(), "some were put aside twice");
    assert_same(&put_aside.into_iter().collect(), &refused);
    assert_eq!(daemon.metric("ogrt_events_written_total{output=\"lines\"}"), sent);
    let known = daemon.metric("ogrt_events_already_written_total{output=\"search\"}");
    assert!(known > 0, "no answer was cut off after the documents had been taken");
    println!(
        "{sent} events, {} refused, {known} sent twice and there once, file output at most {slowest:?} behind",
        refused.len()
    );
    // A pause of the receiver lasts 30 s and more; another output delivers in a fraction of that.
    assert!(slowest < Duration::from_secs(3), "the file output was {slowest:?} behind");
}
