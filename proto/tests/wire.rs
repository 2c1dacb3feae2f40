//! The wire, held against real bytes of OGRT 0.5's client, against its manual, and against damage.

use bytes::BytesMut;
use ogrt_proto::*;
use proptest::prelude::*;
use prost::Message;
use std::{env, net::UdpSocket, process::Command, time::Duration};

const MANUAL: &str = include_str!("../../docs/wire.md");

/// One UDP datagram as OGRT 0.5 sent it for `gcc --help`.
const OGRT_0_5: &[u8] = include_bytes!("data/ogrt-0.5-processinfo.bin");

#[test]
fn datagram_of_ogrt_0_5_is_understood() {
    let mut buffer = BytesMut::from(OGRT_0_5);
    let frame = decode_frame(&mut buffer, FRAME_MAX).unwrap().unwrap();
    assert!(buffer.is_empty());
    assert_eq!(frame.message_type(), Some(MessageType::ProcessInfo));
    let info = ProcessInfo::decode(frame.message.clone()).unwrap();
    assert_eq!(info.binpath(), b"/usr/bin/x86_64-linux-gnu-gcc-12");
    assert_eq!((info.pid(), info.parent_pid(), info.time()), (1296, 1253, 1_795_416_645));
    assert_eq!(
        (info.job_id(), info.username(), info.hostname()),
        (&b"TESTJOB"[..], &b"root"[..], &b"vm"[..])
    );
    assert_eq!(info.shared_objects.len(), 3);
    let modules: Vec<_> = info.loaded_modules.iter().map(Module::name).collect();
    assert_eq!(modules, [&b"gcc/4.6.2"[..], b"dev"]);
    // What we would send for it is what it sent: no field was renumbered.
    assert_eq!(encode_frame(MessageType::ProcessInfo, &info).len(), OGRT_0_5.len());
}

#[test]
fn the_example_of_the_manual_sends_a_start_event() {
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(env::var_os("CI").is_none(), "python3 is not there");
        println!("skipped: needs python3");
        return;
    }
    let (_, rest) = MANUAL.split_once("```python\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    assert!(
        Command::new("python3").args(["-c", &example.replace("7971", &port)]).status().unwrap().success()
    );
    let mut datagram = [0; 100];
    let len = socket.recv(&mut datagram).unwrap();
    let frame = decode_frame(&mut BytesMut::from(&datagram[..len]), FRAME_MAX).unwrap().unwrap();
    assert_eq!(frame.message_type(), Some(MessageType::ProcessInfo));
    let expected = ProcessInfo {
        binpath: Some("/bin/true".into()),
        pid: Some(42),
        job_id: Some("4711".into()),
        ..Default::default()
    };
    assert_eq!(ProcessInfo::decode(frame.message).unwrap(), expected);
}

#[test]
fn parts_of_an_event_merge_by_concatenation() {
    let part = |path: &'static [u8]| ProcessInfo {
        event_id: Some(vec![7; 16].into()),
        shared_objects: vec![SharedObject { path: Some(path.into()), ..Default::default() }],
        ..Default::default()
    };
    let whole = [part(b"/a").encode_to_vec(), part(b"/b").encode_to_vec()].concat();
    let info = ProcessInfo::decode(&whole[..]).unwrap();
    assert_eq!(info.shared_objects.len(), 2);
    assert_eq!(info.event_id(), [7; 16]);
}

#[test]
fn a_record_keeps_its_sense_in_json() {
    let record = BuildRecord {
        signature: Some(vec![0xAB; 16].into()),
        metadata: Some(BuildMetadata { name: Some("zlib".into()), ..Default::default() }),
        inputs: vec![Input {
            path: Some((&b"/tmp/\xFF.o"[..]).into()),
            sha256: Some(vec![1; 32].into()),
            kind: Some(FileKind::Object as i32),
            ..Default::default()
        }],
        ..Default::default()
    };
    let json = BuildJson::from(&record);
    assert_eq!(json.signature, "abababab-abab-abab-abab-abababababab");
    assert_eq!(json.inputs[0].sha256, "01".repeat(32));
    assert_eq!(json.inputs[0].path, "/tmp/\u{FFFD}.o");
    let text = serde_json::to_string(&json).unwrap();
    assert_eq!(serde_json::from_str::<BuildJson>(&text).unwrap(), json);
    assert!(!text.contains("null") || text.contains("\"uid\":null"));
}

#[test]
fn garbage_and_giants_are_refused_at_the_header() {
    let mut garbage = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
    assert!(matches!(decode_frame(&mut garbage, FRAME_MAX), Err(FrameError::UnknownType(_))));
    let mut giant = BytesMut::from(&[0, 0, 0, 12, 0xFF, 0xFF, 0xFF, 0xFF][..]);
    assert_eq!(
        decode_frame(&mut giant, FRAME_MAX),
        Err(FrameError::TooLong { announced: u32::MAX, max: FRAME_MAX })
    );
}

proptest! {
    /// However a stream is cut, the same frames come out.
    #[test]
    fn frames_survive_any_cut(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6), cuts in prop::collection::vec(1usize..40, 1..40)) {
        let stream: Vec<u8> = messages.iter()
            .flat_map(|m| Frame { kind: 12, message: m.clone().into() }.to_bytes()).collect();
        let (mut buffer, mut seen, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
            while let Some(frame) = decode_frame(&mut buffer, FRAME_MAX).unwrap() {
                seen.push(frame.message.to_vec());
            }
        }
        prop_assert_eq!(seen, messages);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_frame(&mut BytesMut::from(&bytes[..]), FRAME_MAX);
        let _ = ProcessInfo::decode(&bytes[..]);
        let _ = BuildRecord::decode(&bytes[..]).map(|record| BuildJson::from(&record));
    }
}
