//! The server's end: it keeps everything that arrives and joins parts, and a test asks it for
//! processes.

use bytes::BytesMut;
use ogrt_proto::{FRAME_MAX, Frame, MessageType, ProcessEnd, ProcessInfo, decode_frame};
use prost::Message;
use std::{
    collections::BTreeMap,
    io::Read,
    net::UdpSocket,
    os::unix::net::{UnixDatagram, UnixListener},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(5);

/// What came from one process, by event id.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its start event.
    pub start: Option<ProcessInfo>,
    /// Its end event.
    pub end: Option<ProcessEnd>,
    /// The number of frames of its start.
    pub start_parts: usize,
}

/// A receiver that works until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    /// The value of OGRT_SERVER.
    pub server: String,
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on a stream socket at `path`, and on the datagram socket beside it.
    pub fn unix(path: &Path) -> Receiver {
        let mut receiver = Receiver::named(format!("unix:{}", path.display()));
        receiver.listen_stream(path);
        receiver.listen_datagrams(path);
        receiver
    }

    /// Listens on the datagram socket at `path.dgram` only.
    pub fn unix_datagrams(path: &Path) -> Receiver {
        let mut receiver = Receiver::named(format!("unix:{}", path.display()));
        receiver.listen_datagrams(path);
        receiver
    }

    /// Receives UDP on a port of its own; `address` is 127.0.0.1 or ::1.
    pub fn udp(address: &str) -> Receiver {
        let socket = UdpSocket::bind((address, 0)).expect("UDP socket");
        let mut receiver = Receiver::named(socket.local_addr().expect("address").to_string());
        socket.set_read_timeout(Some(PAUSE)).expect("timeout");
        receiver.receive(move |bytes| socket.recv(bytes).ok());
        receiver
    }

    fn named(server: String) -> Receiver {
        Receiver { server, frames: Arc::default(), stop: Arc::default(), threads: Vec::new() }
    }

    fn listen_stream(&mut self, path: &Path) {
        let listener = UnixListener::bind(path).expect("Unix socket");
        listener.set_nonblocking(true).expect("non-blocking");
        self.receive(move |bytes| {
            let Ok((mut peer, _)) = listener.accept() else {
                thread::sleep(PAUSE);
                return None;
            };
            let _ = peer.set_nonblocking(false);
            let mut all = Vec::new();
            let _ = peer.read_to_end(&mut all);
            bytes.get_mut(..all.len())?.copy_from_slice(&all);
            Some(all.len())
        });
    }

    fn listen_datagrams(&mut self, path: &Path) {
        let mut twin = path.as_os_str().to_owned();
        twin.push(".dgram");
        let socket = UnixDatagram::bind(twin).expect("Unix datagram socket");
        socket.set_read_timeout(Some(PAUSE)).expect("timeout");
        self.receive(move |bytes| socket.recv(bytes).ok());
    }

    fn receive(&mut self, mut next: impl FnMut(&mut [u8]) -> Option<usize> + Send + 'static) {
        let (frames, stop) = (self.frames.clone(), self.stop.clone());
        self.threads.push(thread::spawn(move || {
            let mut room = vec![0; 1 << 20];
            while !stop.load(Ordering::Relaxed) {
                let Some(len) = next(&mut room) else { continue };
                let mut buffer = BytesMut::from(&room[..len]);
                while let Ok(Some(frame)) = decode_frame(&mut buffer, FRAME_MAX) {
                    frames.lock().expect("frames").push(frame);
                }
            }
        }));
    }

    /// Everything so far, with parts joined.
    pub fn processes(&self) -> Vec<Process> {
        let frames = self.frames.lock().expect("frames");
        Process::from_frames(&frames)
    }

    /// The first `count` processes whose start has come whole. This waits for them.
    #[track_caller]
    pub fn starts(&self, count: usize) -> Vec<Process> {
        self.wait(count, Process::has_started)
    }

    /// The first `count` processes whose start and end have come. This waits for them.
    #[track_caller]
    pub fn ended(&self, count: usize) -> Vec<Process> {
        self.wait(count, |process| process.has_started() && process.end.is_some())
    }

    /// The start of the only process.
    #[track_caller]
    pub fn start(&self) -> ProcessInfo {
        self.starts(1).remove(0).start.expect("start")
    }

    #[track_caller]
    fn wait(&self, count: usize, wanted: fn(&Process) -> bool) -> Vec<Process> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let processes: Vec<_> = self.processes().into_iter().filter(wanted).collect();
            if processes.len() >= count {
                return processes;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} processes came: {processes:?}",
                processes.len()
            );
            thread::sleep(PAUSE);
        }
    }

    /// The number of frames after a wait for anything that is still under way.
    pub fn frames_after_a_while(&self) -> usize {
        thread::sleep(Duration::from_millis(100));
        self.frames.lock().expect("frames").len()
    }
}

impl Process {
    /// Groups frames by event id, processes in the order of their starts; protobuf messages merge
    /// by concatenation.
    pub fn from_frames(frames: &[Frame]) -> Vec<Process> {
        let mut processes: BTreeMap<Vec<u8>, Process> = BTreeMap::new();
        for frame in frames {
            let (id, is_start) = match frame.message_type() {
                Some(MessageType::ProcessInfo) => (
                    ProcessInfo::decode(frame.message.clone()).expect("ProcessInfo").event_id().to_vec(),
                    true,
                ),
                Some(MessageType::ProcessEnd) => (
                    ProcessEnd::decode(frame.message.clone()).expect("ProcessEnd").event_id().to_vec(),
                    false,
                ),
                other => panic!("unexpected frame {other:?}"),
            };
            let process = processes.entry(id).or_default();
            let message = frame.message.clone();
            if is_start {
                process.start_parts += 1;
                process.start.get_or_insert_default().merge(message).expect("ProcessInfo");
            } else {
                process.end.get_or_insert_default().merge(message).expect("ProcessEnd");
            }
        }
        let mut processes: Vec<_> = processes.into_values().collect();
        processes.sort_by_key(|process| process.start.as_ref().map(ProcessInfo::start_time_ns));
        processes
    }

    fn has_started(&self) -> bool {
        let announced = self.start.as_ref().and_then(|start| start.part_count).unwrap_or(1);
        self.start_parts > 0 && self.start_parts >= announced as usize
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
