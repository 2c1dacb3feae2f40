//! Many hostile peers at once: good clients are served meanwhile, and memory stays bounded.
//!
//! Each siege holds its connections while a good client sends on every way in and asks a question;
//! all of it must be answered within seconds. Memory is compared with what the server had before.

use crate::daemon::{Daemon, OGRT_0_5, build, needs, wait_for};
use nix::sys::{
    resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit},
    signal::{SIGCONT, SIGSTOP},
};
use prost::Message;
use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// What a siege may cost in memory, whatever its size.
const GROWTH_MAX: u64 = 64 << 20;

/// How long a good client may wait for everything that it asks.
const PATIENCE: Duration = Duration::from_secs(10);

/// One siege at a time: what each asserts is how quickly others are served.
static ALONE: Mutex<()> = Mutex::new(());

struct Siege {
    daemon: Daemon,
    memory: u64,
    _alone: MutexGuard<'static, ()>,
}

impl Siege {
    fn new(more: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = Daemon::start(more);
        let memory = daemon.metric("process_resident_memory_bytes");
        Siege { daemon, memory, _alone: alone }
    }

    fn good_clients_are_served(&mut self) {
        let since = Instant::now();
        let daemon = &mut self.daemon;
        assert!(daemon.is_running(), "{}", daemon.log());
        let written = daemon.lines().len();
        let mut stream = daemon.acknowledged();
        stream.send(OGRT_0_5).unwrap();
        stream.wait_for(1).unwrap();
        daemon.datagram(OGRT_0_5);
        std::os::unix::net::UnixStream::connect(&daemon.unix).unwrap().write_all(OGRT_0_5).unwrap();
        wait_for("three good events", || (daemon.lines().len() >= written + 3).then_some(()));
        assert_eq!(daemon.get("/healthz").0, 200);
        assert!(since.elapsed() < PATIENCE, "{:?}", since.elapsed());
        let grown = daemon.metric("process_resident_memory_bytes").saturating_sub(self.memory);
        assert!(grown < GROWTH_MAX, "{} MiB more than before", grown >> 20);
        assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    }
}

/// Tells whether so many connections may be open, or says that they may not.
pub fn may_open(connections: u64) -> bool {
    let (_, hard) = getrlimit(RLIMIT_NOFILE).unwrap();
    let may = hard >= connections + 1000 && setrlimit(RLIMIT_NOFILE, hard, hard).is_ok();
    if !may {
        needs("right to open more descriptors");
    }
    may
}

#[test]
fn ten_thousand_idle_connections() {
    const CONNECTIONS: u64 = 10_000;
    if !may_open(CONNECTIONS) {
        return;
    }
    let mut siege = Siege::new("");
    let idle: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|number| {
            let mut stream = TcpStream::connect(&siege.daemon.tcp).unwrap();
            // Some have said something, and then nothing more.
            if number % 4 == 0 {
                stream.write_all(&OGRT_0_5[..6]).unwrap();
            }
            stream
        })
        .collect();
    wait_for("all to be accepted", || {
        (siege.daemon.metric("ogrt_connections_total") >= CONNECTIONS).then_some(())
    });
    siege.good_clients_are_served();
    drop(idle);
    siege.good_clients_are_served();
}

#[test]
fn a_thousand_clients_at_once_wait_for_nobody() {
    let mut siege = Siege::new("");
    // A server that is busy elsewhere: connections wait for it in the kernel.
    siege.daemon.signal(SIGSTOP);
    let since = Instant::now();
    let connect = |address: &str| (0..500).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>();
    let waiting = [connect(&siege.daemon.tcp), connect(&siege.daemon.http)];
    let elapsed = since.elapsed();
    siege.daemon.signal(SIGCONT);
    // The kernel's first repetition comes after a second.
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    siege.good_clients_are_served();
    drop(waiting);
}

#[test]
fn when_places_run_out_the_silent_ones_go() {
    let mut siege = Siege::new("[receive]\nconnections_max = 40\n");
    let _silent: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(&siege.daemon.tcp).unwrap()).collect();
    let since = Instant::now();
    // A good client comes to its turn long before `idle_timeout`, ten minutes.
    let mut stream = siege.daemon.acknowledged();
    stream.send(OGRT_0_5).unwrap();
    stream.wait_for(1).unwrap();
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    siege.good_clients_are_served();
}

