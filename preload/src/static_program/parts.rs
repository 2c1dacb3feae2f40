//! An event of a static program as one frame. One that would be larger than a datagram has no
//! arguments and no environment, and says so (`what_does_not_fit_is_left_out_and_said`): then there
//! is nothing to cut, and the code for it need not be in every program.

/// Longest datagram in bytes (IPv4: 65,535 - 20 - 8).
const DATAGRAM_MAX: usize = 65_507;
const HEADER_LEN: usize = 8;
/// Bytes of the longest message.
pub const MESSAGE_MAX: usize = DATAGRAM_MAX - HEADER_LEN;

/// A whole encoded message.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The type: PROCESS_INFO.
    pub frame_type: u32,
    /// The message, event id included.
    pub message: &'a [u8],
    /// The event's id.
    pub event_id: &'a [u8; 16],
    /// The number of the process.
    pub pid: i32,
}

impl Event<'_> {
    /// The header of its only frame.
    pub fn header(&self) -> [u8; HEADER_LEN] {
        (u64::from(self.frame_type) << 32 | self.message.len() as u64).to_be_bytes()
    }

    /// Bytes of the frame.
    pub fn frame_len(&self) -> usize {
        HEADER_LEN + self.message.len()
    }
}
