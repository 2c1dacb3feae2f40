//! Processes that are followed until they end: each start has one end, with what the kernel says of
//! it.
//!
//! The processes are real ones (`tests/data/speaker.c`), which say of themselves that they started.

use super::{
    daemon::{Acknowledged, Daemon, build_frame, wait_for},
    identity::output_to,
};
use bytes::Bytes;
use nix::sys::signal::Signal;
use ogrt_proto::{MessageType, Note, ProcessEnd, ProcessInfo, ToldBy, encode_frame};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::net::{UnixDatagram, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::LazyLock,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// Stands for the time at which a speaker has begun.
pub const OWN_TIME: i64 = 1_111_111_111_111_111_111;

/// The event id in frames; a speaker puts a number in the place of its last four bytes.
const ID: [u8; 16] = [0xEE; 16];

/// Long enough for an end that would come to have come.
const A_WHILE: Duration = Duration::from_millis(400);

/// A server, and speakers that talk to it.
pub struct Stage {
    pub daemon: Daemon,
    files: TempDir,
    route: &'static str,
}

impl Stage {
    /// `None`, said aloud, where this machine has no compiler or its kernel tells no status.
    pub fn open(route: &'static str, more: &str) -> Option<Stage> {
        let Some(speaker) = SPEAKER.as_ref() else {
            assert!(std::env::var_os("CI").is_none(), "needs cc, and in CI a missing tool is a failure");
            eprintln!("skipped: needs cc");
            return None;
        };
        assert!(speaker.1.exists());
        let daemon = Daemon::start(more);
        let offer = daemon.get("/healthz").1["follow"].clone();
        if offer != "exit status" {
            assert!(offer == "exit time" || offer == "no", "{offer}");
            eprintln!("skipped: of a process that ends this kernel tells: {offer}");
            return None;
        }
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("end"), end_frame(ID, 777)).unwrap();
        let stage = Stage { daemon, files, route };
        stage.write_start(Some(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64));
        Some(stage)
    }

    /// The folder of the frames that speakers send.
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Has starts tell this time, or none.
    pub fn write_start(&self, start_time_ns: Option<i64>) {
        let start = ProcessInfo {
            event_id: Some(ID.to_vec().into()),
            binpath: Some("/speaker".into()),
            job_id: Some("f".into()),
            hostname: Some("node".into()),
            start_time_ns,
            ..Default::default()
        };
        fs::write(self.files.path().join("start"), encode_frame(MessageType::ProcessInfo, &start)).unwrap();
    }

    /// A process that does these words after it knows where to send.
    pub fn speak(&self, words: &str) -> Child {
        self.speak_as(words, &[])
    }

    /// The same, with further words as they are.
    fn speak_as(&self, words: &str, last: &[&str]) -> Child {
        self.speaker(words).args(last).spawn().unwrap()
    }

    /// A process that does these words when it is spawned.
    pub fn speaker(&self, words: &str) -> Command {
        let path = match self.route {
            "stream" => self.daemon.unix.display().to_string(),
            _ => format!("{}.dgram", self.daemon.unix.display()),
        };
        // What comes after an exec knows no more where to send.
        let words = words.replace("exec ", &format!("exec {} {path} ", self.route));
        let mut command = Command::new(&SPEAKER.as_ref().unwrap().1);
        command.args([self.route, &path]).args(words.split_whitespace()).current_dir(self.files.path());
        command
    }

    /// The ends by the numbers of their starts, once each of so many starts has one; none has two.
    fn ends(&self, starts: usize) -> BTreeMap<u32, Value> {
        let of_type = |kind: &Value| -> Vec<(u32, Value)> {
            let lines = self.daemon.lines().into_iter().filter(|line| line["type"] == *kind);
            lines.map(|line| (number(&line), line)).collect()
        };
        wait_for("each start and its end", || {
            (of_type(&Value::Null).len() == starts && of_type(&json!("end")).len() >= starts).then_some(())
        });
        sleep(A_WHILE);
        let ends = of_type(&json!("end"));
        let by_number: BTreeMap<u32, Value> = ends.iter().cloned().collect();
        assert_eq!((ends.len(), by_number.len()), (starts, starts), "{ends:?}");
        // The answer about the job says the same.
        let (_, job) = self.daemon.get("/v1/jobs/f");
        let processes = job["processes"].as_array().unwrap();
        assert_eq!(processes.len(), starts);
        for process in processes {
            assert_eq!(process["end"], by_number[&number(process)]["end"]);
        }
        by_number
    }
}

