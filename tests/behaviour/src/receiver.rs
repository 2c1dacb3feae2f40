//! The server's end, as far as a case needs it: a listening socket that reads each connection to
//! its end and counts the frames that decode.

use anyhow::Result;
use bytes::BytesMut;
use ogrt_proto::{FRAME_MAX, MessageType, decode_frame};
use std::{
    io::Read,
    os::unix::net::{UnixDatagram, UnixListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A counter of the events that reach a Unix socket, stream or datagram. It works until it is
/// dropped.
#[derive(Debug)]
pub struct Receiver {
    path: PathBuf,
    events: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Receiver {
    /// Listens at `path` and, for datagrams, at `path.dgram`.
    pub fn listen(path: &Path) -> Result<Receiver> {
        let events = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let stream = UnixListener::bind(path)?;
        let datagram = UnixDatagram::bind(path.with_extension("sock.dgram"))?;
        stream.set_nonblocking(true)?;
        datagram.set_nonblocking(true)?;
        let streams = {
            let (events, stop) = (events.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok((mut peer, _)) = stream.accept() else {
                        thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    let mut bytes = Vec::new();
                    let _ = peer.set_nonblocking(false);
                    let _ = peer.set_read_timeout(Some(Duration::from_secs(2)));
                    let _ = peer.read_to_end(&mut bytes);
                    events.fetch_add(events_in(&bytes), Ordering::Relaxed);
                }
            })
        };
        let datagrams = {
            let (events, stop) = (events.clone(), stop.clone());
            thread::spawn(move || {
                let mut bytes = vec![0; 256 * 1024];
                while !stop.load(Ordering::Relaxed) {
                    match datagram.recv(&mut bytes) {
                        Ok(len) => drop(events.fetch_add(events_in(&bytes[..len]), Ordering::Relaxed)),
                        Err(_) => thread::sleep(Duration::from_millis(1)),
                    }
                }
            })
        };
        Ok(Receiver { path: path.to_owned(), events, stop, threads: vec![streams, datagrams] })
    }

    /// The number of start events so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Tells whether a start event comes within a second.
    pub fn saw_events(&self) -> bool {
        for _ in 0..200 {
            if self.events() > 0 {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(self.path.with_extension("sock.dgram"));
    }
}

fn events_in(bytes: &[u8]) -> u64 {
    let mut buffer = BytesMut::from(bytes);
    let mut events = 0;
    while let Ok(Some(frame)) = decode_frame(&mut buffer, FRAME_MAX) {
        events += u64::from(frame.message_type() == Some(MessageType::ProcessInfo));
    }
    events
}
