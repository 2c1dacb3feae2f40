//! Storms of short processes: what the server has written is compared with what ran.
//!
//! Sixty-four shells side by side start processes as fast as the machine can. A shell, and each
//! process that it starts, is one start event; a fork is none. The server drains its sockets every
//! few milliseconds, so both queues of the kernel are filled and emptied all the time. A test
//! passes when the events of exactly the processes that ran are written, each once. It fails when
//! an event is dropped, sent twice or cut, or lost between a server that stops and its successor.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use xtask::suite::FULL_VARIABLE;

const SHELLS: usize = 64;

/// The longest time without a written event while events are missing.
const PATIENCE: Duration = Duration::from_secs(15);

/// Processes of one shell, itself included: 200,000 in all at full size.
fn processes_each() -> usize {
    if std::env::var_os(FULL_VARIABLE).is_some() { 3_125 } else { 100 }
}

/// Starts the storm's shells. Each ends with 0 when all of its processes did. With `end` 1 each
/// process tells its own end as well.
fn shells(stage: &Stage, end: &str) -> Vec<Child> {
    let more = processes_each() - 1;
    let script = format!("i=0; while [ $i -lt {more} ]; do /bin/true || exit 1; i=$((i+1)); done");
    let start = |_| {
        let mut command = stage.site.ogrt(&["run", "--", "/bin/sh", "-c", &script]);
        command.env("JOBID", "storm").env("OGRT_END", end).stdin(Stdio::null()).spawn().expect("a shell")
    };
    (0..SHELLS).map(start).collect()
}

fn all_succeed(shells: Vec<Child>) {
    for mut shell in shells {
        let status = shell.wait().expect("a shell");
        assert!(status.success(), "a shell or one of its processes: {status}");
    }
}

/// The events that the server has written, read while the files grow.
#[derive(Default)]
struct Written {
    /// The bytes of each file that have been read.
    read: HashMap<PathBuf, u64>,
    /// Each with its document.
    starts: HashMap<String, Value>,
    ends: HashMap<String, Value>,
    /// Start events whose process the kernel has named.
    proved: usize,
    lines: usize,
}

impl Written {
    /// Reads what was written since the last call; true when there was something.
    fn read_on(&mut self, output: &Path) -> bool {
        let before = self.lines;
        for file in files_below(output) {
            let mut at = self.read.get(&file).copied().unwrap_or_default();
            let mut lines = BufReader::new(File::open(&file).unwrap());
            lines.seek(SeekFrom::Start(at)).unwrap();
            let mut line = String::new();
            while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                at += line.len() as u64;
                self.take(&serde_json::from_str(&line).unwrap());
                line.clear();
            }
            self.read.insert(file, at);
        }
        self.lines > before
    }

    fn take(&mut self, document: &Value) {
        assert_eq!(document["job_id"], "storm", "{document}");
        let id = document["event_id"].as_str().expect("event_id").to_owned();
        let is_start = document["type"].is_null();
        let events = if is_start { &mut self.starts } else { &mut self.ends };
        let before = events.insert(id, document.clone());
        assert!(before.is_none(), "written twice: {document}, after {before:?}");
        self.proved += usize::from(is_start && document["identity"] == "kernel");
        self.lines += 1;
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            path => vec![path],
        })
        .collect()
}

/// Checks that every process that ran is in the output once, and says how many the kernel has
/// named.
fn all_written(stage: &Stage, processes: usize, ends_min: usize) -> usize {
    let server = stage.server.as_ref().unwrap();
    let (mut written, mut grew) = (Written::default(), Instant::now());
    while (written.starts.len() < processes || written.ends.len() < ends_min) && grew.elapsed() < PATIENCE {
        if written.read_on(&server.output) {
            grew = Instant::now();
        }
        thread::sleep(Duration::from_millis(100));
    }
    // An event that is written twice has time to be.
    thread::sleep(Duration::from_millis(500));
    written.read_on(&server.output);
    assert_eq!(written.starts.len(), processes, "starts; {} ends. {}", written.ends.len(), server.log());
    assert!(
        written.ends.keys().all(|id| written.starts.contains_key(id)) && written.ends.len() >= ends_min,
        "{} ends",
        written.ends.len()
    );
    written.proved
}

/// Sends the server a signal.
fn signal(stage: &mut Stage, name: &str) {
    let pid = stage.server.as_mut().unwrap().pid().to_string();
    assert!(see(Command::new("kill").args([name, &pid])).status.success());
}

#[test]
fn what_comes_while_the_server_stands_still_waits_for_it() {
    let mut stage = Stage::new();
    signal(&mut stage, "-STOP");
    // Far more than a datagram queue, or a backlog of 128, can hold.
    let script = "i=0; while [ $i -lt 500 ]; do /bin/true || exit 1; i=$((i+1)); done";
    let shell = see(stage.site.ogrt(&["run", "--", "/bin/sh", "-c", script]).env("JOBID", "storm"));
    assert!(shell.status.success() && shell.stderr.is_empty(), "{}", text(&shell.stderr));
    assert_eq!(stage.spooled(), 0);
    signal(&mut stage, "-CONT");
    assert_eq!(all_written(&stage, 501, 500), 501);
}

#[test]
fn every_process_of_a_storm_is_written() {
    let stage = Stage::new();
    let started = Instant::now();
    all_succeed(shells(&stage, "0"));
    assert_eq!(stage.spooled(), 0, "the server takes all of it");
    let seconds = started.elapsed().as_secs_f64();
    let processes = SHELLS * processes_each();
    // A shell may leave by `_exit`, which has no end event.
    assert_eq!(all_written(&stage, processes, processes - SHELLS), processes, "the kernel vouches for each");
    println!("{processes} processes, {:.0} a second, all written", processes as f64 / seconds);
}

#[test]
fn a_server_that_is_restarted_in_a_storm_loses_none() {
    restarted_in_a_storm("0");
}

#[test]
fn nor_does_it_write_twice_what_the_process_tells_and_the_kernel() {
    restarted_in_a_storm("1");
}

fn restarted_in_a_storm(end: &str) {
    let mut stage = Stage::new();
    let mut storm = shells(&stage, end);
    let mut restarts = 0;
    // The server is away for as long as it takes to start again, and now and then for longer.
    while storm.iter_mut().any(|shell| shell.try_wait().is_ok_and(|ended| ended.is_none())) {
        thread::sleep(Duration::from_millis(if restarts < 3 { 400 } else { 3_000 }));
        stage.stop_server();
        thread::sleep(Duration::from_millis(restarts % 3 * 50));
        stage.start_server();
        restarts += 1;
    }
    all_succeed(storm);
    let spooled = stage.spooled();
    assert!(spooled > 0, "the server was never missed: {restarts} restarts");
    let flushed = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!((flushed.status.code(), text(&flushed.stderr)), (Some(0), String::new()));
    assert_eq!(stage.spooled(), 0);
    let processes = SHELLS * processes_each();
    // Nobody followed the processes whose start was spooled, nor those that lived when a server
    // stopped: the shells, and one process of each.
    // Where they tell their own ends only the shells may have none: one may leave by `_exit`.
    let unseen = if end == "1" { SHELLS } else { spooled + restarts as usize * 2 * SHELLS };
    all_written(&stage, processes, processes.saturating_sub(unseen));
    println!("{processes} processes, {restarts} restarts, {spooled} events by the spool");
}
