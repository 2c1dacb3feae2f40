//! Crashes at any moment, a disk that is full, a clock that goes back: what was acknowledged is in
//! the output, once.
//!
//! Three clients send as fast as they are acknowledged. What was not acknowledged when the server
//! went away they send again to the next one, with the same ids, as a spool does: so a server that
//! forgot would show as an event that is missing, and one that did not recognise what it had would
//! show as an event that is there twice. Ten rounds by default, a hundred with OGRT_TEST_FULL=1.

use crate::{
    daemon::{Acknowledged, Daemon, build, needs, wait_for},
    small_disk::SmallDisk,
};
use ogrt_proto::{BuildRecord, Hello, Installation, MessageType, ProcessInfo, encode_frame};
use prost::Message;
use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

const CLIENTS: u64 = 3;

/// Events sent before acknowledgements are waited for.
const WINDOW: usize = 20;

pub fn rounds(default: u64, full: u64) -> u64 {
    if std::env::var_os("OGRT_TEST_FULL").is_some_and(|value| value == "1") { full } else { default }
}

/// A client that outlives servers.
#[derive(Default)]
pub struct Client {
    number: u64,
    sent: u64,
    waiting: Vec<u64>,
    acknowledged: Vec<u64>,
    padding: usize,
}

impl Client {
    pub fn new(number: u64) -> Self {
        Client { number, ..Client::default() }
    }

    /// The ids of what was acknowledged.
    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.iter().map(|event| event_id(self.number, *event)).collect()
    }

    fn frame(&self, event: u64) -> bytes::Bytes {
        let info = ProcessInfo {
            event_id: Some(id(self.number, event).as_bytes().to_vec().into()),
            job_id: Some(format!("job{}", event % 5).into()),
            pid: Some(event as i32),
            working_directory: Some(noise(event, self.padding).into()),
            ..Default::default()
        };
        encode_frame(MessageType::ProcessInfo, &info)
    }

    /// Sends what waits and then more, until told to stop or the server is gone.
    fn send_to(&mut self, address: &str, stop: &AtomicBool) {
        let Ok(stream) = TcpStream::connect(address) else { return };
        // A server that answers nothing for so long has failed the test.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let Ok(mut stream) = Acknowledged::greet(stream, &Hello::default()) else { return };
        let mut frames = 0;
        while !stop.load(Ordering::Relaxed) {
            while self.waiting.len() < WINDOW {
                self.waiting.push(self.sent);
                self.sent += 1;
            }
            let sent = self.waiting.iter().all(|event| stream.send(&self.frame(*event)).is_ok());
            frames += self.waiting.len() as u64;
            if !sent || stream.wait_for(frames).is_err() {
                // Of this window some may be durable; what we do not know of is sent again.
                let unknown = (frames - stream.durable()) as usize;
                let known = self.waiting.len().saturating_sub(unknown);
                self.acknowledged.extend(self.waiting.drain(..known));
                return;
            }
            self.acknowledged.append(&mut self.waiting);
        }
    }
}

/// The id of an event as answers show it.
pub fn event_id(client: u64, event: u64) -> String {
    id(client, event).to_string()
}

fn id(client: u64, event: u64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(client, event)
}

/// Text that does not compress.
fn noise(seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state % 75) as u8)
    };
    (0..bytes).map(next).collect()
}

/// All clients, sending until they are taken back.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Client>>,
}

impl Load {
    pub fn on(daemon: &Daemon, clients: Vec<Client>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let send = |mut client: Client| {
            let (address, stop) = (daemon.tcp.clone(), stop.clone());
            thread::spawn(move || {
                client.send_to(&address, &stop);
                client
            })
        };
        Load { clients: clients.into_iter().map(send).collect(), stop }
    }

    pub fn end(self) -> Vec<Client> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().unwrap()).collect()
    }

    /// Has the server gone away, or refused each of them?
    fn is_over(&self) -> bool {
        self.clients.iter().all(JoinHandle::is_finished)
    }
}

fn clients(padding: usize) -> Vec<Client> {
    (1..=CLIENTS).map(|number| Client { number, padding, ..Client::default() }).collect()
}

