//! Files of the spool, as `ogrt flush` reads them. Whose they are, nobody knows: a spool may lie
//! where several users write.
//!
//! What must hold: no panic. What is sent are whole frames, as many as are counted, each with the
//! message of the file at its beginning.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use ogrt_proto::decode_frame;
use ogrt_wrap::deliver::spool::spooled_frames;

fuzz_target!(|input: &[u8]| {
    let Some((frames, count)) = spooled_frames(input, 4711) else { return };
    let (mut sent, mut found) = (BytesMut::from(&frames[..]), BytesMut::from(input));
    for _ in 0..count {
        let (sent, found) = (decode_frame(&mut sent, frames.len()), decode_frame(&mut found, input.len()));
        let (Ok(Some(sent)), Ok(Some(found))) = (sent, found) else { panic!("a frame is missing") };
        assert!(sent.message.starts_with(&found.message));
        assert!(sent.message_type() == found.message_type());
    }
    assert!(sent.is_empty() && found.is_empty());
});
