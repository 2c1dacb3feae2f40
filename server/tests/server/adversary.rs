//! An adversary's minute: processes tell of themselves by every way that there is, and a forger,
//! who knows all ids at once, sends starts, ends, names, summaries, clocks and jobs under them.
//!
//! Afterwards every proved fact stands, every claim is marked, and no count is off by one. A seed
//! fixes what is sent; the order in which the sockets are read it does not fix. OGRT_TEST_FULL=1
//! takes eighty times as many processes.

use crate::{
    daemon::{Daemon, wait_for},
    identity::{OTHER, USER, end, id, relay_to, start, unfollowing, users},
    senders::{UserProcess, Way},
};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::{JobSummary, MessageType, ProcessInfo, Provenance, encode_frame};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    thread::sleep,
    time::{Duration, Instant},
};

const SEED: u64 = 22;

/// The duration that a forged end tells.
const FORGED_NS: u64 = 1;

/// The way of a true process's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// The process tells the server.
    Proved(Way),
    /// It tells a relay with a token.
    Relayed(Way),
    /// Its spool is delivered.
    Spooled,
    /// The same, at the relay.
    SpooledAtRelay,
    /// It claims all by UDP.
    Claimed,
}

const ROUTES: [Route; 8] = [
    Route::Proved(Way::Datagram),
    Route::Proved(Way::Stream),
    Route::Proved(Way::Greeted),
    Route::Relayed(Way::Datagram),
    Route::Relayed(Way::Stream),
    Route::Spooled,
    Route::SpooledAtRelay,
    Route::Claimed,
];

impl Route {
    fn of(number: u64) -> Route {
        ROUTES[number as usize % ROUTES.len()]
    }

    fn is_proved(self) -> bool {
        matches!(self, Route::Proved(_) | Route::Relayed(_))
    }
}

struct Stage {
    server: Daemon,
    relay: Daemon,
    /// A relay that has no token.
    rogue: Daemon,
    user: UserProcess,
    forger: UserProcess,
    random: u64,
    /// Processes under ids of their own that the forger has made up.
    invented: u64,
    summaries: u64,
}

impl Stage {
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Sends a true event on its route.
    fn tell(&mut self, number: u64, frame: Bytes) {
        let frames = [frame];
        match Route::of(number) {
            Route::Proved(way) => self.user.send(&self.server.unix, way, &frames),
            Route::Relayed(way) => self.user.send(&self.relay.unix, way, &frames),
            Route::Spooled => self.user.send(&self.server.unix, Way::PassedOn, &frames),
            Route::SpooledAtRelay => self.user.send(&self.relay.unix, Way::PassedOn, &frames),
            Route::Claimed => self.server.datagram(&frames[0]),
        }
    }

    fn true_start(&self, number: u64) -> Bytes {
        let info = ProcessInfo {
            uid: Some(USER),
            gid: Some(USER),
            username: Some("true-name".into()),
            hostname: Some("true-host".into()),
            ..ProcessInfo::default()
        };
        start(number, "minute", self.user.pid, info)
    }

    fn true_end(&self, number: u64) -> Bytes {
        end(number, "minute", self.user.pid, 1_000_000 + number)
    }

    /// One forgery about a process, by a way of chance.
    fn forge(&mut self, number: u64) {
        // What anybody claims by UDP, anybody may claim: there it is the first that counts.
        let is_claimed = Route::of(number) == Route::Claimed;
        let forger_pid = self.forger.pid;
        let provenance = Provenance {
            pid: Some(self.user.pid),
            uid: Some(USER),
            gid: Some(USER),
            via: Some("rack".into()),
            ..Provenance::default()
        };
        let lie = ProcessInfo {
            uid: Some(USER),
            username: Some("root".into()),
            cmdline: Some("forged".into()),
            start_time_ns: Some(1_600_000_000_000_000_000 + self.random(1 << 60) as i64),
            provenance: Some(provenance),
            ..ProcessInfo::default()
        };
        let ended = end(number, "minute", self.user.pid, FORGED_NS);
        match self.random(12) {
            0 if !is_claimed => self.server.datagram(&ended),
            1 if !is_claimed => {
                let mut stream = self.server.acknowledged();
                stream.send(&ended).unwrap();
                stream.wait_for(1).unwrap();
            }
            2 => self.forger.send(&self.server.unix, Way::Datagram, &[ended]),
            3 => {
                let own = end(number, "minute", forger_pid, FORGED_NS);
                self.forger.send(&self.server.unix, Way::Greeted, &[own]);
            }
            4 => self.forger.send(&self.server.unix, Way::PassedOn, &[ended]),
            5 if !is_claimed => self.server.datagram(&start(number, "minute", self.user.pid, lie)),
            6 => {
                let own = start(number, "minute", forger_pid, ProcessInfo { start_time_ns: None, ..lie });
                self.forger.send(&self.server.unix, Way::Datagram, &[own]);
            }
            7 => {
                self.invented += 1;
                self.server.datagram(&start(1_000_000 + self.invented, "minute", self.user.pid, lie));
            }
            8 => {
                self.summaries += 1;
                let summary = JobSummary {
                    event_id: Some(id(2_000_000 + self.summaries)),
                    job_id: Some("minute".into()),
                    starts: Some(1 << 40),
                    ..JobSummary::default()
                };
                self.server.datagram(&encode_frame(MessageType::JobSummary, &summary));
            }
            9 if !is_claimed => self.server.datagram(&end(number, "elsewhere", self.user.pid, FORGED_NS)),
            10 if !is_claimed => {
                self.rogue.datagram(&ended);
                self.rogue.datagram(&start(number, "minute", self.user.pid, lie));
            }
            11 => self.forger.send(&self.relay.unix, Way::PassedOn, &[ended]),
            _ => {}
        }
    }
}