/// Every acknowledged event is in both layouts, none of any twice.
fn all_is_there_once(daemon: &mut Daemon, clients: &[Client]) -> usize {
    assert!(daemon.stop().success(), "{}", daemon.log());
    let acknowledged: HashSet<String> = clients.iter().flat_map(Client::acknowledged).collect();
    let mut in_jobs = Vec::new();
    for job in 0..5 {
        let Some(job) = daemon.job_file(&format!("job{job}.json")) else { continue };
        in_jobs
            .extend(job["processes"].as_array().unwrap().iter().map(|process| process["event_id"].clone()));
    }
    let in_lines: Vec<_> = daemon.lines().into_iter().map(|line| line["event_id"].clone()).collect();
    for (layout, ids) in [("lines", in_lines), ("jobs", in_jobs)] {
        let mut times: HashMap<&str, u32> = HashMap::new();
        for id in &ids {
            *times.entry(id.as_str().unwrap()).or_default() += 1;
        }
        let missing = acknowledged.iter().filter(|id| !times.contains_key(id.as_str())).count();
        let double = times.values().filter(|count| **count > 1).count();
        assert_eq!((missing, double), (0, 0), "missing and twice, of {} in {layout}", acknowledged.len());
    }
    acknowledged.len()
}

#[test]
fn acknowledged_events_survive_kill_9_and_appear_once() {
    let mut daemon = Daemon::start("");
    let mut clients = clients(0);
    let rounds = rounds(10, 100);
    for _ in 0..rounds {
        let load = Load::on(&daemon, clients);
        // Any moment: while it starts to receive, under load, in the middle of a commit.
        sleep(Duration::from_millis(uuid::Uuid::new_v4().as_u128() as u64 % 700));
        daemon = daemon.crash_and_restart("");
        clients = load.end();
    }
    let events = all_is_there_once(&mut daemon, &clients);
    assert!(events as u64 > 20 * rounds, "only {events} events were acknowledged");
    println!("{rounds} rounds, {events} events acknowledged: none missing, none twice");
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let rounds = rounds(3, 20);
    let disk = SmallDisk::mount(160);
    // Its end is reached, which `disk_free_min` exists to prevent, only when another program takes
    // the rest.
    let more = "[queue]\ndisk_free_min = \"24MiB\"\n";
    let mut daemon = Daemon::start_in(tempfile::tempdir_in(disk.path()).unwrap(), more);
    let mut clients = clients(2000);
    for round in 0..rounds {
        // The queue and the outputs fill the disk: events are refused, and everything else goes on.
        let load = Load::on(&daemon, clients);
        sleep(Duration::from_millis(200 + uuid::Uuid::new_v4().as_u128() as u64 % 300));
        disk.fill();
        let since = Instant::now();
        wait_for("the server to say so", || (daemon.get("/readyz").0 == 503).then_some(()));
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        assert_eq!(daemon.get("/healthz").1["status"], "no events are taken");
        wait_for("the clients to be refused", || load.is_over().then_some(()));
        clients = load.end();
        // The outputs find no room, again and again. Readers see whole documents meanwhile.
        jobs_stay_whole(&daemon.path().join("jobs"), Duration::from_millis(300));
        disk.relieve(if round + 1 < rounds { 160 } else { 1024 });
        // The same server goes on by itself, wherever the end of the disk was in what it wrote.
        wait_for("room", || {
            let probe = Client { number: 9, ..Client::default() }.frame(round);
            let taken = TcpStream::connect(&daemon.tcp).and_then(|stream| {
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                let mut stream = Acknowledged::greet(stream, &Hello::default())?;
                stream.send(&probe)?;
                stream.wait_for(1)
            });
            taken.is_ok().then_some(())
        });
        assert!(daemon.is_running(), "{}", daemon.log());
        assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
        assert_eq!(daemon.get("/readyz").0, 200);
        daemon = daemon.crash_and_restart(more);
    }
    for output in ["jobs", "lines"] {
        let behind = format!("ogrt_output_lag_batches{{output=\"{output}\"}}");
        wait_for("what was acknowledged to go out", || (daemon.metric(&behind) == 0).then_some(()));
    }
    let events = all_is_there_once(&mut daemon, &clients);
    assert!(events > 100, "only {events} events were acknowledged");
    println!("{rounds} rounds, {events} events acknowledged: none missing, none twice");
    drop(daemon);
}

