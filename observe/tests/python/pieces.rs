//! Memory in pieces, as it was recorded of a process or as somebody made it up.
//!
//! The form: the text of `/proc/PID/maps` up to a zero, then pieces. Each has an address (8 bytes),
//! the number of reads after which it is there (2), a length (2) and its bytes. A later piece
//! covers an earlier one. What lies beside a piece in a read that meets one is zero.

use ogrt_observe::python::{Memory, Unreadable};
use std::cell::Cell;

/// Bytes before those of a piece.
const HEAD_BYTES: usize = 12;

/// A piece, and the reads after which it is there.
pub struct Piece<'i> {
    pub address: u64,
    pub since: u32,
    pub bytes: &'i [u8],
}

/// Memory that has only these pieces.
pub struct Pieces<'i> {
    pub pieces: Vec<Piece<'i>>,
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
