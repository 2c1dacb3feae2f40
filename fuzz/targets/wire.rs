//! Frames and messages, as the server takes them from a socket.
//!
//! What must hold: no panic. A frame is never larger than the bound. A frame encodes to the bytes
//! that were taken off the stream. A message that decodes can be encoded and decoded again to the
//! same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use ogrt_proto::{
    BuildJson, BuildRecord, BuildSummary, Hello, JobSummary, MessageType, ProcessEnd, ProcessInfo,
    decode_frame,
};
use prost::Message;

const MESSAGE_MAX: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let mut stream = BytesMut::from(input);
    while let Ok(Some(frame)) = decode_frame(&mut stream, MESSAGE_MAX) {
        assert!(frame.message.len() <= MESSAGE_MAX);
        let consumed = input.len() - stream.len();
        assert!(input[..consumed].ends_with(&frame.to_bytes()));
        match frame.message_type() {
            Some(MessageType::ProcessInfo) => twice::<ProcessInfo>(&frame.message),
            Some(MessageType::ProcessEnd) => twice::<ProcessEnd>(&frame.message),
            Some(MessageType::JobSummary) => twice::<JobSummary>(&frame.message),
            Some(MessageType::Hello) => twice::<Hello>(&frame.message),
            Some(MessageType::BuildRecord) => {
                twice::<BuildRecord>(&frame.message);
                if let Ok(record) = BuildRecord::decode(&frame.message[..]) {
                    let _ = (BuildJson::from(&record), BuildSummary::from(&record));
                }
            }
            _ => {}
        }
    }
});

fn twice<M: Message + Default + PartialEq>(message: &[u8]) {
    if let Ok(read) = M::decode(message) {
        assert!(M::decode(&read.encode_to_vec()[..]).expect("our own bytes decode") == read);
    }
}
