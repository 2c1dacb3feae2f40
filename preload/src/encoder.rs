//! Protobuf, written straight into memory, as far as our two messages need it.
//!
//! An event is written into a buffer on the stack. One that outgrows the buffer moves to anonymous
//! memory of its own. `parts` cuts it later, at the boundaries of top-level fields, which are easy
//! to find. This code is written by hand rather than generated: it is short, and it grows its
//! buffer without an allocator.

use crate::sys;
use core::{ffi::c_void, mem::MaybeUninit, slice};

/// Longest message in bytes, more than any process can bring: arguments and environment end at 6 MB
/// on Linux.
const LEN_MAX: usize = 32 << 20;

/// Wire type of a varint.
pub const WIRE_VARINT: u32 = 0;
/// Wire type of a length that bytes follow.
pub const WIRE_LENGTH: u32 = 2;

/// A message that is being written.
pub struct Encoder {
    start: *mut u8,
    len: usize,
    capacity: usize,
    mapped: bool,
    overflowed: bool,
}

impl Encoder {
    /// Starts in `room`.
    ///
    /// # Safety
    /// Nobody else touches `room`, and it outlives the encoder.
    pub unsafe fn new(room: &mut [MaybeUninit<u8>]) -> Self {
        Encoder {
            start: room.as_mut_ptr().cast(),
            len: 0,
            capacity: room.len(),
            mapped: false,
            overflowed: false,
        }
    }

    /// The bytes that are written.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes at `start` are written.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }

    /// Tells whether memory was missing, so that the message is not complete.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Begins again, with the memory that is there.
    pub fn restart(&mut self) {
        (self.len, self.overflowed) = (0, false);
    }

    /// Gives back the memory that the message grew into.
    pub fn release(self) {
        if self.mapped {
            // SAFETY: mapped by `grow`; the encoder is gone.
            unsafe { sys::unmap(self.start.cast(), self.capacity) };
        }
    }

    /// Writes an integer field.
    pub fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, WIRE_VARINT);
        self.raw_varint(value);
    }

    /// Writes an integer field, if its value is known.
    pub fn varint_if_known(&mut self, field: u32, value: Option<u64>) {
        if let Some(value) = value {
            self.varint(field, value);
        }
    }

    /// Writes a field of bytes or a string.
    pub fn field(&mut self, field: u32, value: &[u8]) {
        self.tag(field, WIRE_LENGTH);
        self.raw_varint(value.len() as u64);
        self.put(value);
    }

    /// Writes a field of bytes from several pieces.
    pub fn gathered(&mut self, field: u32, pieces: &[&[u8]]) {
        self.tag(field, WIRE_LENGTH);
        self.raw_varint(pieces.iter().map(|piece| piece.len() as u64).sum());
        pieces.iter().for_each(|piece| self.put(piece));
    }

    /// Writes a field of bytes, unless it is empty.
    pub fn field_unless_empty(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.field(field, value);
        }
    }

    /// Writes a field that is a message, whose content `write` writes.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Encoder)) {
        let start = self.begin(field);
        write(self);
        self.end(start);
    }

    /// Begins a message of unknown length, and returns where its content starts.
    fn begin(&mut self, field: u32) -> usize {
        self.tag(field, WIRE_LENGTH);
        self.put(&[0]);
        self.len
    }

    /// Writes the length of the message whose content starts there.
    fn end(&mut self, start: usize) {
        let length = Varint::new((self.len.wrapping_sub(start)) as u64);
        let bytes = length.as_bytes();
        // Most messages are short; a longer one moves up by a byte or two.
        let extra = bytes.len() - 1;
        if !self.has_room(extra) {
            return;
        }
        // SAFETY: the room is there, and those bytes were put or moved away just now.
        unsafe {
            let from = self.start.add(start);
            if extra > 0 {
                from.copy_to(from.add(extra), self.len - start);
            }
            from.sub(1).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.len += extra;
    }

    fn tag(&mut self, field: u32, wire: u32) {
        self.raw_varint(u64::from(field << 3 | wire));
    }

    fn raw_varint(&mut self, value: u64) {
        let varint = Varint::new(value);
        self.put(varint.as_bytes());
    }

    /// Writes bytes as they are: a piece of a text, within `message`.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.has_room(bytes.len()) {
            // SAFETY: the room is there, and it is ours alone.
            unsafe {
                self.start.add(self.len).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
            self.len += bytes.len();
        }
    }

    fn has_room(&mut self, len: usize) -> bool {
        if self.overflowed {
            return false;
        }
        let needed = self.len.saturating_add(len);
        if needed > self.capacity && !self.grow(needed) {
            self.overflowed = true;
        }
        !self.overflowed
    }

    fn grow(&mut self, needed: usize) -> bool {
        let capacity = needed.saturating_mul(2).max(128 << 10).next_multiple_of(4096);
        if needed > LEN_MAX {
            return false;
        }
        let moved: Result<*mut c_void, _> = match self.mapped {
            // SAFETY: mapped below; no reference to it is alive.
            true => unsafe { sys::map_longer(self.start.cast(), self.capacity, capacity) },
            false => sys::map(capacity),
        };
        let Ok(moved) = moved else { return false };
        if !self.mapped {
            // SAFETY: both are at least `len` long.
            unsafe { moved.cast::<u8>().copy_from_nonoverlapping(self.start, self.len) };
        }
        (self.start, self.capacity, self.mapped) = (moved.cast(), capacity, true);
        true
    }
}

/// An integer as protobuf writes it.
pub struct Varint {
    bytes: [u8; 10],
    len: usize,
}

impl Varint {
    /// Writes `value`.
    pub fn new(value: u64) -> Self {
        let mut bytes = [0; 10];
        let (mut rest, mut len) = (value, 0);
        for byte in &mut bytes {
            len += 1;
            *byte = rest as u8 & 0x7F;
            rest >>= 7;
            if rest == 0 {
                break;
            }
            *byte |= 0x80;
        }
        Varint { bytes, len }
    }

    /// Its 1 to 10 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Reads an integer from the front and returns the rest.
    #[cfg(not(feature = "static"))]
    pub fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
        let mut value = 0u64;
        for (at, &byte) in bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return Some((value, bytes.get(at + 1..)?));
            }
        }
        None
    }
}
