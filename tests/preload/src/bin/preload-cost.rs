//! What libogrt.so costs a process: whole spawns of a small program, cases interleaved, medians, beside an empty
//! preloaded library.
//!
//! `cargo run --release -p ogrt-preload-tests --bin preload-cost [ROUNDS] [PROGRAM [ARGUMENTS...]]`
//!
//! The receiver stands for a live server: it drains its sockets every three milliseconds, so that no sender pays
//! for waking it.

use anyhow::{Result, ensure};
use ogrt_preload_tests::{Folder, empty_library, library};
use std::{
    io::Read,
    net::UdpSocket,
    os::unix::net::{UnixDatagram, UnixListener},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const DRAIN: Duration = Duration::from_millis(3);

struct Case {
    name: &'static str,
    variables: Vec<(&'static str, String)>,
    times: Vec<Duration>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(2000), |rounds| rounds.parse())?;
    let mut program: Vec<String> = arguments.collect();
    if program.is_empty() {
        program.push("/bin/true".to_owned());
    }
    let folder = Folder::new();
    let ours = std::env::var("OGRT_LIBRARY").unwrap_or_else(|_| library().display().to_string());
    let empty = empty_library(folder.path()).display().to_string();
    let (server, received) = receive(&folder)?;
    let active = |library: &str, server: &str| {
        vec![
            ("LD_PRELOAD", library.to_owned()),
            ("OGRT_ACTIVE", "1".to_owned()),
            ("OGRT_SERVER", server.to_owned()),
        ]
    };
    let unix = format!("unix:{}", server.unix);
    let case = |name, variables| Case { name, variables, times: Vec::with_capacity(rounds) };
    let mut skipped = active(&ours, &unix);
    skipped.push(("OGRT_SKIP", "*".to_owned()));
    let mut audit = active(&ours, &unix);
    audit[0].0 = "LD_AUDIT";
    let mut cases = [
        case("bare", vec![]),
        case("empty library", vec![("LD_PRELOAD", empty)]),
        case("inactive", vec![("LD_PRELOAD", ours.clone())]),
        case("skipped", skipped),
        case("Unix socket", active(&ours, &unix)),
        case("UDP", active(&ours, &server.udp)),
        case("server absent", active(&ours, &format!("unix:{}/absent", folder.path().display()))),
        case("LD_AUDIT, Unix socket", audit),
    ];
    for round in 0..rounds + rounds / 20 {
        for case in &mut cases {
            let time = spawn(&program, &case.variables)?;
            // The first twentieth warms the caches.
            if round >= rounds / 20 {
                case.times.push(time);
            }
        }
    }
    thread::sleep(DRAIN * 10);
    for case in &mut cases {
        case.times.sort();
    }
    let base = cases[1].times[rounds / 2];
    println!("{} {rounds} rounds, medians", program.join(" "));
    for case in &cases {
        let [median, tenth] = [case.times[rounds / 2], case.times[rounds / 10]];
        let over = median.as_nanos() as f64 / 1e3 - base.as_nanos() as f64 / 1e3;
        let over_tenth = (tenth.as_nanos() as f64 - cases[1].times[rounds / 10].as_nanos() as f64) / 1e3;
        println!(
            "{:24} {:8.1} us {over:+8.1} us over empty (10th percentile {over_tenth:+.1})",
            case.name,
            median.as_nanos() as f64 / 1e3
        );
    }
    println!("{} frames received", received.load(Ordering::Relaxed));
    Ok(())
}

fn spawn(program: &[String], variables: &[(&str, String)]) -> Result<Duration> {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let before = Instant::now();
    let status = command.status()?;
    let time = before.elapsed();
    ensure!(status.success(), "{program:?}: {status}");
    Ok(time)
}

struct Server {
    unix: String,
    udp: String,
}

fn receive(folder: &Folder) -> Result<(Server, Arc<AtomicU64>)> {
    let path = folder.join("ogrt.sock");
    let stream = UnixListener::bind(&path)?;
    let twin = UnixDatagram::bind(Path::new(&format!("{}.dgram", path.display())))?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    stream.set_nonblocking(true)?;
    twin.set_nonblocking(true)?;
    udp.set_nonblocking(true)?;
    let server = Server { unix: path.display().to_string(), udp: udp.local_addr()?.to_string() };
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    thread::spawn(move || {
        let mut room = vec![0; 1 << 16];
        loop {
            while let Ok((mut peer, _)) = stream.accept() {
                while matches!(peer.read(&mut room), Ok(len) if len > 0) {}
                count.fetch_add(1, Ordering::Relaxed);
            }
            while twin.recv(&mut room).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
            while udp.recv(&mut room).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(DRAIN);
        }
    });
    Ok((server, received))
}