/// The program that speaks.
pub fn speaker() -> &'static PathBuf {
    &SPEAKER.as_ref().unwrap().1
}

static SPEAKER: LazyLock<Option<(TempDir, PathBuf)>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("speaker.c"), directory.path().join("speaker"));
    fs::write(&source, include_str!("../data/speaker.c")).unwrap();
    let built = Command::new("cc").args(["-pthread", "-o"]).args([&program, &source]).status();
    let status = built.ok()?;
    assert!(status.success(), "speaker.c");
    Some((directory, program))
});

pub fn number(document: &Value) -> u32 {
    let id = document["event_id"].as_str().unwrap();
    u32::from_str_radix(&id[id.len() - 8..], 16).unwrap()
}

fn id_of(number: u32) -> [u8; 16] {
    let mut id = ID;
    id[12..].copy_from_slice(&number.to_be_bytes());
    id
}

fn end_frame(id: [u8; 16], max_rss_kib: u64) -> Bytes {
    let end = ProcessEnd {
        event_id: Some(id.to_vec().into()),
        job_id: Some("f".into()),
        max_rss_kib: Some(max_rss_kib),
        user_time_us: Some(5),
        told_by: Some(ToldBy::Kernel as i32),
        ..Default::default()
    };
    encode_frame(MessageType::ProcessEnd, &end)
}

/// What an end says of how it came about.
pub fn how(end: &Value) -> Value {
    let end = &end["end"];
    assert_eq!(end["told_by"], "kernel", "{end}");
    json!([end["ended_by"], end["exit_status"], end["signal"], end["core_dumped"]])
}

#[test]
fn each_way_to_end_is_told_once_and_with_its_status() {
    for route in ["stream", "dgram"] {
        let Some(stage) = Stage::open(route, "") else { return };
        let ways = [
            ("return 0", json!(["exit", 0, null, null])),
            ("exit 3", json!(["exit", 3, null, null])),
            ("_exit 4", json!(["exit", 4, null, null])),
            ("kill 9", json!(["signal", null, 9, null])),
            ("kill 15", json!(["signal", null, 15, null])),
            ("segv", json!(["signal", null, 11, null])),
            ("thread 9", json!(["exit", 9, null, null])),
        ];
        let mut pids = Vec::new();
        for (index, (way, _)) in ways.iter().enumerate() {
            let mut child = stage.speak(&format!("number {index} send start sleep 30 {way}"));
            pids.push(child.id());
            child.wait().unwrap();
        }
        let ends = stage.ends(ways.len());
        for (index, (way, expected)) in ways.iter().enumerate() {
            let end = &ends[&(index as u32)];
            assert_eq!(how(end), *expected, "{way} by {route}");
            assert_eq!((&end["pid"], &end["hostname"]), (&pids[index].into(), &"node".into()));
            let duration = Duration::from_nanos(end["end"]["duration_ns"].as_u64().unwrap());
            assert!(duration > Duration::from_millis(30) && duration < Duration::from_secs(60), "{end}");
        }
        assert_eq!(stage.daemon.metric("ogrt_processes_followed"), 0);
        assert_eq!(stage.daemon.metric("ogrt_processes_unfollowed_total"), 0);
    }
}

#[test]
fn each_program_of_a_chain_of_execs_has_an_end() {
    for route in ["stream", "dgram"] {
        let Some(stage) = Stage::open(route, "") else { return };
        let chain = |sleep: &str| {
            format!(
                "send start {sleep} exec number 1 send start {sleep} exec number 2 send start {sleep} exit 7"
            )
        };
        stage.speak(&chain("sleep 30")).wait().unwrap();
        let ends = stage.ends(3);
        let hows: Vec<Value> = ends.values().map(how).collect();
        let exec = json!(["exec", null, null, null]);
        assert_eq!(hows, [exec.clone(), exec, json!(["exit", 7, null, null])]);
    }
}

