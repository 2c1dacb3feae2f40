//! Everything at once: many readers of a large job, slow bodies, idle connections and a full disk,
//! one after the other and together, while clients send at a steady rate.
//!
//! Nothing that was acknowledged is lost or doubled, memory stays below a bound, and health is told
//! at once. The usual run is small. With OGRT_TEST_FULL=1 it has 24 readers of 100,000 processes,
//! 1,024 bodies, 10,000 connections and 20,000 events a second, for which the server should be
//! built as it is shipped (OGRT_TEST_SERVER=PROGRAM).

use crate::{
    daemon::{Acknowledged, Daemon, wait_for},
    large_jobs::send_job,
    siege::may_open,
    small_disk::SmallDisk,
};
use ogrt_proto::{Hello, MessageType, ProcessInfo, encode_frame};
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, scope, sleep},
    time::{Duration, Instant},
};

const CLIENTS: u64 = 8;

/// Most memory of the server.
const MEMORY_MAX: u64 = 300 << 20;

struct Sizes {
    /// Events of all clients in a second.
    rate: u64,
    processes: u64,
    readers: usize,
    bodies: usize,
    idle: usize,
    /// How long what only holds connections goes on.
    hold: Duration,
    health_within: Duration,
    disk_mib: u32,
}

impl Sizes {
    fn of_this_run() -> Self {
        if std::env::var_os("OGRT_TEST_FULL").is_some() {
            Sizes {
                rate: 20_000,
                processes: 100_000,
                readers: 24,
                bodies: 1024,
                idle: 10_000,
                hold: Duration::from_secs(10),
                health_within: Duration::from_millis(100),
                disk_mib: 6_000,
            }
        } else {
            // The machine of the usual run has other work.
            Sizes {
                rate: 500,
                processes: 1_000,
                readers: 8,
                bodies: 300,
                idle: 500,
                hold: Duration::from_millis(700),
                health_within: Duration::from_secs(1),
                disk_mib: 300,
            }
        }
    }
}

/// A client that sends at a steady rate, and sends again what was not acknowledged.
struct Client {
    number: u64,
    rate: u64,
    acknowledged: u64,
}

impl Client {
    fn frame(&self, event: u64) -> bytes::Bytes {
        let info = ProcessInfo {
            event_id: Some(uuid::Uuid::from_u64_pair(self.number, event).as_bytes().to_vec().into()),
            job_id: Some(format!("load{}.{}", self.number, event / 1000).into()),
            pid: Some(event as i32),
            binpath: Some("/sw/load/bin/load".into()),
            hostname: Some("node1".into()),
            ..Default::default()
        };
        encode_frame(MessageType::ProcessInfo, &info)
    }

    /// Sends until told to stop, and then until everything sent is acknowledged.
    fn run(mut self, address: &str, stop: &AtomicBool) -> Self {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) || self.acknowledged < sent {
            // A server whose disk is full refuses, or closes the stream.
            let _ = self.send_on_one_stream(address, stop, &mut sent);
            sleep(Duration::from_millis(50));
        }
        self
    }

    fn send_on_one_stream(
        &mut self,
        address: &str,
        stop: &AtomicBool,
        sent: &mut u64,
    ) -> std::io::Result<()> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut stream = Acknowledged::greet(stream, &Hello::default())?;
        let (first, since) = (self.acknowledged, Instant::now());
        loop {
            let due = first + since.elapsed().as_millis() as u64 * self.rate / 1000;
            if !stop.load(Ordering::Relaxed) {
                *sent = (*sent).max(due.min(self.acknowledged + self.rate));
            }
            let frames: Vec<_> = (self.acknowledged..*sent).map(|event| self.frame(event)).collect();
            let result = stream.send(&frames.concat()).and_then(|()| stream.wait_for(*sent - first));
            self.acknowledged = first + stream.durable();
            result?;
            if stop.load(Ordering::Relaxed) && self.acknowledged == *sent {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
    }
}

/// What was observed of the server while everything went on.
#[derive(Default)]
struct Observation {
    asked: usize,
    slowest: Duration,
    memory: u64,
}

/// Asks for health and memory until told to stop.
fn watch(daemon: &Daemon, stop: &AtomicBool) -> Observation {
    let mut seen = Observation::default();
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let status = daemon.http("GET", "/healthz", &[]).0;
        // It says that the disk is full.
        assert!(matches!(status, 200 | 503), "{status}");
        seen.slowest = seen.slowest.max(since.elapsed());
        seen.asked += 1;
        if seen.asked.is_multiple_of(5) {
            seen.memory = seen.memory.max(daemon.metric("process_resident_memory_bytes"));
        }
        sleep(Duration::from_millis(20));
    }
    seen
}