#[test]
fn slow_peers_that_announce_much() {
    let mut siege = Siege::new("[receive]\nmessage_timeout = \"3s\"\n");
    let announced = [&12u32.to_be_bytes()[..], &(16u32 << 20).to_be_bytes(), &[0; 64]].concat();
    let four_gigabytes = [&12u32.to_be_bytes()[..], &u32::MAX.to_be_bytes(), &[0; 64]].concat();
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut tcp = TcpStream::connect(&siege.daemon.tcp).unwrap();
        let bytes: &[u8] = match number % 3 {
            0 => &announced,
            1 => &four_gigabytes,
            _ => &OGRT_0_5[..20],
        };
        let _ = tcp.write_all(bytes);
        let mut http = TcpStream::connect(&siege.daemon.http).unwrap();
        let head = "POST /v1/builds HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4294967295\r\n";
        let _ = http.write_all(&head.as_bytes()[..if number % 2 == 0 { 30 } else { head.len() }]);
        slow.push((tcp, http));
    }
    for _ in 0..3 {
        for (tcp, http) in &mut slow {
            let _ = (tcp.write_all(b"x"), http.write_all(b"x"));
        }
        siege.good_clients_are_served();
        sleep(Duration::from_millis(300));
    }
    // They are cut off, those of HTTP after ten seconds.
    let open = || std::fs::read_dir(format!("/proc/{}/fd", siege.daemon.pid())).unwrap().count();
    wait_for("the slow ones to be closed", || (open() < 100).then_some(()));
    siege.good_clients_are_served();
}

/// Asks for health for a while: each answer must come at once.
fn health_is_told_at_once(daemon: &Daemon, time: Duration) {
    // The machine of the usual tests has other work.
    let at_once =
        Duration::from_millis(if std::env::var_os("OGRT_TEST_FULL").is_some() { 100 } else { 1000 });
    let since = Instant::now();
    while since.elapsed() < time {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let asked = Instant::now();
            assert_eq!(daemon.http("GET", path, &[]).0, 200);
            assert!(asked.elapsed() < at_once, "{path} after {:?}", asked.elapsed());
        }
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn slow_bodies_and_idle_connections_hold_up_nobody() {
    if !may_open(5000) {
        return;
    }
    let mut siege = Siege::new("");
    let connect = || TcpStream::connect(&siege.daemon.http).unwrap();
    let mut held: Vec<TcpStream> = (0..1500).map(|_| connect()).collect();
    let bodies = (0..1024).map(|number: u32| {
        let mut stream = connect();
        let (path, length) = if number.is_multiple_of(2) { ("builds", 10_000) } else { ("import", 16 << 20) };
        let head = format!("POST /v1/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nx");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    });
    held.extend(bodies);
    health_is_told_at_once(&siege.daemon, Duration::from_secs(1));
    siege.good_clients_are_served();
    assert_eq!(siege.daemon.http("POST", "/v1/builds", &build(3, "good").encode_to_vec()).0, 201);
    // They keep dripping, and are cut off all the same.
    let open = || std::fs::read_dir(format!("/proc/{}/fd", siege.daemon.pid())).unwrap().count();
    wait_for("the slow ones to be closed", || {
        held.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
        health_is_told_at_once(&siege.daemon, Duration::from_millis(300));
        (open() < 100).then_some(())
    });
}

#[test]
fn large_bodies_that_stop_and_answers_that_nobody_reads_are_cut_off() {
    let mut siege = Siege::new("");
    for number in 0..50u8 {
        let mut record = build(number, "large");
        record.working_directory = Some("w".repeat(100_000).into());
        assert_eq!(siege.daemon.http("POST", "/v1/builds", &record.encode_to_vec()).0, 201);
    }
    let ask = |text: &str| {
        let mut stream = TcpStream::connect(&siege.daemon.http).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut held: Vec<TcpStream> =
        (0..40).map(|_| ask("GET /v1/export HTTP/1.1\r\nhost: x\r\n\r\n")).collect();
    for _ in 0..40 {
        let mut stream = ask("POST /v1/import HTTP/1.1\r\nhost: x\r\ncontent-length: 16000000\r\n\r\n");
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(&[b' '; 100_000]);
        held.push(stream);
    }
    health_is_told_at_once(&siege.daemon, Duration::from_secs(1));
    siege.good_clients_are_served();
    assert_eq!(siege.daemon.http("GET", "/v1/export", &[]).0, 200);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", siege.daemon.pid())).unwrap().count();
    wait_for("the slow ones to be closed", || {
        health_is_told_at_once(&siege.daemon, Duration::from_millis(300));
        (open() < 70).then_some(())
    });
    siege.good_clients_are_served();
}

#[test]
fn a_flood_of_garbage() {
    let mut siege = Siege::new("");
    let noise: Vec<u8> = (0..60_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 0..20_000usize {
        let at = round * 7 % 40_000;
        let _ = socket.send_to(&noise[at..at + 1 + round % 1400], &siege.daemon.udp);
        if round % 20 == 0 {
            let _ = TcpStream::connect(&siege.daemon.tcp).unwrap().write_all(&noise[at..at + 10_000]);
            let _ = TcpStream::connect(&siege.daemon.http).unwrap().write_all(&noise[at..at + 10_000]);
        }
        if round % 5000 == 0 {
            siege.good_clients_are_served();
        }
    }
    siege.good_clients_are_served();
    assert!(siege.daemon.metric("ogrt_protocol_errors_total") > 1000);
    // The log does not grow with the flood.
    let log = siege.daemon.log().len();
    assert!(log < 1 << 20, "{log} bytes of log");
}
