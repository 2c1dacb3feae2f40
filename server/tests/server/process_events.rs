//! Events of processes, as libogrt.so would send them.

use crate::daemon::Daemon;
use ogrt_proto::{MessageType, Note, ProcessInfo, SharedObject, encode_frame};
use std::time::{SystemTime, UNIX_EPOCH};

/// A second of Unix time, so short ago that a sender's clock is believed. Each test, which is a
/// thread, has a beginning of its own: all of them together take longer than that.
pub fn second(number: u32) -> i64 {
    thread_local! {
        static BEGIN: i64 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 - 500;
    }
    BEGIN.with(|begin| *begin) + i64::from(number)
}

/// Sends events over an acknowledged stream, and waits until they are durable.
pub fn send(daemon: &Daemon, events: &[bytes::Bytes]) {
    let mut stream = daemon.acknowledged();
    for event in events {
        stream.send(event).unwrap();
    }
    stream.wait_for(events.len() as u64).unwrap();
}

fn note_of(signature: u8) -> Note {
    Note { signature: Some(vec![signature; 16].into()), version: Some(2), ..Default::default() }
}

/// A loaded library with this signature.
pub fn object(signature: u8) -> SharedObject {
    SharedObject { path: Some("/lib/x.so".into()), notes: vec![note_of(signature)], ..Default::default() }
}

/// The start of a process of a program with this signature (0: none) and these libraries. `number`
/// is its id and its second.
pub fn event(number: u32, job: &str, user: &str, program: u8, libraries: &[u8]) -> bytes::Bytes {
    let info = ProcessInfo {
        event_id: Some(uuid::Uuid::from_u64_pair(7, u64::from(number)).as_bytes().to_vec().into()),
        binpath: Some(format!("/home/{user}/p{program}").into()),
        build_id: Some(vec![program, 0xAA].into()),
        job_id: Some(job.to_owned().into()),
        username: Some(user.to_owned().into()),
        hostname: Some(format!("node{}", number % 3).into()),
        start_time_ns: Some(second(number) * 1_000_000_000),
        notes: (program != 0).then(|| note_of(program)).into_iter().collect(),
        shared_objects: libraries.iter().map(|library| object(*library)).collect(),
        ..ProcessInfo::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}
