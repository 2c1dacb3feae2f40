//! A flood of events, to measure what a server takes without loss.
//!
//! `cargo run --release -p ogrt-load --bin flood -- --server 127.0.0.1:7971 --rate 100000 --seconds 60`
//! sends start events as our library makes them (three shared objects, one of them with a note, in
//! turn from `--builds` builds that it registers first), and prints one line of JSON at the end.
//! Compare `sent` with the server's `ogrt_events_received_total` and `ogrt_events_written_total`.
//! `--transport tcp` sends with acknowledgements, as fast as they come unless `--rate` says less,
//! over `--streams` connections.

use clap::{Parser, ValueEnum};
use nix::sys::socket::{MsgFlags, MultiHeaders, sendmmsg};
use ogrt_proto::*;
use prost::Message;
use serde_json::json;
use std::{
    io::{IoSlice, Read, Write},
    net::{TcpStream, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Transport {
    Udp,
    Tcp,
}

#[derive(Clone, Parser)]
struct Arguments {
    /// The server's address for UDP and TCP.
    #[arg(long)]
    server: String,
    /// Events a second; 0: as fast as possible.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, value_enum, default_value = "udp")]
    transport: Transport,
    /// Connections, with `--transport tcp`.
    #[arg(long, default_value_t = 4)]
    streams: u64,
    /// Builds to register first, over TCP.
    #[arg(long, default_value_t = 10_000)]
    builds: u64,
    /// Jobs that the events belong to.
    #[arg(long, default_value_t = 100)]
    jobs: u64,
}

fn main() {
    let arguments = Arguments::parse();
    register(&arguments);
    let events = Events::new(&arguments);
    let begin = Instant::now();
    let sent: u64 = match arguments.transport {
        Transport::Udp => send_udp(&arguments, events),
        Transport::Tcp => {
            let streams: Vec<_> = (0..arguments.streams)
                .map(|stream| {
                    let (arguments, mut events) = (arguments.clone(), events.clone());
                    events.number = stream << 40;
                    thread::spawn(move || send_tcp(&arguments, events))
                })
                .collect();
            streams.into_iter().map(|stream| stream.join().expect("a stream failed")).sum()
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let event_bytes = Events::new(&arguments).next().len();
    println!("{}", json!({ "sent": sent, "seconds": seconds, "event_bytes": event_bytes }));
}

/// Encoded events; only the id and the pid differ from one use of an event to the next.
#[derive(Clone)]
struct Events {
    encoded: Vec<(Vec<u8>, usize)>,
    run: u64,
    number: u64,
}

impl Events {
    fn new(arguments: &Arguments) -> Self {
        let builds = arguments.builds.max(1);
        // Each build is used, whatever the number of events that are kept ready.
        let kept = builds.clamp(1_000, 100_000);
        let encoded =
            (0..kept).map(|number| encode(number % builds, number % arguments.jobs.max(1))).collect();
        let run = u64::from(std::process::id()) << 32 | u64::from(Instant::now().elapsed().subsec_nanos());
        Events { encoded, run, number: 0 }
    }

    fn next(&mut self) -> &[u8] {
        self.number += 1;
        let at = (self.number.wrapping_mul(7919) % self.encoded.len() as u64) as usize;
        let (event, id_at) = &mut self.encoded[at];
        event[*id_at..*id_at + 8].copy_from_slice(&self.run.to_be_bytes());
        event[*id_at + 8..*id_at + 16].copy_from_slice(&self.number.to_be_bytes());
        event
    }
}

fn signature(build: u64) -> bytes::Bytes {
    [&0x0190_5a1d_ac96_774b_u64.to_be_bytes()[..], &(build.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_be_bytes()]
        .concat()
        .into()
}

fn metadata(build: u64) -> BuildMetadata {
    BuildMetadata {
        name: Some(format!("software{build}")),
        version: Some("2024.3".into()),
        toolchain: Some("foss-2024a".into()),
        package_manager: Some("easybuild".into()),
        package_id: Some(format!("software{build}-2024.3-foss-2024a.eb")),
        compiler: Some("gcc 13.2.0".into()),
        ..BuildMetadata::default()
    }
}

/// The event in its frame, and where its id stands.
fn encode(build: u64, job: u64) -> (Vec<u8>, usize) {
    let object = |path: &str| SharedObject {
        path: Some(path.to_owned().into()),
        build_id: Some(vec![0xB1; 20].into()),
        ..SharedObject::default()
    };
    let mut marked = object("/opt/software/lib/libmarked.so.3");
    marked.notes = vec![Note {
        signature: Some(signature(build)),
        metadata: Some(metadata(build).encode_to_vec().into()),
        version: Some(2),
    }];
    let info = ProcessInfo {
        binpath: Some("/opt/software/bin/simulate".into()),
        pid: Some(12_345),
        parent_pid: Some(12_300),
        job_id: Some(format!("{}", 4_711_000 + job).into()),
        hostname: Some("node0123.cluster.example".into()),
        arguments: vec!["simulate".into(), "--input".into(), "/scratch/run/input.dat".into()],
        shared_objects: vec![
            object("/usr/lib/x86_64-linux-gnu/libc.so.6"),
            marked,
            object("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        ],
        event_id: Some(vec![0xEE; 16].into()),
        start_time_ns: Some(1_795_416_645_123_456_789),
        uid: Some(1000),
        gid: Some(1000),
        working_directory: Some("/scratch/run".into()),
        build_id: Some(vec![0xB0; 20].into()),
        client: Some("1.0.0".into()),
        ..ProcessInfo::default()
    };
    let frame = encode_frame(MessageType::ProcessInfo, &info).to_vec();
    let id_at = frame.windows(16).position(|bytes| bytes == [0xEE; 16]).expect("the event has an id");
    (frame, id_at)
}

/// Sends each event as a datagram. All that are due are sent by one call, so that the generator
/// leaves the server its share of the machine.
fn send_udp(arguments: &Arguments, mut events: Events) -> u64 {
    const AT_ONCE: usize = 64;
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a UDP socket");
    socket.connect(&arguments.server).expect("an address to send to");
    let mut headers = MultiHeaders::<()>::preallocate(AT_ONCE, None);
    let mut datagrams = vec![Vec::new(); AT_ONCE];
    let begin = Instant::now();
    let end = Duration::from_secs(arguments.seconds);
    let mut sent = 0;
    loop {
        let elapsed = begin.elapsed();
        if elapsed >= end {
            return sent;
        }
        let due = match arguments.rate {
            0 => sent + AT_ONCE as u64,
            rate => (elapsed.as_nanos() as u64).saturating_mul(rate) / 1_000_000_000,
        };
        while sent < due {
            let now = AT_ONCE.min((due - sent) as usize);
            for datagram in &mut datagrams[..now] {
                datagram.clear();
                datagram.extend_from_slice(events.next());
            }
            let slices: Vec<[IoSlice<'_>; 1]> =
                datagrams[..now].iter().map(|datagram| [IoSlice::new(datagram)]).collect();
            let none = vec![None; now];
            let went = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, none, [], MsgFlags::empty());
            sent += went.expect("the server receives").count() as u64;
        }
        if arguments.rate > 0 {
            thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Sends in windows, each acknowledged before the one after the next goes.
fn send_tcp(arguments: &Arguments, mut events: Events) -> u64 {
    const WINDOW: u64 = 512;
    let mut stream = greeted(&arguments.server);
    let rate = arguments.rate / arguments.streams.max(1);
    let begin = Instant::now();
    let (mut sent, mut durable) = (0u64, 0u64);
    let mut received = bytes::BytesMut::new();
    while begin.elapsed() < Duration::from_secs(arguments.seconds) {
        let mut window = Vec::new();
        for _ in 0..WINDOW {
            window.extend_from_slice(events.next());
        }
        stream.write_all(&window).expect("the server receives");
        sent += WINDOW;
        while durable + WINDOW < sent {
            durable = acknowledged(&mut stream, &mut received, durable);
        }
        let due = Duration::from_nanos((sent * 1_000_000_000).checked_div(rate).unwrap_or(0));
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    while durable < sent {
        durable = acknowledged(&mut stream, &mut received, durable);
    }
    durable
}

fn register(arguments: &Arguments) {
    let mut stream = greeted(&arguments.server);
    let (mut durable, mut received) = (0, bytes::BytesMut::new());
    for build in 0..arguments.builds {
        let record = BuildRecord {
            signature: Some(signature(build)),
            metadata: Some(metadata(build)),
            time_ns: Some(1_795_000_000_000_000_000 + build as i64),
            hostname: Some("builder".into()),
            username: Some("easybuild".into()),
            uid: Some(1001),
            ..BuildRecord::default()
        };
        stream.write_all(&encode_frame(MessageType::BuildRecord, &record)).expect("the server receives");
        while durable + 4096 < build {
            durable = acknowledged(&mut stream, &mut received, durable);
        }
    }
    while durable < arguments.builds {
        durable = acknowledged(&mut stream, &mut received, durable);
    }
}

fn greeted(server: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).expect("a server that listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream.write_all(&encode_frame(MessageType::Hello, &Hello::default())).expect("the server receives");
    stream
}

/// Waits for one more acknowledgement.
fn acknowledged(stream: &mut TcpStream, received: &mut bytes::BytesMut, durable: u64) -> u64 {
    let mut some = [0; 4096];
    let read = stream.read(&mut some).expect("the server acknowledges");
    assert!(read > 0, "the server closed the stream");
    received.extend_from_slice(&some[..read]);
    let mut durable = durable;
    while let Some(frame) = decode_frame(received, FRAME_MAX).expect("frames") {
        durable = Ack::decode(frame.message).expect("an acknowledgement").durable_frames();
    }
    durable
}
