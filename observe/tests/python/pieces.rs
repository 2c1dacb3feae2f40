//! Memory in pieces, as it was recorded of a process or as somebody made it up.
//!
//! The form: the text of `/proc/PID/maps` up to a zero, then pieces. Each has an address (8 bytes),
//! the number of reads after which it is there (2), a length (2) and its bytes. A later piece
//! covers an earlier one. What lies beside a piece in a read that meets one is zero.

use ogrt_observe::python::{Memory, Unreadable};
use std::cell::{Cell, RefCell};

/// Bytes before those of a piece.
const HEAD_BYTES: usize = 12;

struct Piece<'i> {
    address: u64,
    since: u32,
    bytes: &'i [u8],
}

/// Memory that has only these pieces.
pub struct Pieces<'i> {
    pieces: Vec<Piece<'i>>,
    /// Reads so far.
    pub reads: Cell<u32>,
}

impl<'i> Pieces<'i> {
    /// The maps, and the memory.
    pub fn take(input: &'i [u8]) -> (&'i [u8], Self) {
        let end = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
        let (maps, rest) = input.split_at(end);
        (maps, Self::take_pieces(rest.get(1..).unwrap_or_default()))
    }

    fn take_pieces(mut input: &'i [u8]) -> Self {
        let mut pieces = Vec::new();
        while let Some((head, rest)) = input.split_first_chunk::<HEAD_BYTES>() {
            let [a, b, c, d, e, f, g, h, since, more, length, high] = *head;
            let length = usize::from(u16::from_le_bytes([length, high])).min(rest.len());
            let (bytes, rest) = rest.split_at(length);
            let address = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            pieces.push(Piece { address, since: u16::from_le_bytes([since, more]).into(), bytes });
            input = rest;
        }
        Pieces { pieces, reads: Cell::new(0) }
    }
}

impl Memory for Pieces<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.reads.set(self.reads.get() + 1);
        let mut is_there = false;
        for piece in self.pieces.iter().filter(|piece| piece.since < self.reads.get()) {
            // One of the two begins within the other.
            let into_piece = usize::try_from(address.saturating_sub(piece.address)).unwrap_or(usize::MAX);
            let into_buffer = usize::try_from(piece.address.saturating_sub(address)).unwrap_or(usize::MAX);
            let (Some(theirs), Some(ours)) = (piece.bytes.get(into_piece..), buffer.get_mut(into_buffer..))
            else {
                continue;
            };
            let length = theirs.len().min(ours.len());
            ours[..length].copy_from_slice(&theirs[..length]);
            is_there |= length > 0;
        }
        if is_there { Ok(()) } else { Err(Unreadable) }
    }
}

/// Memory that is recorded while it is read.
pub struct Recorder<M> {
    memory: M,
    record: RefCell<Vec<u8>>,
}

impl<M> Recorder<M> {
    /// A record that begins with these maps.
    pub fn new(memory: M, maps: &[u8]) -> Self {
        Recorder { memory, record: RefCell::new([maps, b"\0"].concat()) }
    }

    /// What was recorded.
    pub fn into_record(self) -> Vec<u8> {
        self.record.into_inner()
    }
}

impl<M: Memory> Memory for Recorder<M> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read(address, buffer)?;
        let length = u16::try_from(buffer.len()).expect("a piece has less than 64 KiB").to_le_bytes();
        let piece = [&address.to_le_bytes(), &[0, 0][..], &length, buffer].concat();
        let mut record = self.record.borrow_mut();
        // The second reading of a table is the same.
        if !record.windows(piece.len()).any(|known| known == piece) {
            record.extend(piece);
        }
        Ok(())
    }
}
