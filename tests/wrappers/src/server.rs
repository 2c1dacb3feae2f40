//! A server of a few lines: takes frames, acknowledges them, or behaves badly on purpose.

use bytes::BytesMut;
use ogrt_proto::{Ack, BuildRecord, FRAME_MAX, MessageType, decode_frame, encode_frame};
use prost::Message;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The way in which the server treats a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It acknowledges each frame.
    Answers,
    /// It reads and never answers.
    Hangs,
    /// It closes the connection at once.
    Closes,
    /// It takes no record, and says so.
    Refuses,
    /// It answers in another protocol.
    Babbles,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    address: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    connections: AtomicUsize,
    records: Mutex<Vec<BuildRecord>>,
}

impl TestServer {
    /// Listens on a port of the system's choice.
    pub fn start(manner: Manner) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared::default());
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming().flatten() {
                    if shared.stop.load(Ordering::SeqCst) {
                        break;
                    }
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = shared.clone();
                    std::thread::spawn(move || serve(stream, manner, &shared));
                }
            }
        });
        TestServer { address, shared, accepting: Some(accepting) }
    }

    /// The value for OGRT_SERVER.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The records that came so far.
    pub fn records(&self) -> Vec<BuildRecord> {
        self.shared.records.lock().expect("no panic before").clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(mut stream: TcpStream, manner: Manner, shared: &Shared) {
    match manner {
        Manner::Closes => return,
        Manner::Babbles => {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
        Manner::Answers | Manner::Refuses | Manner::Hangs => {}
    }
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let (mut buffer, mut received, mut frames) = ([0; 65536], BytesMut::new(), 0);
    let mut said_hello = false;
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        received.extend_from_slice(&buffer[..len]);
        while let Ok(Some(frame)) = decode_frame(&mut received, FRAME_MAX) {
            match frame.message_type() {
                Some(MessageType::Hello) => said_hello = true,
                Some(MessageType::BuildRecord) if said_hello => {
                    frames += 1;
                    let record = BuildRecord::decode(frame.message).expect("a record");
                    shared.records.lock().expect("no panic before").push(record);
                }
                other => panic!("unexpected frame {other:?}"),
            }
        }
        if manner == Manner::Refuses && frames > 0 {
            let refused = Some("name a token in OGRT_TOKEN_FILE \u{1b}[31m".to_owned());
            let _ = stream.write_all(&encode_frame(MessageType::Ack, &Ack { durable_frames: None, refused }));
            return;
        }
        if manner == Manner::Answers && frames > 0 {
            let ack = encode_frame(MessageType::Ack, &Ack { durable_frames: Some(frames), refused: None });
            let _ = stream.write_all(&ack);
        }
    }
}