#[test]
fn a_start_that_comes_after_the_end_of_its_process_is_put_where_it_belongs() {
    let Some(stage) = Stage::open("stream", "") else { return };
    stage.write_start(Some(OWN_TIME));
    stage
        .speak(
            "late 700 start exec number 1 late 400 start exec number 2 send start sleep 50 exec number 3 \
             late 800 start exit 7",
        )
        .wait()
        .unwrap();
    let hows: Vec<Value> = stage.ends(4).values().map(how).collect();
    let exec = json!(["exec", null, null, null]);
    assert_eq!(hows, [exec.clone(), exec.clone(), exec, json!(["exit", 7, null, null])]);
}

#[test]
fn a_process_that_ended_before_its_start_was_read_has_its_end_too() {
    for route in ["stream", "dgram"] {
        let Some(stage) = Stage::open(route, "") else { return };
        stage.daemon.signal(Signal::SIGSTOP);
        for (index, way) in ["exit 5", "kill 9"].iter().enumerate() {
            stage.speak(&format!("number {index} send start {way}")).wait().unwrap();
        }
        sleep(Duration::from_millis(50));
        stage.daemon.signal(Signal::SIGCONT);
        let hows: Vec<Value> = stage.ends(2).values().map(how).collect();
        // Before Linux 6.16 a sender that is reaped has no pidfd.
        let unknown = json!(["unknown", null, null, null]);
        assert!(
            hows == [json!(["exit", 5, null, null]), json!(["signal", null, 9, null])]
                || hows == [unknown.clone(), unknown],
            "{hows:?}"
        );
    }
}

#[test]
fn a_process_in_another_pid_namespace_is_followed() {
    for route in ["stream", "dgram"] {
        let Some(stage) = Stage::open(route, "") else { return };
        let status = stage.speak("inside send start sleep 30 exit 6").wait().unwrap();
        if status.code() == Some(77) {
            return eprintln!("skipped: a new pid namespace is not permitted here");
        }
        assert_eq!(status.code(), Some(0));
        let end = stage.ends(1).remove(&0).unwrap();
        assert_eq!(how(&end), json!(["exit", 6, null, null]));
        assert!(end["pid"].as_u64().unwrap() > 1, "{end}");
    }
}

#[test]
fn two_thousand_processes_at_once_have_two_thousand_ends() {
    const MANY: usize = 2_000;
    let Some(stage) = Stage::open("stream", "") else { return };
    assert!(stage.speak(&format!("many {MANY} send start")).wait().unwrap().success());
    let ends = stage.ends(MANY);
    for (number, end) in ends {
        let expected = match number % 5 {
            0 => json!(["exit", 0, null, null]),
            1 => json!(["exit", 3, null, null]),
            2 => json!(["exit", 4, null, null]),
            3 => json!(["signal", null, 9, null]),
            _ => json!(["signal", null, 11, null]),
        };
        assert_eq!(how(&end), expected, "{number}");
    }
}

#[test]
fn what_a_process_tells_of_its_own_end_is_in_the_end_that_the_kernel_tells() {
    for route in ["stream", "dgram"] {
        let Some(stage) = Stage::open(route, "") else { return };
        stage.speak("number 0 send start send end exit 3").wait().unwrap();
        stage.speak("number 1 send start sleep 30 send end sleep 50 kill 9").wait().unwrap();
        // Two sockets are drained one after the other, so the start may be read last.
        stage.speak("number 2 send end sleep 30 send start sleep 30 exit 4").wait().unwrap();
        let ends = stage.ends(3);
        assert_eq!(how(&ends[&2]), json!(["exit", 4, null, null]));
        assert_eq!(how(&ends[&0]), json!(["exit", 3, null, null]));
        assert_eq!(how(&ends[&1]), json!(["signal", null, 9, null]));
        for end in ends.values() {
            assert_eq!((&end["end"]["max_rss_kib"], &end["end"]["user_time_us"]), (&777.into(), &5.into()));
        }
        assert_eq!(stage.daemon.metric("ogrt_events_held"), 0);
    }
}

