//! Frames: u32 big-endian type, u32 big-endian length, a protobuf message.

use crate::MessageType;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Bytes before the message.
pub const FRAME_HEADER_LEN: usize = 8;

/// Longest message that a frame may carry, in bytes, unless the receiver sets less. A build record
/// with 30,000 inputs is about 4 MB.
pub const FRAME_MAX: usize = 16 * 1024 * 1024;

/// Longest datagram of UDP or of a Unix socket, in bytes, header included (IPv4: 65,535 - 20 - 8).
pub const DATAGRAM_MAX: usize = 65_507;

/// One message, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The number of its type, kept even where this version does not know it.
    pub kind: u32,
    /// The protobuf message.
    pub message: Bytes,
}

/// Why bytes are not a frame that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header announces a message that is longer than the bound.
    #[error("a frame announces a message of {announced} bytes, and at most {max} are accepted")]
    TooLong {
        /// Bytes announced.
        announced: u32,
        /// The receiver's bound.
        max: usize,
    },
    /// The type is not in `MessageType`, so the peer speaks another protocol.
    #[error("frame type {0} is unknown, so the peer does not speak OGRT's protocol")]
    UnknownType(u32),
}

impl Frame {
    /// The type, where this version knows it.
    pub fn message_type(&self) -> Option<MessageType> {
        MessageType::try_from(self.kind as i32).ok()
    }

    /// The frame with its header.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAME_HEADER_LEN + self.message.len());
        out.put_u32(self.kind);
        out.put_u32(self.message.len() as u32);
        out.put_slice(&self.message);
        out.freeze()
    }
}

/// A message with its header, ready to send.
pub fn encode_frame(kind: MessageType, message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    let mut out = BytesMut::with_capacity(FRAME_HEADER_LEN + len);
    out.put_u32(kind as u32);
    out.put_u32(len as u32);
    // A BytesMut grows as needed, so encoding into it cannot run out of room.
    message.encode(&mut out).unwrap_or_default();
    out.freeze()
}

/// Type and message of the frame at the front of `bytes`; `None` when more bytes are needed.
///
/// An unknown type is an error as soon as its header is there, so that garbage on a port is refused
/// after eight bytes. `message_max` bounds what a peer can make us keep.
pub fn peek_frame(bytes: &[u8], message_max: usize) -> Result<Option<(u32, &[u8])>, FrameError> {
    let Some((mut header, rest)) = bytes.split_at_checked(FRAME_HEADER_LEN) else { return Ok(None) };
    let (kind, len) = (header.get_u32(), header.get_u32());
    if MessageType::try_from(kind as i32).is_err() {
        return Err(FrameError::UnknownType(kind));
    }
    if len as usize > message_max {
        return Err(FrameError::TooLong { announced: len, max: message_max });
    }
    Ok(rest.get(..len as usize).map(|message| (kind, message)))
}

/// Takes the frame at the front of `buffer` out of it, as [`peek_frame`] finds it.
pub fn decode_frame(buffer: &mut BytesMut, message_max: usize) -> Result<Option<Frame>, FrameError> {
    let Some((kind, message)) = peek_frame(buffer, message_max)? else { return Ok(None) };
    let len = message.len();
    buffer.advance(FRAME_HEADER_LEN);
    Ok(Some(Frame { kind, message: buffer.split_to(len).freeze() }))
}