/// Reads the job `large` as fast as it comes, and counts its processes.
fn read_job(daemon: &Daemon) -> usize {
    const PATH: &[u8] = b"/sw/app/";
    let mut stream = TcpStream::connect(&daemon.http).unwrap();
    stream.write_all(b"GET /v1/jobs/large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let (mut text, mut before, mut processes) = (Vec::new(), Vec::new(), 0);
    loop {
        // Each text in the answer ends in a quote; most paths are one.
        std::mem::swap(&mut text, &mut before);
        text.clear();
        if reader.read_until(b'"', &mut text).unwrap() == 0 {
            assert!(before.ends_with(b"0\r\n\r\n"), "an answer that broke off");
            return processes;
        }
        processes += usize::from(text.starts_with(PATH));
    }
}

fn readers(daemon: &Daemon, sizes: &Sizes) {
    scope(|scope| {
        let readers: Vec<_> = (0..sizes.readers).map(|_| scope.spawn(|| read_job(daemon))).collect();
        for reader in readers {
            assert_eq!(reader.join().unwrap() as u64, sizes.processes);
        }
    });
}

fn slow_bodies(daemon: &Daemon, sizes: &Sizes) {
    let head = "POST /v1/builds HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000\r\n\r\nx";
    let body = || {
        let mut stream = TcpStream::connect(&daemon.http).unwrap();
        let _ = stream.write_all(head.as_bytes());
        stream
    };
    let mut bodies: Vec<TcpStream> = (0..sizes.bodies).map(|_| body()).collect();
    let since = Instant::now();
    while since.elapsed() < sizes.hold {
        sleep(Duration::from_millis(200));
        bodies.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
    }
}

fn idle_connections(daemon: &Daemon, sizes: &Sizes) {
    let _idle: Vec<_> = (0..sizes.idle).map(|_| TcpStream::connect(&daemon.tcp).unwrap()).collect();
    sleep(sizes.hold);
}

fn full_disk(daemon: &Daemon, disk: &SmallDisk, sizes: &Sizes) {
    disk.fill();
    wait_for("the server to say that the disk is full", || (daemon.get("/readyz").0 == 503).then_some(()));
    sleep(sizes.hold / 4);
    disk.relieve(u64::from(sizes.disk_mib));
    wait_for("room", || (daemon.get("/readyz").0 == 200).then_some(()));
}

/// Numbers of each client's events in the `lines` output; each may be there once.
fn events_in_lines(daemon: &Daemon) -> HashMap<u64, Vec<bool>> {
    #[derive(Deserialize)]
    struct Line {
        event_id: String,
        #[serde(default)]
        binpath: String,
    }
    let mut seen: HashMap<u64, Vec<bool>> = HashMap::new();
    for line in BufReader::new(File::open(daemon.path().join("lines/events.jsonl")).unwrap()).lines() {
        let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
        if line.binpath == "/sw/load/bin/load" {
            let (client, event) = line.event_id.parse::<uuid::Uuid>().unwrap().as_u64_pair();
            let of_client = seen.entry(client).or_default();
            of_client.resize(of_client.len().max(event as usize + 1), false);
            assert!(!std::mem::replace(&mut of_client[event as usize], true), "{client}.{event} twice");
        }
    }
    seen
}

#[test]
fn readers_bodies_connections_and_a_full_disk_alone_and_together() {
    let sizes = Sizes::of_this_run();
    if !may_open((sizes.idle + sizes.bodies) as u64) {
        return;
    }
    let disk = SmallDisk::mount(sizes.disk_mib);
    let more = "[queue]\ndisk_free_min = \"24MiB\"\n[receive]\nconnections_max = 20000\n";
    let mut daemon = Daemon::start_in(tempfile::tempdir_in(disk.path()).unwrap(), more);
    send_job(&daemon, "large", sizes.processes, sizes.processes);
    wait_for("the job to be kept", || (daemon.metric("ogrt_jobs_lag_batches") == 0).then_some(()));

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<JoinHandle<Client>> = (1..=CLIENTS)
        .map(|number| {
            let (address, stop) = (daemon.tcp.clone(), stop.clone());
            let client = Client { number, rate: sizes.rate / CLIENTS, acknowledged: 0 };
            thread::spawn(move || client.run(&address, &stop))
        })
        .collect();
    let since = Instant::now();
    let watched = AtomicBool::new(false);
    let seen = scope(|scope| {
        let watcher = scope.spawn(|| watch(&daemon, &watched));
        let phase = |name: &str, run: &dyn Fn()| {
            let since = Instant::now();
            run();
            println!("{name}: {:.1} s", since.elapsed().as_secs_f64());
        };
        let (daemon, disk, sizes) = (&daemon, &disk, &sizes);
        phase("readers", &|| readers(daemon, sizes));
        phase("slow bodies", &|| slow_bodies(daemon, sizes));
        phase("idle connections", &|| idle_connections(daemon, sizes));
        phase("full disk", &|| full_disk(daemon, disk, sizes));
        phase("all together", &|| {
            thread::scope(|scope| {
                scope.spawn(|| readers(daemon, sizes));
                scope.spawn(|| slow_bodies(daemon, sizes));
                scope.spawn(|| idle_connections(daemon, sizes));
                scope.spawn(|| full_disk(daemon, disk, sizes));
            });
        });
        watched.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    stop.store(true, Ordering::Relaxed);
    let clients: Vec<Client> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let elapsed = since.elapsed();
    wait_for("the events to go out", || {
        (daemon.metric("ogrt_output_lag_batches{output=\"lines\"}") == 0).then_some(())
    });
    assert!(daemon.is_running() && !daemon.log().contains("panicked"), "{}", daemon.log());
    assert!(daemon.stop().success(), "{}", daemon.log());

    let mut in_lines = events_in_lines(&daemon);
    for client in &clients {
        let events = in_lines.remove(&client.number).unwrap_or_default();
        let missing = (0..client.acknowledged).filter(|event| events.get(*event as usize) != Some(&true));
        assert_eq!(missing.count(), 0, "of {} acknowledged", client.acknowledged);
    }
    let acknowledged: u64 = clients.iter().map(|client| client.acknowledged).sum();
    println!(
        "{acknowledged} events acknowledged in {:.0} s, none missing, none twice; {} MiB at most; slowest of {} answers of health {:?}",
        elapsed.as_secs_f64(),
        seen.memory >> 20,
        seen.asked,
        seen.slowest,
    );
    assert!(acknowledged > sizes.rate, "{acknowledged} events in {elapsed:?}");
    assert!(seen.memory < MEMORY_MAX, "{} MiB", seen.memory >> 20);
    assert!(seen.slowest < sizes.health_within, "health after {:?}", seen.slowest);
    drop(daemon);
}