#[test]
fn after_an_adversary_s_minute_every_proof_stands_and_every_claim_is_marked() {
    let Some([user, forger]) = users() else { return };
    let is_full = std::env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    let count: u64 = if is_full { 8_000 } else { 96 };
    let server = unfollowing("[jobs]\nanswer_processes_max = 1000000\n");
    let relay = relay_to(&server, Some("rack"), "");
    let rogue = relay_to(&server, None, "");
    let mut stage = Stage { server, relay, rogue, user, forger, random: SEED, invented: 0, summaries: 0 };
    for number in 0..count {
        let frame = stage.true_start(number);
        stage.tell(number, frame);
        for _ in 0..stage.random(4) {
            stage.forge(number);
        }
        // An end that overtakes its start, as sockets let it, is no less true.
        let frame = stage.true_end(number);
        stage.tell(number, frame);
        for _ in 0..stage.random(3) {
            stage.forge(number);
        }
    }
    let answer = |stage: &Stage| stage.server.get("/v1/jobs/minute").1;
    let begun = Instant::now();
    loop {
        let missing = missing(&answer(&stage), count);
        if missing.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{missing:#?}");
        sleep(Duration::from_millis(50));
    }
    // What was delivered, and lies in a spool besides.
    for number in (0..count).filter(|number| number % 3 == 0) {
        let frames = [stage.true_start(number), stage.true_end(number)];
        match Route::of(number) {
            Route::Claimed => frames.iter().for_each(|frame| stage.server.datagram(frame)),
            _ => stage.user.send(&stage.server.unix, Way::PassedOn, &frames),
        }
        stage.forge(number);
    }
    let lines = wait_for("the lines", || {
        let lines = stage.server.lines();
        (lines.iter().filter(|line| is_true(line)).count() as u64 >= count).then_some(lines)
    });
    let answer = answer(&stage);
    check_answer(&stage, &answer, count);
    check_lines(&lines, count);
    let (_, elsewhere) = stage.server.get("/v1/jobs/elsewhere");
    for process in elsewhere["processes"].as_array().into_iter().flatten() {
        assert_eq!(process["identity"], "claimed", "{process}");
    }
    assert_eq!(stage.server.metric("ogrt_summaries_refused_total"), stage.summaries);
}

/// The true processes that are not there with an end, and what is there in their place.
fn missing(answer: &Value, count: u64) -> Vec<(u64, Route, Vec<Value>)> {
    let mut of: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for process in answer["processes"].as_array().into_iter().flatten() {
        of.entry(number_of(process)).or_default().push(process.clone());
    }
    let is_there = |all: &[Value]| all.iter().any(|one| is_true(one) && !one["end"].is_null());
    let found = (0..count).map(|number| (number, Route::of(number), of.remove(&number).unwrap_or_default()));
    found.filter(|(_, _, all)| !is_there(all)).collect()
}

/// The start of a process that was there.
fn is_true(document: &Value) -> bool {
    document["hostname"] == "true-host"
}

fn check_answer(stage: &Stage, answer: &Value, count: u64) {
    assert_eq!(answer["summaries"], Value::Null);
    let mut invented = 0;
    let mut numbers = BTreeSet::new();
    for process in answer["processes"].as_array().unwrap() {
        let is_proved = process["identity"] == "kernel";
        if !is_true(process) {
            // The forger's own process, or what it claims.
            assert_eq!(process["cmdline"], "forged", "{process}");
            assert!(!is_proved || process["uid"] == OTHER, "{process}");
            invented += u64::from(number_of(process) > 1_000_000);
            continue;
        }
        let number = number_of(process);
        assert!(numbers.insert(number), "twice: {process}");
        assert_eq!(process["end"]["duration_ns"], 1_000_000 + number, "{process}");
        let route = Route::of(number);
        assert_eq!(is_proved, route.is_proved(), "{route:?} {process}");
        assert_eq!(process["uid"], USER, "{process}");
        assert!(!is_proved || process["username"] != "true-name", "a claimed name: {process}");
        let is_relayed = matches!(route, Route::Relayed(_) | Route::SpooledAtRelay);
        assert_eq!(process["via"] == "rack", is_relayed, "{process}");
    }
    assert_eq!((numbers.len() as u64, invented), (count, stage.invented));
}

/// Each true event is written once, and everything else is a claim, or the forger's own.
fn check_lines(lines: &[Value], count: u64) {
    let mut proved: BTreeMap<(u64, bool), u64> = BTreeMap::new();
    let mut starts = 0;
    for line in lines {
        let is_end = line["type"] == "end";
        starts += u64::from(is_true(line));
        if line["identity"] == "kernel" && line["uid"] == USER {
            let duration_ns = &line["end"]["duration_ns"];
            assert!(!is_end || *duration_ns == 1_000_000 + number_of(line), "{line}");
            *proved.entry((number_of(line), is_end)).or_default() += 1;
        }
    }
    let expected = (0..count).filter(|number| Route::of(*number).is_proved());
    let expected: BTreeMap<_, _> =
        expected.flat_map(|number| [((number, false), 1), ((number, true), 1)]).collect();
    assert_eq!(proved, expected);
    assert_eq!(starts, count, "starts that were counted twice, or not at all");
}

/// The number in an event's id.
fn number_of(document: &Value) -> u64 {
    let id = Signature::parse(document["event_id"].as_str().unwrap().as_bytes()).unwrap();
    u64::from_be_bytes(id.as_bytes()[8..].try_into().unwrap())
}
