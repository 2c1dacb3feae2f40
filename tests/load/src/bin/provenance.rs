//! A site's builds, as many as wanted, to measure the registry: registration, lookup, and what
//! contains a library.
//!
//! `cargo run --release -p ogrt-load --bin provenance -- --server 127.0.0.1:7971 --http 127.0.0.1:7972 --builds 1000000`
//! registers over acknowledged streams, asks over HTTP, and prints one line of JSON.
//!
//! Builds come in stacks of 5,000, as a site rebuilds its software for each toolchain. Of its 30
//! inputs a build has 10 in common with all others (the compiler's and the C library's), up to 10
//! are libraries of its own stack (every fiftieth build is one, and contains earlier ones), and the
//! others are its alone. One library, of the first stack, is linked into every five-hundredth build
//! directly, whatever its stack. Records are some 4 KB.
//!
//! Registrations may wait for a database of the registry's own. The streams pause while many do: a
//! server refuses what is beyond its bound, and a wrapper would spool it.

use clap::Parser;
use ogrt_proto::*;
use prost::Message;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

const STACK: u64 = 5_000;
const LIBRARY_EVERY: u64 = 50;
const COMMON_EVERY: u64 = 500;
const INPUTS: u64 = 30;
const WINDOW: u64 = 256;

/// Registrations that may wait for the registry's own database.
const WAITING_MAX: u64 = 10_000;

#[derive(Clone, Parser)]
struct Arguments {
    /// The server's address for TCP.
    #[arg(long)]
    server: String,
    /// The server's address for HTTP.
    #[arg(long)]
    http: String,
    #[arg(long, default_value_t = 100_000)]
    builds: u64,
    /// Builds that are registered already.
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[arg(long, default_value_t = 4)]
    streams: u64,
    #[arg(long, default_value_t = 20_000)]
    lookups: u64,
    /// Processes that run some of the builds before their uses are asked for.
    #[arg(long, default_value_t = 200_000)]
    processes: u64,
    /// A directory whose size is printed.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let registrations = arguments.builds.saturating_sub(arguments.from);
    let begin = Instant::now();
    let streams: Vec<_> = (0..arguments.streams)
        .map(|stream| {
            let arguments = arguments.clone();
            thread::spawn(move || {
                let builds = (arguments.from..arguments.builds)
                    .filter(|build| build / WINDOW % arguments.streams == stream);
                let frame = |build| {
                    if build % WINDOW == 0 {
                        // A connection that is kept is closed after half an hour.
                        wait_until_few_wait(&mut Http::connect(&arguments.http), WAITING_MAX);
                    }
                    encode_frame(MessageType::BuildRecord, &record(build))
                };
                send(&arguments.server, builds.map(frame));
            })
        })
        .collect();
    streams.into_iter().for_each(|stream| stream.join().expect("a stream failed"));
    let registered_s = begin.elapsed().as_secs_f64();
    wait_until_few_wait(&mut Http::connect(&arguments.http), 0);
    let settled_s = begin.elapsed().as_secs_f64();
    send(&arguments.server, (0..arguments.processes).map(|number| process(number, arguments.builds)));

    let mut http = Http::connect(&arguments.http);
    // Other builds each time, so that the second does not find what the first brought into memory.
    let busy = lookups(&mut http, &arguments, 0);
    let common = uuid(0);
    // This waits until the processes are counted.
    http.get(&format!("/v1/uses/{common}"));
    let idle = lookups(&mut http, &arguments, arguments.lookups);
    let mut timed = |path: &str| -> (f64, Value) {
        let mut best: Option<(f64, Value)> = None;
        for _ in 0..3 {
            let begin = Instant::now();
            let (status, body) = http.get(path);
            let seconds = begin.elapsed().as_secs_f64();
            assert_eq!(status, 200, "{path}");
            if best.as_ref().is_none_or(|(best, _)| seconds < *best) {
                best = Some((seconds, serde_json::from_slice(&body).expect("JSON")));
            }
        }
        best.expect("three answers")
    };
    let (dependents_s, dependents) = timed(&format!("/v1/dependents/{common}"));
    let (uses_s, uses) = timed(&format!("/v1/uses/{common}"));
    let (by_name_s, _) = timed("/v1/builds?name=package42");
    let (by_flag_s, _) = timed("/v1/builds?flag=-O2&user=builder3");
    let (newest_s, _) = timed("/v1/builds");
    let answer = json!({
        "builds": arguments.builds,
        "record_bytes": record(arguments.builds / 2).encoded_len(),
        "registrations_per_s": registrations as f64 / registered_s,
        "settled_per_s": registrations as f64 / settled_s,
        "lookup_us": idle,
        "lookup_while_processes_are_counted_us": busy,
        "dependents": { "seconds": dependents_s, "count": dependents["count"], "truncated": dependents["truncated"] },
        "uses": { "seconds": uses_s, "total": uses["total"], "truncated": uses["truncated"] },
        "list_s": { "name": by_name_s, "flag and user": by_flag_s, "newest": newest_s },
        "resident_mib": metric(&mut http, "process_resident_memory_bytes") >> 20,
        "disk_mib": arguments.data_dir.as_deref().map(|directory| size(directory) >> 20),
    });
    println!("{answer}");
}

