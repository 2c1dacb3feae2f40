//! An event as frames: one, or several parts where it is larger than a datagram.
//!
//! Protobuf messages merge by concatenation. So a part is some of the event's top-level fields with
//! the event's id in front, and the server joins the parts
//! (`large_events_come_in_parts_and_whole`). A single value that is larger than a datagram is cut
//! only on a route that cannot carry it: an argument can have 128 KiB. The event says how many were
//! cut (`an_argument_larger_than_a_datagram_is_cut_only_where_it_must_be`).

use crate::{
    encoder::{Varint, WIRE_LENGTH, WIRE_VARINT},
    field_numbers::{message_type, process_end, process_info},
    sys::Piece,
};

/// Longest datagram in bytes (IPv4: 65,535 - 20 - 8), and longest part on any route.
const DATAGRAM_MAX: usize = 65_507;
/// Longest value in bytes that a stream takes without waiting: the kernel's default send buffer is
/// 208 KiB.
const STREAM_VALUE_MAX: usize = 160 << 10;
const FRAME_HEADER_LEN: usize = 8;
/// Room for the frame header, the head of a part, and key and length of a value that was cut.
const HEAD_MAX: usize = 80;
const BODY_MAX: usize = DATAGRAM_MAX - HEAD_MAX;

/// A whole encoded message, and what each of its parts must repeat.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The type: PROCESS_INFO or PROCESS_END.
    pub frame_type: u32,
    /// The message, event id included.
    pub message: &'a [u8],
    /// The event's id.
    pub event_id: &'a [u8; 16],
    /// The number of the process.
    pub pid: i32,
}

/// Field numbers that differ between the messages.
struct Numbers {
    event_id: u32,
    pid: u32,
    part_index: u32,
    part_count: u32,
}

/// One frame as pieces for `sendmsg`.
pub struct Frame<'a> {
    head: Head,
    body: Body<'a>,
}

/// Largest single value that a route carries.
#[derive(Clone, Copy)]
pub enum ValueMax {
    /// What a datagram carries.
    Datagram,
    /// What a stream or a file carries.
    Stream,
}

impl ValueMax {
    fn bytes(self) -> usize {
        match self {
            ValueMax::Datagram => BODY_MAX,
            ValueMax::Stream => STREAM_VALUE_MAX,
        }
    }
}

impl<'a> Event<'a> {
    /// Tells whether it is one frame on any route, with no value cut.
    pub fn fits_datagram(&self) -> bool {
        self.message.len() <= BODY_MAX
    }

    fn numbers(&self) -> Numbers {
        match self.frame_type {
            message_type::PROCESS_END => Numbers {
                event_id: process_end::EVENT_ID,
                pid: process_end::PID,
                part_index: process_end::PART_INDEX,
                part_count: process_end::PART_COUNT,
            },
            _ => Numbers {
                event_id: process_info::EVENT_ID,
                pid: process_info::PID,
                part_index: process_info::PART_INDEX,
                part_count: process_info::PART_COUNT,
            },
        }
    }

    /// Its frames for a route in their order.
    pub fn frames(&self, value_max: ValueMax) -> impl Iterator<Item = Frame<'a>> {
        let bodies = Bodies { rest: self.message, value_max: value_max.bytes() };
        let (mut count, mut cut) = (0u64, 0u64);
        if !self.fits_datagram() {
            bodies.clone().for_each(|body| {
                count += 1;
                cut += u64::from(body.prefix.len > 0);
            });
        }
        let event = *self;
        bodies.zip(0u64..).map(move |(body, index)| {
            let mut head = Head::default();
            head.put(&event.frame_type.to_be_bytes());
            head.put(&[0; 4]);
            if count > 0 {
                let numbers = event.numbers();
                head.field(numbers.event_id, event.event_id);
                head.varint(numbers.pid, event.pid as u64);
                head.varint(numbers.part_index, index);
                head.varint(numbers.part_count, count);
                if cut > 0 && event.frame_type == message_type::PROCESS_INFO {
                    head.varint(process_info::VALUES_CUT, cut);
                }
            }
            let len = head.len - FRAME_HEADER_LEN + body.len();
            if let Some(length) = head.bytes.get_mut(4..8) {
                length.copy_from_slice(&(len as u32).to_be_bytes());
            }
            Frame { head, body }
        })
    }
}