#[test]
fn the_end_that_a_process_tells_goes_out_alone_where_its_start_is_late_or_never_comes() {
    for route in ["stream", "dgram"] {
        let Some(stage) = Stage::open(route, "[join]\nparts_wait = \"300ms\"\n") else { return };
        stage.speak("number 1 send end exit 3").wait().unwrap();
        stage.speak("number 2 send end sleep 900 send start sleep 30 exit 4").wait().unwrap();
        sleep(A_WHILE);
        let ends: Vec<Value> =
            stage.daemon.lines().into_iter().filter(|line| line["type"] == "end").collect();
        let told: Vec<(u32, &Value)> = ends.iter().map(|end| (number(end), &end["end"]["told_by"])).collect();
        assert_eq!(told, [(1, &json!("process")), (2, &json!("process"))], "{route}");
    }
}

#[test]
fn an_end_that_was_acknowledged_survives_a_crash_before_the_kernel_tells_it() {
    let Some(mut stage) = Stage::open("stream", "") else { return };
    // This process starts, tells its end, and does not end.
    UnixStream::connect(&stage.daemon.unix)
        .unwrap()
        .write_all(&fs::read(stage.files.path().join("start")).unwrap())
        .unwrap();
    wait_for("the start", || (stage.daemon.lines().len() == 1).then_some(()));
    let mut stream = Acknowledged::unix(&stage.daemon.unix);
    stream.send(&end_frame(ID, 777)).unwrap();
    stream.wait_for(1).unwrap();
    // So does another one, which ends while no server is there.
    let mut child = stage.speak("number 1 send start send end sleep 60000");
    wait_for("its start", || (stage.daemon.lines().len() == 2).then_some(()));
    wait_for("its word", || (stage.daemon.metric("ogrt_events_held") == 2).then_some(()));
    stage.daemon = stage.daemon.crash_after("[join]\nparts_wait = \"300ms\"\n", || {
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let end = wait_for("the end", || stage.daemon.lines().into_iter().find(|line| line["type"] == "end"));
    assert_eq!((number(&end), &end["end"]["max_rss_kib"]), (1, &777.into()));
    assert_eq!((&end["end"]["ended_by"], &end["end"]["told_by"]), (&"unknown".into(), &"kernel".into()));
    sleep(A_WHILE);
    assert_eq!(stage.daemon.lines().len(), 3, "this process has not ended");
}

#[test]
fn nobody_else_ends_a_process_that_lives() {
    let Some(mut stage) = Stage::open("dgram", "") else { return };
    let mut child = stage.speak("number 1 send start sleep 60000");
    wait_for("the start", || (stage.daemon.lines().len() == 1).then_some(()));
    let forged = end_frame(id_of(1), 1);
    let from_here = |stage: &Stage| {
        let path = format!("{}.dgram", stage.daemon.unix.display());
        UnixDatagram::unbound().unwrap().send_to(&forged, path)
    };
    stage.daemon.datagram(&forged);
    stage.daemon.short_tcp(&forged);
    from_here(&stage).unwrap();
    let mut stream = stage.daemon.acknowledged();
    stream.send(&forged).unwrap();
    stream.wait_for(1).unwrap();
    wait_for("all of them", || (stage.daemon.metric("ogrt_ends_claimed_total") == 4).then_some(()));
    sleep(A_WHILE);
    assert_eq!(stage.daemon.lines().len(), 1, "{:?}", stage.daemon.lines());
    child.kill().unwrap();
    child.wait().unwrap();
    let check = |stage: &Stage| {
        let end = stage.ends(1).remove(&1).unwrap();
        assert_eq!((how(&end), &end["end"]["max_rss_kib"]), (json!(["signal", null, 9, null]), &Value::Null));
    };
    check(&stage);
    // And nobody has the last word afterwards.
    stage.daemon.datagram(&forged);
    from_here(&stage).unwrap();
    check(&stage);
    // Nor has what waited in a spool, though it is sent again until it is acknowledged.
    stage.daemon = stage.daemon.crash_and_restart("");
    let mut stream = stage.daemon.acknowledged();
    stream.send(&forged).unwrap();
    stream.wait_for(1).unwrap();
    check(&stage);
}

#[test]
fn a_server_that_stops_tells_the_ends_that_it_saw_and_no_others() {
    let Some(mut stage) = Stage::open("stream", "") else { return };
    let mut living = stage.speak("number 1 send start sleep 60000");
    let mut dying = stage.speak("number 2 send start sleep 100 exit 1");
    wait_for("the starts", || (stage.daemon.lines().len() == 2).then_some(()));
    dying.wait().unwrap();
    assert!(stage.daemon.stop().success(), "{}", stage.daemon.log());
    let ends: Vec<Value> = stage.daemon.lines().into_iter().filter(|line| line["type"] == "end").collect();
    assert_eq!(ends.iter().map(number).collect::<Vec<_>>(), [2]);
    assert_eq!(how(&ends[0]), json!(["exit", 1, null, null]));
    // The next server goes on.
    stage.daemon = stage.daemon.crash_and_restart("");
    assert_eq!(stage.daemon.metric("ogrt_processes_followed"), 1);
    living.kill().unwrap();
    living.wait().unwrap();
    assert_eq!(how(&stage.ends(2)[&1]), json!(["signal", null, 9, null]));
}

#[test]
fn a_process_that_outlives_its_server_has_its_end_from_the_next_one() {
    for route in ["stream", "dgram"] {
        let Some(mut stage) = Stage::open(route, "") else { return };
        let mut young = Vec::new();
        let mut old: Vec<_> =
            (1..=3).map(|at| stage.speak(&format!("number {at} send start sleep 60000"))).collect();
        // A chain of programs, the first of which is over.
        old.push(stage.speak("number 4 send start sleep 30 exec number 5 send start sleep 60000"));
        let starts =
            |stage: &Stage| stage.daemon.lines().iter().filter(|line| line["type"].is_null()).count();
        wait_for("the starts", || (starts(&stage) == 5).then_some(()));
        // Those are on disk by then; these are in the queue alone.
        sleep(Duration::from_millis(1300));
        young.extend((6..=8).map(|at| stage.speak(&format!("number {at} send start sleep 60000"))));
        wait_for("the others", || (starts(&stage) == 8).then_some(()));
        let seen_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        stage.daemon = stage.daemon.crash_after("", || {
            for child in [&mut old[0], &mut young[0]] {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        });
        let back_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        for child in old.iter_mut().chain(&mut young) {
            // Those that are gone are no error.
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let ends = stage.ends(8);
        let killed = json!(["signal", null, 9, null]);
        for (number, end) in &ends {
            let expected = match number {
                1 | 6 => json!(["unknown", null, null, null]),
                4 => json!(["exec", null, null, null]),
                _ => killed.clone(),
            };
            assert_eq!(how(end), expected, "{route} {number}");
            let end = &end["end"];
            if [1, 6].contains(number) {
                let alive_ns = end["alive_until_ns"].as_i64().unwrap();
                assert!(alive_ns > seen_ns - 10_000_000_000 && alive_ns < back_ns, "{end}");
                assert_eq!((&end["end_time_ns"], &end["duration_ns"]), (&Value::Null, &Value::Null));
            } else {
                assert_eq!(end["alive_until_ns"], Value::Null);
            }
        }
        assert_eq!(stage.daemon.metric("ogrt_processes_followed"), 0);
        // Nothing is told twice by the one after that.
        stage.daemon = stage.daemon.crash_and_restart("");
        stage.ends(8);
    }
}

#[test]
fn a_process_that_becomes_another_program_while_no_server_is_there_has_ended_by_exec() {
    let Some(mut stage) = Stage::open("stream", "") else { return };
    // `sh` becomes `sleep`, which nobody tells of.
    let go = stage.files.path().join("go");
    let script =
        format!("while [ ! -e {} ]; do read -t 0.01 _; done < /dev/zero; exec sleep 600", go.display());
    let mut child = stage.speak_as("number 1 send start become bash -c", &[&script]);
    wait_for("the start", || (stage.daemon.lines().len() == 1).then_some(()));
    sleep(Duration::from_millis(2300));
    let pid = child.id();
    stage.daemon = stage.daemon.crash_after("", || {
        fs::write(&go, "").unwrap();
        wait_for("the other program", || {
            let executable = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            executable.ends_with("sleep").then_some(())
        });
    });
    assert_eq!(how(&stage.ends(1)[&1]), json!(["exec", null, null, null]));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_end_repeats_the_program_the_user_and_the_build_of_its_start() {
    let Some(stage) = Stage::open("stream", "") else { return };
    let mut stream = stage.daemon.acknowledged();
    stream.send(&build_frame(7, "simulator")).unwrap();
    stream.wait_for(1).unwrap();
    let start = ProcessInfo {
        event_id: Some(ID.to_vec().into()),
        binpath: Some("/opt/simulate".into()),
        job_id: Some("f".into()),
        job_step: Some("0".into()),
        hostname: Some("node".into()),
        username: Some("somebody else".into()),
        arguments: vec!["simulate".into(), "--secret".into()],
        mpi_rank: Some(3),
        mpi_size: Some(4),
        start_time_ns: Some(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64),
        notes: vec![Note { signature: Some(vec![7; 16].into()), ..Default::default() }],
        ..Default::default()
    };
    fs::write(stage.files.path().join("start"), encode_frame(MessageType::ProcessInfo, &start)).unwrap();
    stage.speak("number 1 send start exit 2").wait().unwrap();
    let end = stage.ends(1).remove(&1).unwrap();
    let start = stage.daemon.lines().into_iter().find(|line| line["type"].is_null()).unwrap();
    assert_eq!((&end["build"]["name"], &end["mpi"]["rank"]), (&"simulator".into(), &3.into()));
    let same =
        ["binpath", "signature", "build", "username", "claimed_username", "uid", "gid", "job_id", "job_step"];
    for key in same.into_iter().chain(["mpi", "start_time_ns", "hostname", "identity", "pid"]) {
        assert_eq!(end[key], start[key], "{key}");
    }
    assert_eq!((&end["arguments"], &end["cmdline"]), (&Value::Null, &Value::Null));
}

#[test]
fn beyond_processes_max_a_process_is_counted_and_not_followed() {
    let Some(stage) = Stage::open("stream", "[follow]\nprocesses_max = 1\n") else { return };
    let mut first = stage.speak("number 1 send start sleep 60000");
    wait_for("the first", || (stage.daemon.lines().len() == 1).then_some(()));
    assert_eq!(stage.daemon.metric("ogrt_processes_followed"), 1);
    // Its own word still counts.
    stage.speak("number 2 send start send end exit 1").wait().unwrap();
    let end = wait_for("an end", || stage.daemon.lines().into_iter().find(|line| line["type"] == "end"));
    assert_eq!((number(&end), &end["end"]["told_by"]), (2, &"process".into()));
    assert_eq!(stage.daemon.metric("ogrt_processes_unfollowed_total"), 1);
    assert!(stage.daemon.log().contains("a process cannot be followed"), "{}", stage.daemon.log());
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn without_follow_nothing_is_followed() {
    let daemon = Daemon::start("[follow]\nprocesses_max = 0\n");
    assert_eq!(daemon.get("/healthz").1["follow"], "no");
}

#[test]
fn an_end_that_was_followed_on_the_node_is_complete_behind_a_relay() {
    let server = Daemon::start("");
    let Some(stage) = Stage::open("stream", &output_to(&server, Some("node"))) else { return };
    stage.speak("number 1 send start exit 3").wait().unwrap();
    let of = |kind: Value| wait_for("it", || server.lines().into_iter().find(|line| line["type"] == kind));
    let (start, end) = (of(Value::Null), of(json!("end")));
    assert_eq!(how(&end), json!(["exit", 3, null, null]));
    for key in ["identity", "via", "binpath", "username", "uid", "gid", "pid", "job_id", "start_time_ns"] {
        assert_eq!(end[key], start[key], "{key}");
        assert_ne!(end[key], Value::Null, "{key}");
    }
}