/// The times of lookups, one after the other, of builds from the whole registry.
fn lookups(http: &mut Http, arguments: &Arguments, from: u64) -> Value {
    let lookup = |number: u64| {
        let build = mix(number) % arguments.builds;
        let begin = Instant::now();
        let (status, _) = http.get(&format!("/v1/builds/{}", uuid(build)));
        assert_eq!(status, 200, "build {build}");
        begin.elapsed()
    };
    let mut times: Vec<Duration> = (from..from + arguments.lookups).map(lookup).collect();
    times.sort_unstable();
    let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    json!({ "median": share(0.5), "p99": share(0.99), "p999": share(0.999) })
}

/// A good hash of a number: the same builds in every run.
fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A UUIDv7: its time grows with the builds, the rest is random.
fn signature(build: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&((1_700_000_000_000 + build * 100) << 16 | mix(build) >> 48).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(build ^ 0xABCD).to_be_bytes());
    bytes[6] = bytes[6] & 0x0F | 0x70;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    bytes
}

fn uuid(build: u64) -> String {
    uuid::Uuid::from_bytes(signature(build)).to_string()
}

fn digest(kind: u64, number: u64) -> bytes::Bytes {
    (0..4u64).flat_map(|part| mix(mix(kind << 56 | number) ^ part).to_be_bytes()).collect::<Vec<u8>>().into()
}

fn file(path: String, sha256: bytes::Bytes, kind: FileKind, signature: Option<[u8; 16]>) -> Input {
    Input {
        path: Some(path.into()),
        sha256: Some(sha256),
        size: Some(123_456),
        kind: Some(kind as i32),
        signatures: signature.iter().map(|bytes| bytes.to_vec().into()).collect(),
        build_id: signature.map(|bytes| bytes.to_vec().into()),
        ..Input::default()
    }
}

fn record(build: u64) -> BuildRecord {
    let (stack, in_stack) = (build / STACK, build % STACK);
    let prefix = format!("/apps/stack{stack:04}/software/package{}", in_stack);
    let mut inputs: Vec<Input> = (0..10)
        .map(|number| {
            let path = format!("/usr/lib/gcc/x86_64-linux-gnu/13/common{number}.o");
            file(path, digest(1, number), FileKind::Object, None)
        })
        .collect();
    let libraries = in_stack / LIBRARY_EVERY;
    let mut contained: Vec<u64> = (0..10.min(libraries))
        .map(|pick| stack * STACK + mix(build << 8 | pick) % libraries * LIBRARY_EVERY)
        .collect();
    if build > 0 && mix(build ^ 0xC0).is_multiple_of(COMMON_EVERY) {
        contained.push(0);
    }
    contained.sort_unstable();
    contained.dedup();
    for library in &contained {
        let path = format!("/apps/stack{stack:04}/software/package{}/lib/lib{library}.so.1", library % STACK);
        inputs.push(file(path, digest(2, *library), FileKind::SharedLibrary, Some(signature(*library))));
    }
    let own = INPUTS - inputs.len() as u64;
    inputs.extend((0..own).map(|number| {
        let path = format!("/tmp/build/package{in_stack}/src/module{number}/file{number}.o");
        file(path, digest(3, build * INPUTS + number), FileKind::Object, None)
    }));
    let driver =
        ["gcc", "-O2", "-march=x86-64-v3", "-fopenmp", "-Wall", "-pthread", "-o", "program", "main.o"];
    let linker: Vec<bytes::Bytes> = inputs.iter().filter_map(|input| input.path.clone()).collect();
    BuildRecord {
        signature: Some(signature(build).to_vec().into()),
        metadata: Some(BuildMetadata {
            name: Some(format!("package{in_stack}")),
            version: Some(format!("{}.{}", 1 + stack % 9, stack)),
            toolchain: Some(format!("stack{stack:04}")),
            package_manager: Some("easybuild".into()),
            package_id: Some(format!("package{in_stack}-{stack}.eb")),
            compiler: Some("gcc 13.2.0".into()),
            ..BuildMetadata::default()
        }),
        time_ns: Some((1_700_000_000_000 + build as i64 * 100) * 1_000_000),
        duration_ns: Some(1_234_567),
        hostname: Some(format!("build{}", build % 8)),
        uid: Some(1000 + (build % 20) as u32),
        username: Some(format!("builder{}", build % 20)),
        working_directory: Some(format!("/tmp/build/package{in_stack}").into()),
        driver_command: driver.map(Into::into).to_vec(),
        linker_command: linker,
        compilers: vec![Compiler {
            producer: Some("GNU C17 13.2.0 -march=x86-64-v3 -mtune=generic -g -O2 -fopenmp".into()),
            inputs: Some(20),
        }],
        inputs,
        output: Some(Output {
            path: Some(format!("{prefix}/bin/program").into()),
            sha256: Some(digest(2, build)),
            size: Some(1_000_000),
            kind: Some(FileKind::Executable as i32),
            build_id: Some(digest(4, build).slice(..20)),
            machine: Some("x86_64".into()),
            ..Output::default()
        }),
        client: Some("ogrt-ld 1.0.0".into()),
        ..BuildRecord::default()
    }
}