impl Frame<'_> {
    /// Header and message, in pieces.
    pub fn pieces(&self) -> [Piece; 3] {
        self.slices().map(Piece::new)
    }

    /// The same as slices.
    pub fn slices(&self) -> [&[u8]; 3] {
        [self.head.as_bytes(), self.body.prefix.as_bytes(), self.body.bytes]
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.head.len + self.body.len()
    }
}

/// The top-level fields of one part.
struct Body<'a> {
    /// Key and length of the only field, where its value is cut.
    prefix: Head,
    bytes: &'a [u8],
}

impl Body<'_> {
    fn len(&self) -> usize {
        self.prefix.len + self.bytes.len()
    }
}

#[derive(Clone)]
struct Bodies<'a> {
    rest: &'a [u8],
    value_max: usize,
}

impl<'a> Iterator for Bodies<'a> {
    type Item = Body<'a>;

    fn next(&mut self) -> Option<Body<'a>> {
        let whole = self.rest;
        let mut taken = match whole.len() {
            0 => return None,
            len if len <= BODY_MAX => len,
            _ => 0,
        };
        while let Some(rest) = whole.get(taken..).filter(|rest| !rest.is_empty()) {
            // What we wrote ourselves is well formed. If it were not, the rest would be sent as it
            // is.
            let field = Field::first(rest).unwrap_or(Field { key: 0, value: rest, len: rest.len() });
            if taken == 0 && field.len > BODY_MAX {
                self.rest = rest.get(field.len..).unwrap_or_default();
                return Some(field.alone(rest, self.value_max));
            }
            if taken + field.len > BODY_MAX {
                break;
            }
            taken += field.len;
        }
        let (bytes, rest) = whole.split_at_checked(taken)?;
        self.rest = rest;
        Some(Body { prefix: Head::default(), bytes })
    }
}

/// A top-level field.
struct Field<'a> {
    key: u64,
    value: &'a [u8],
    len: usize,
}

impl<'a> Field<'a> {
    fn first(message: &'a [u8]) -> Option<Self> {
        let (key, rest) = Varint::read(message)?;
        let (value, rest) = match key as u32 & 7 {
            WIRE_VARINT => (&rest[..0], Varint::read(rest)?.1),
            WIRE_LENGTH => {
                let (len, rest) = Varint::read(rest)?;
                rest.split_at_checked(len as usize)?
            }
            _ => return None,
        };
        Some(Field { key, value, len: message.len() - rest.len() })
    }

    fn alone(self, encoded: &'a [u8], value_max: usize) -> Body<'a> {
        if self.len <= value_max {
            return Body { prefix: Head::default(), bytes: encoded.get(..self.len).unwrap_or_default() };
        }
        let value = self.value.get(..value_max).unwrap_or(self.value);
        let mut prefix = Head::default();
        prefix.put(Varint::new(self.key).as_bytes());
        prefix.put(Varint::new(value.len() as u64).as_bytes());
        Body { prefix, bytes: value }
    }
}

/// A few bytes in front of the fields.
#[derive(Clone)]
struct Head {
    bytes: [u8; HEAD_MAX],
    len: usize,
}

impl Default for Head {
    fn default() -> Self {
        Head { bytes: [0; HEAD_MAX], len: 0 }
    }
}

impl Head {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn field(&mut self, field: u32, value: &[u8]) {
        self.put(Varint::new(u64::from(field << 3 | WIRE_LENGTH)).as_bytes());
        self.put(Varint::new(value.len() as u64).as_bytes());
        self.put(value);
    }

    fn varint(&mut self, field: u32, value: u64) {
        self.put(Varint::new(u64::from(field << 3 | WIRE_VARINT)).as_bytes());
        self.put(Varint::new(value).as_bytes());
    }
}
