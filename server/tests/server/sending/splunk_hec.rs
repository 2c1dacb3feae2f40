//! `splunk_hec` against a receiver that keeps to Splunk's manual of the HTTP Event Collector. (A
//! Splunk itself cannot be had for a test.) It has a token, channels, acknowledgements that take
//! their time, a queue that is full at times, and refuses an event whose `job_step` it does not
//! like, and the request with it.

use super::{
    assert_same, dead_letters,
    http::{self, Answer, How, Request},
    id_text, send, start, wait_for_output,
};
use crate::daemon::{Daemon, wait_for};
use flate2::read::GzDecoder;
use ogrt_proto::{MessageType, encode_frame};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    sync::{Arc, Mutex},
};

/// What the receiver holds.
#[derive(Default)]
struct Splunk {
    /// Events whose acknowledgement was given.
    indexed: Vec<Value>,
    /// Requests taken, by channel and number, with how often they were asked for.
    waiting: BTreeMap<(String, u64), (Vec<Value>, u32)>,
    requests: u64,
}

impl Splunk {
    fn answer(&mut self, request: &Request) -> Answer {
        let refuse = |status, text: &str, code: u32| {
            Answer::new(status, json!({"text": text, "code": code}).to_string())
        };
        match request.header("authorization") {
            None => return refuse(401, "Token is required", 2),
            Some("Splunk 11111111-2222-3333-4444-555555555555") => {}
            Some(_) => return refuse(403, "Invalid token", 4),
        }
        let Some(channel) = request.header("x-splunk-request-channel") else {
            return refuse(400, "Data channel is missing", 10);
        };
        let path = request.path.split('?').next().unwrap();
        match (request.method.as_str(), path) {
            ("GET", "/services/collector/health") => refuse(200, "HEC is healthy", 17),
            ("POST", "/services/collector/ack") => {
                assert!(request.path.ends_with(&format!("?channel={channel}")), "{}", request.path);
                let asked: Value = serde_json::from_slice(&request.body).unwrap();
                let ids = asked["acks"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap());
                let acks: serde_json::Map<String, Value> =
                    ids.map(|id| (id.to_string(), self.acknowledged(channel, id).into())).collect();
                Answer::new(200, json!({ "acks": acks }).to_string())
            }
            ("POST", "/services/collector/event") => self.take(request, channel),
            _ => refuse(404, "The requested URL was not found on this server.", 404),
        }
    }

    fn take(&mut self, request: &Request, channel: &str) -> Answer {
        self.requests += 1;
        if self.requests % 5 == 2 {
            return Answer::new(503, r#"{"text":"Server is busy","code":9}"#);
        }
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        GzDecoder::new(request.body.as_slice()).read_to_string(&mut text).unwrap();
        let events: Vec<Value> =
            serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap();
        if let Some(bad) = events.iter().position(|event| event["event"]["job_step"] == "bad") {
            let problem = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": bad});
            return Answer::new(400, problem.to_string());
        }
        let id = self.requests;
        self.waiting.insert((channel.to_owned(), id), (events, 0));
        let taken = Answer::new(200, json!({"text": "Success", "code": 0, "ackId": id}).to_string());
        // Some answers do not arrive.
        if self.requests % 7 == 3 { Answer { how: How::Closed, ..taken } } else { taken }
    }

    /// Asked a second time, it is indexed; and an acknowledgement is given once.
    fn acknowledged(&mut self, channel: &str, id: u64) -> bool {
        let key = (channel.to_owned(), id);
        let Some((_, asked)) = self.waiting.get_mut(&key) else { return false };
        *asked += 1;
        if *asked < 2 {
            return false;
        }
        self.indexed.extend(self.waiting.remove(&key).unwrap().0);
        true
    }
}

fn receiver() -> (String, Arc<Mutex<Splunk>>) {
    let splunk: Arc<Mutex<Splunk>> = Arc::default();
    let answering = splunk.clone();
    (http::receiver(move |request| answering.lock().unwrap().answer(&request)), splunk)
}

fn output(address: &str, token: &str) -> String {
    format!(
        "[outputs.splunk]\ntype = \"splunk_hec\"\nurl = \"http://{address}\"\ntoken_file = \"{token}\"\nindex = \"hpc\"\n\
         batch_events = 100\nlinger = \"10ms\"\nbackoff_max = \"200ms\"\n"
    )
}

#[test]
fn events_are_indexed_and_acknowledged_and_a_bad_one_is_put_aside() {
    let (address, splunk) = receiver();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "11111111-2222-3333-4444-555555555555\n").unwrap();
    let daemon = Daemon::start(&output(&address, token.to_str().unwrap()));
    let frames = (0..1500).map(|number| {
        let mut start = start(12, number);
        start.start_time_ns = Some(1_700_000_000_123_456_789);
        start.job_step = Some(if number % 500 == 250 { "bad" } else { "good" }.into());
        encode_frame(MessageType::ProcessInfo, &start)
    });
    send(&daemon, frames);
    wait_for_output(&daemon, "splunk", 1500);
    let refused: BTreeSet<String> = [250, 750, 1250].map(|number| id_text(12, number)).into();
    let letters = dead_letters(&daemon, "splunk");
    let put_aside: Vec<String> = letters.iter().map(|l| l["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((put_aside.len(), put_aside.into_iter().collect()), (3, refused.clone()));
    assert!(letters[0]["reason"].as_str().unwrap().contains("Invalid data format"), "{}", letters[0]);
    let splunk = splunk.lock().unwrap();
    let indexed: BTreeSet<String> =
        splunk.indexed.iter().map(|event| event["event"]["event_id"].as_str().unwrap().to_owned()).collect();
    let expected: BTreeSet<String> =
        (0..1500).map(|number| id_text(12, number)).filter(|id| !refused.contains(id)).collect();
    assert_same(&indexed, &expected);
    let one = &splunk.indexed[0];
    assert_eq!(
        (&one["source"], &one["sourcetype"], &one["index"]),
        (&"ogrt".into(), &"_json".into(), &"hpc".into())
    );
    assert_eq!(one["time"], 1_700_000_000.123);
}

#[test]
fn a_wrong_token_is_trouble_and_nothing_is_put_aside() {
    let (address, splunk) = receiver();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "wrong").unwrap();
    let daemon = Daemon::start(&output(&address, token.to_str().unwrap()));
    send(&daemon, [encode_frame(MessageType::ProcessInfo, &start(13, 1))]);
    let problem = wait_for("bad health", || {
        let (status, health) = daemon.get("/healthz");
        let problem = health["outputs"]["splunk"]["problem"].as_str()?.to_owned();
        (status == 503).then_some(problem)
    });
    assert!(problem.contains("Invalid token"), "{problem}");
    // Exchanged while the server runs.
    fs::write(&token, "11111111-2222-3333-4444-555555555555").unwrap();
    wait_for("the event", || (splunk.lock().unwrap().indexed.len() == 1).then_some(()));
    assert!(dead_letters(&daemon, "splunk").is_empty());
}
