//! Frames become entries here: a type that we know, and a message that is protobuf on its outermost level.
//!
//! The walk over the message's fields costs a tenth of decoding it, refuses garbage while its sender is still
//! known, and finds the event id and the part. The fields within are decoded by the join.

use crate::{
    metrics::Metrics,
    queue::{Credentials, Entry, EventIds, Kind},
};
use bytes::{Buf, Bytes};
use ogrt_proto::{Frame, MessageType};

/// A frame, sorted.
#[derive(Debug)]
pub enum Admitted {
    /// An event of a process.
    Event(Entry),
    /// A build record.
    Build(Bytes),
    /// A stream asks for acknowledgements.
    Hello(Bytes),
    /// One of OGRT 0.5's messages that tell nothing more.
    Ignored,
}

/// Why a frame was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The type is not one that a client sends.
    #[error("a frame of type {0}, which no client sends")]
    Type(u32),
    /// The bytes are no protobuf message.
    #[error("a frame of type {0} that holds no protobuf message")]
    Message(u32),
}

/// Sorts a frame that came from a peer with these credentials, if the kernel told.
pub fn admit(
    frame: Frame,
    received_ns: i64,
    credentials: Option<Credentials>,
    ids: &EventIds,
    metrics: &Metrics,
) -> Result<Admitted, NotAdmitted> {
    let kind = match frame.message_type() {
        Some(MessageType::ProcessInfo) => Kind::Start,
        Some(MessageType::ProcessEnd) => Kind::End,
        Some(MessageType::BuildRecord) => return Ok(Admitted::Build(frame.message)),
        Some(MessageType::Hello) => return Ok(Admitted::Hello(frame.message)),
        Some(MessageType::Ack) | None => return Err(NotAdmitted::Type(frame.kind)),
        Some(_) => {
            metrics.frames_ignored.add(1);
            return Ok(Admitted::Ignored);
        }
    };
    let identity = identify(kind, &frame.message).ok_or(NotAdmitted::Message(frame.kind))?;
    metrics.events_received.add(1);
    Ok(Admitted::Event(Entry {
        kind,
        received_ns,
        assigned_id: identity.event_id.is_none().then(|| ids.next(received_ns)),
        credentials,
        is_final: false,
        is_whole: false,
        message: frame.message,
    }))
}

/// What names an entry among those of acknowledging streams; `None` when its client gave it no id.
pub fn seen_key(entry: &Entry) -> Option<[u8; 21]> {
    let identity = identify(entry.kind, &entry.message)?;
    let mut key = [0; 21];
    key[..16].copy_from_slice(&identity.event_id?);
    key[16] = u8::from(entry.kind == Kind::End);
    key[17..].copy_from_slice(&identity.part_index.to_be_bytes());
    Some(key)
}

/// The fields that name an event, or a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Where the client gave a good one.
    pub event_id: Option<[u8; 16]>,
    /// Zero for an event in one piece.
    pub part_index: u32,
    /// One for an event in one piece.
    pub part_count: u32,
}

/// Walks the outermost fields; `None` when they are not well-formed.
pub fn identify(kind: Kind, message: &[u8]) -> Option<Identity> {
    // Field numbers of ProcessInfo and of ProcessEnd in ogrt.proto.
    let (id_field, index_field, count_field) = match kind {
        Kind::Start => (320, 332, 333),
        Kind::End => (1, 11, 12),
    };
    let mut identity = Identity { part_count: 1, ..Identity::default() };
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = tag >> 3;
        match tag & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if field == index_field {
                    identity.part_index = u32::try_from(value).ok()?;
                } else if field == count_field {
                    identity.part_count = u32::try_from(value).ok()?.max(1);
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let len = usize::try_from(varint(&mut rest)?).ok()?;
                let value = rest.get(..len)?;
                if field == id_field {
                    identity.event_id = value.try_into().ok();
                }
                rest = rest.get(len..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
        if field == 0 {
            return None;
        }
    }
    Some(identity)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = rest.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{ProcessEnd, ProcessInfo};
    use prost::Message;

    #[test]
    fn the_walk_finds_what_the_decoder_finds() {
        let info = ProcessInfo {
            binpath: Some("/bin/true".into()),
            time: Some(-1),
            event_id: Some(vec![9; 16].into()),
            part_index: Some(2),
            part_count: Some(5),
            ..Default::default()
        };
        let expected = Identity { event_id: Some([9; 16]), part_index: 2, part_count: 5 };
        assert_eq!(identify(Kind::Start, &info.encode_to_vec()), Some(expected));
        let end = ProcessEnd { event_id: Some(vec![8; 16].into()), pid: Some(4), ..Default::default() };
        let expected = Identity { event_id: Some([8; 16]), part_index: 0, part_count: 1 };
        assert_eq!(identify(Kind::End, &end.encode_to_vec()), Some(expected));
    }

    #[test]
    fn no_cut_of_a_message_leads_out_of_it() {
        let whole = include_bytes!("../../../proto/tests/data/ogrt-0.5-processinfo.bin");
        assert!(identify(Kind::Start, &whole[8..]).is_some());
        for end in 8..whole.len() {
            let _ = identify(Kind::Start, &whole[8..end]);
        }
        assert_eq!(identify(Kind::Start, b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(identify(Kind::Start, &[0xFF; 40]), None);
    }
}