#[test]
fn the_server_leaves_the_room_that_it_is_told_to_leave() {
    let disk = SmallDisk::mount(160);
    let more = "[queue]\ndisk_free_min = \"40MiB\"\n";
    let daemon = Daemon::start_in(tempfile::tempdir_in(disk.path()).unwrap(), more);
    let mut least = u64::MAX;
    let mut clients = clients(2000);
    // Whoever is refused comes again; merges go on, and questions are answered.
    for _ in 0..3 {
        let load = Load::on(&daemon, clients);
        while !load.is_over() {
            least = least.min(disk.free());
            sleep(Duration::from_millis(2));
        }
        clients = load.end();
        assert!(clients.iter().any(|client| !client.acknowledged.is_empty()));
        for _ in 0..100 {
            least = least.min(disk.free());
            sleep(Duration::from_millis(5));
        }
    }
    assert!(least >= 40 << 20, "{} MiB were free at the least", least >> 20);
    disk.fill();
    wait_for("the reason", || (daemon.get("/readyz").0 == 503).then_some(()));
    let reason = daemon.get("/readyz").1["detail"].as_str().unwrap().to_owned();
    assert!(reason.contains("queue.disk_free_min"), "{reason}");
    assert_eq!(daemon.http("POST", "/v1/builds", b"any").0, 503, "what cannot be kept is not taken");
}

#[test]
fn records_and_installations_leave_that_room_as_well() {
    let disk = SmallDisk::mount(160);
    let more = "[queue]\ndisk_free_min = \"40MiB\"\n";
    let daemon = Daemon::start_in(tempfile::tempdir_in(disk.path()).unwrap(), more);
    let mut least = u64::MAX;
    let mut fill = |path: &str, body: &dyn Fn(u8) -> Vec<u8>| {
        let refused = (0..200u8).find(|number| {
            let status = daemon.http("POST", path, &body(*number)).0;
            least = least.min(disk.free());
            status == 503
        });
        assert!(refused.is_some(), "{path} is never refused");
    };
    let text = |number: u8| noise(u64::from(number) + 1, 2 << 20);
    fill("/v1/installations", &|number| {
        let prefix = format!("/sw/{number}");
        let module_file = Some(text(number).into());
        Installation { prefix: Some(prefix.into()), module_file, ..Installation::default() }.encode_to_vec()
    });
    fill("/v1/builds", &|number| {
        let record = build(number, "large");
        BuildRecord { working_directory: Some(text(number).into()), ..record }.encode_to_vec()
    });
    sleep(Duration::from_millis(500));
    assert!(least.min(disk.free()) >= 40 << 20, "{} MiB were free at the least", least >> 20);
}

/// Reads the jobs' documents for a while: each is whole, but perhaps in the very moment of a write.
fn jobs_stay_whole(directory: &Path, time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        for job in (0..5).map(|job| directory.join(format!("job{job}.json"))).filter(|job| job.exists()) {
            let is_whole = || serde_json::from_slice::<serde_json::Value>(&fs::read(&job).unwrap()).is_ok();
            let mut looks = (0..50).inspect(|look| sleep(Duration::from_millis(look.min(&1) * 2)));
            assert!(looks.any(|_| is_whole()), "{} stays broken while the disk is full", job.display());
        }
    }
}