/// A process of one of 20,000 programs, with two libraries of its stack.
fn process(number: u64, builds: u64) -> bytes::Bytes {
    let program = mix(number % 20_000) % builds;
    let mark = |build: u64| Note {
        signature: Some(signature(build).to_vec().into()),
        version: Some(2),
        ..Note::default()
    };
    let stack = program / STACK * STACK;
    let object = |pick: u64| SharedObject {
        path: Some("/apps/lib.so".into()),
        notes: vec![mark(stack + mix(program ^ pick) % 100 * LIBRARY_EVERY % builds.min(STACK))],
        ..SharedObject::default()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let info = ProcessInfo {
        event_id: Some([now.as_nanos().to_be_bytes().as_slice()].concat().into()),
        binpath: Some(format!("/apps/program{program}").into()),
        job_id: Some(format!("{}", 4_711_000 + number % 2_000).into()),
        username: Some(format!("user{}", number % 150).into()),
        hostname: Some(format!("node{:04}", number % 500).into()),
        start_time_ns: Some(now.as_nanos() as i64),
        notes: vec![mark(program)],
        shared_objects: vec![object(1), object(2)],
        ..ProcessInfo::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

/// Sends frames in windows, each acknowledged before the one after the next goes.
fn send(server: &str, frames: impl Iterator<Item = bytes::Bytes>) {
    let mut stream = TcpStream::connect(server).expect("a server that listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream.write_all(&encode_frame(MessageType::Hello, &Hello::default())).expect("the server receives");
    let (mut sent, mut durable, mut received) = (0, 0, bytes::BytesMut::new());
    let mut window = Vec::new();
    let mut acknowledged = |stream: &mut TcpStream, until: u64| {
        while durable < until {
            let mut some = [0; 4096];
            let read = stream.read(&mut some).expect("the server acknowledges");
            assert!(read > 0, "the server closed the stream");
            received.extend_from_slice(&some[..read]);
            while let Some(frame) = decode_frame(&mut received, FRAME_MAX).expect("frames") {
                durable = Ack::decode(frame.message).expect("an acknowledgement").durable_frames();
            }
        }
    };
    for frame in frames {
        window.extend_from_slice(&frame);
        sent += 1;
        if sent % WINDOW == 0 {
            stream.write_all(&window).expect("the server receives");
            window.clear();
            acknowledged(&mut stream, sent.saturating_sub(WINDOW));
        }
    }
    stream.write_all(&window).expect("the server receives");
    acknowledged(&mut stream, sent);
}

/// Waits until at most `waiting_max` registrations wait for the registry's own database.
fn wait_until_few_wait(http: &mut Http, waiting_max: u64) {
    while metric(http, "ogrt_registrations_waiting") > waiting_max {
        thread::sleep(Duration::from_millis(20));
    }
}

/// A connection that is kept.
struct Http(TcpStream);

impl Http {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("HTTP");
        stream.set_nodelay(true).expect("a TCP socket");
        Http(stream)
    }

    fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        write!(self.0, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("a request");
        let (mut answer, mut some) = (Vec::new(), [0; 65_536]);
        loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.expect("a length").trim().parse().expect("a number");
                if answer.len() >= end + 4 + length {
                    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
                    return (status, answer[end + 4..].to_vec());
                }
            }
            let read = self.0.read(&mut some).expect("an answer");
            assert!(read > 0, "the server closed the connection");
            answer.extend_from_slice(&some[..read]);
        }
    }
}

fn metric(http: &mut Http, name: &str) -> u64 {
    let text = String::from_utf8(http.get("/metrics").1).expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
}

fn size(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        // What is allocated, not what a file pretends to be.
        return std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    }
    std::fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|entry| size(&entry.path())).sum())
}