#[test]
fn a_job_file_is_whole_while_its_disk_is_full() {
    let rounds = rounds(5, 100);
    let disk = SmallDisk::mount(2);
    let path = disk.path().display();
    let mut daemon =
        Daemon::start(&format!("[outputs.small]\ntype = \"file\"\nlayout = \"jobs\"\npath = \"{path}\"\n"));
    let client = Client { number: 1, padding: 2000, ..Client::default() };
    let mut sent = 0;
    let mut send = |daemon: &Daemon, events: u64| {
        let mut stream = daemon.acknowledged();
        (sent..sent + events).for_each(|event| stream.send(&client.frame(event)).unwrap());
        stream.wait_for(events).unwrap();
        sent += events;
        sent
    };
    let written = |daemon: &Daemon| daemon.metric("ogrt_events_written_total{output=\"small\"}");
    for round in 0..rounds {
        // Each time the end of the disk comes at another place of a document.
        let good = send(&daemon, 5 + round % 3);
        wait_for("the disk with room", || (written(&daemon) == good).then_some(()));
        disk.fill();
        let all = send(&daemon, 20);
        wait_for("no room", || (daemon.metric("ogrt_output_up{output=\"small\"}") == 0).then_some(()));
        jobs_stay_whole(disk.path(), Duration::from_millis(100));
        disk.relieve(2);
        wait_for("room again", || (written(&daemon) == all).then_some(()));
    }
    assert!(daemon.stop().success(), "{}", daemon.log());
    let mut ids = HashSet::new();
    for job in 0..5 {
        let text = fs::read(disk.path().join(format!("job{job}.json"))).unwrap();
        let job: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for process in job["processes"].as_array().unwrap() {
            assert!(ids.insert(process["event_id"].as_str().unwrap().to_owned()), "{process} is there twice");
        }
    }
    assert_eq!(ids.len() as u64, rounds * 25 + (0..rounds).map(|round| round % 3).sum::<u64>());
}

/// Debian's path of the library that shows a program another time.
fn faketime() -> Option<PathBuf> {
    let machine = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    Some(PathBuf::from(machine)).filter(|path| path.exists())
}

/// The time that the server sees, as an offset in seconds to ours.
fn set_clock(file: &Path, offset: i64) {
    let fresh = file.with_extension("new");
    fs::write(&fresh, format!("{offset:+}\n")).unwrap();
    fs::rename(&fresh, file).unwrap();
}

/// Ends the server as a crash would, and starts it again. What libfaketime left of the dead process
/// is deleted: another process with its number could not use the library.
fn crash_under_faketime(daemon: Daemon, environment: &[(&str, &OsStr)]) -> Daemon {
    let dead = daemon.pid();
    let daemon = daemon.crash_and_restart_with("", environment);
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        let _ = fs::remove_file(format!("/dev/shm/{name}{dead}"));
    }
    daemon
}

#[test]
fn a_clock_that_is_set_back_loses_and_doubles_nothing() {
    let Some(library) = faketime() else { return needs("libfaketime (Debian: faketime)") };
    let directory = tempfile::tempdir().unwrap();
    let clock = directory.path().join("clock");
    set_clock(&clock, 0);
    let environment = [
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
    ];
    let mut daemon = Daemon::start_with(tempfile::tempdir().unwrap(), "", &environment);
    let mut clients = clients(0);
    let day = 86_400;
    let offsets = [-day, -400 * day, 30 * day, -1, -30 * day, 0];
    for offset in offsets.iter().cycle().take(rounds(3, 24) as usize) {
        let load = Load::on(&daemon, clients);
        sleep(Duration::from_millis(150));
        set_clock(&clock, *offset);
        sleep(Duration::from_millis(150));
        daemon = crash_under_faketime(daemon, &environment);
        clients = load.end();
    }
    // The server did see another time: what came without an id carries it in the id that it was
    // given. While it runs, it follows no such jump.
    set_clock(&clock, -400 * day);
    daemon = crash_under_faketime(daemon, &environment);
    set_clock(&clock, 400 * day);
    let before = daemon.lines().len();
    let frame = encode_frame(MessageType::ProcessInfo, &ProcessInfo { pid: Some(1), ..Default::default() });
    daemon.datagram(&frame);
    let last = wait_for("one more event", || {
        daemon.lines().into_iter().skip(before).find(|line| line["pid"] == 1 && line.get("job_id").is_none())
    });
    let id = uuid::Uuid::parse_str(last["event_id"].as_str().unwrap()).unwrap();
    let (seconds, _) = id.get_timestamp().unwrap().to_unix();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let back = now.abs_diff(seconds) / day as u64;
    assert!((399..=401).contains(&back), "{back} days");
    let events = all_is_there_once(&mut daemon, &clients);
    assert!(events > 100, "only {events} events were acknowledged");
}
