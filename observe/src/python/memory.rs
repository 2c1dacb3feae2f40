//! Memory of another process: read within bounds, and never trusted.

use std::{cell::Cell, mem, ops::Range};

/// Reads of one visit. A program with 16,384 modules needs 49,000 for their names, and as many
/// again where it changes them meanwhile.
const READS_MAX: u32 = 150_000;

/// Bytes of one visit, and so of its memory. 16,384 modules need 3 to 5 MiB, and twice as much
/// where they change meanwhile.
const BYTES_MAX: u64 = 16 << 20;

/// Addresses that hold bytes: those of a process, of a file, or of a test.
pub trait Memory {
    /// Fills the buffer from the address on, wholly or not at all.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable>;

    /// Fills the buffer with the bytes of all ranges, one behind the other: address and length of
    /// each. What it says is which of them are there.
    fn read_each(&self, ranges: &[(u64, usize)], mut buffer: &mut [u8]) -> Vec<bool> {
        let mut read = |&(address, length): &(u64, usize)| {
            let (part, rest) = mem::take(&mut buffer).split_at_mut_checked(length)?;
            buffer = rest;
            self.read(address, part).ok()
        };
        ranges.iter().map(|range| read(range).is_some()).collect()
    }
}

/// Nothing at the address, or not as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Something that kept a value from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// An address that cannot be read.
    Unreadable,
    /// A value that no interpreter of this layout has.
    Nonsense,
    /// A bound on reads, bytes or entries.
    Bound,
}

/// The reader of one visit. It counts, so that hostile memory costs no more than the bounds.
pub struct Reader<'m> {
    memory: &'m dyn Memory,
    reads_left: Cell<u32>,
    bytes_left: Cell<u64>,
}

impl<'m> Reader<'m> {
    /// A reader that has read nothing yet.
    pub fn new(memory: &'m dyn Memory) -> Self {
        Reader { memory, reads_left: Cell::new(READS_MAX), bytes_left: Cell::new(BYTES_MAX) }
    }

    /// Counts reads of so many bytes in all.
    fn count(&self, reads: usize, bytes: u64) -> Result<(), Obstacle> {
        let reads = u32::try_from(reads).map_err(|_| Obstacle::Bound)?;
        let reads_left = self.reads_left.get().checked_sub(reads).ok_or(Obstacle::Bound)?;
        let bytes_left = self.bytes_left.get().checked_sub(bytes).ok_or(Obstacle::Bound)?;
        self.reads_left.set(reads_left);
        self.bytes_left.set(bytes_left);
        Ok(())
    }

    /// Fills the buffer from the address on.
    pub fn fill(&self, address: u64, buffer: &mut [u8]) -> Result<(), Obstacle> {
        let length = buffer.len() as u64;
        self.count(1, length)?;
        address.checked_add(length).ok_or(Obstacle::Unreadable)?;
        self.memory.read(address, buffer).map_err(|Unreadable| Obstacle::Unreadable)
    }

    /// The bytes of an array.
    pub fn array<const N: usize>(&self, address: u64) -> Result<[u8; N], Obstacle> {
        let mut bytes = [0; N];
        self.fill(address, &mut bytes)?;
        Ok(bytes)
    }

    /// A list of bytes. Whoever asks has bounded the length.
    pub fn list(&self, address: u64, length: usize) -> Result<Vec<u8>, Obstacle> {
        if length as u64 > self.bytes_left.get() {
            return Err(Obstacle::Bound);
        }
        let mut bytes = vec![0; length];
        self.fill(address, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes of many ranges: address and length of each.
    pub fn each(&self, ranges: &[(u64, usize)]) -> Result<Parts, Obstacle> {
        let bytes = ranges.iter().try_fold(0_u64, |sum, &(address, length)| {
            address.checked_add(length as u64).ok_or(Obstacle::Unreadable)?;
            sum.checked_add(length as u64).ok_or(Obstacle::Bound)
        })?;
        self.count(ranges.len(), bytes)?;
        let mut bytes = vec![0; usize::try_from(bytes).map_err(|_| Obstacle::Bound)?];
        let are_there = self.memory.read_each(ranges, &mut bytes);
        let begins = ranges.iter().scan(0, |end, &(_, length)| {
            let begin = *end;
            *end += length;
            Some(begin..*end)
        });
        Ok(Parts { bytes, parts: begins.zip(are_there).collect() })
    }

    /// A number of eight bytes, or a pointer.
    pub fn word(&self, address: u64) -> Result<u64, Obstacle> {
        Ok(u64::from_le_bytes(self.array(address)?))
    }

    /// The number of eight bytes in a field of a structure.
    pub fn field(&self, structure: u64, offset: u64) -> Result<u64, Obstacle> {
        self.word(at(structure, offset)?)
    }

    /// True, if a text that ends with a zero stands at the address.
    pub fn has_text(&self, address: u64, text: &str) -> Result<bool, Obstacle> {
        let mut bytes = [0; 64];
        let bytes = bytes.get_mut(..=text.len()).ok_or(Obstacle::Bound)?;
        self.fill(address, bytes)?;
        Ok(bytes.split_last() == Some((&0, text.as_bytes())))
    }
}

/// The bytes of many ranges.
pub struct Parts {
    bytes: Vec<u8>,
    parts: Vec<(Range<usize>, bool)>,
}

impl Parts {
    /// The bytes of each range, or that they are not there.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[u8], Obstacle>> {
        self.parts.iter().map(|(range, is_there)| {
            let bytes = self.bytes.get(range.clone()).filter(|_| *is_there);
            bytes.ok_or(Obstacle::Unreadable)
        })
    }
}

/// An address behind another one.
pub fn at(address: u64, offset: u64) -> Result<u64, Obstacle> {
    address.checked_add(offset).ok_or(Obstacle::Nonsense)
}

/// The little-endian number of two bytes at a place of a structure that was read.
pub fn half(bytes: &[u8], place: usize) -> Result<u16, Obstacle> {
    part(bytes, place).map(u16::from_le_bytes)
}

/// The number of four bytes at a place of a structure that was read.
pub fn int(bytes: &[u8], place: usize) -> Result<u32, Obstacle> {
    part(bytes, place).map(u32::from_le_bytes)
}

/// The number of eight bytes at a place of a structure that was read.
pub fn long(bytes: &[u8], place: usize) -> Result<u64, Obstacle> {
    part(bytes, place).map(u64::from_le_bytes)
}

fn part<const N: usize>(bytes: &[u8], place: usize) -> Result<[u8; N], Obstacle> {
    let part = bytes.get(place..).and_then(|rest| rest.first_chunk());
    part.copied().ok_or(Obstacle::Nonsense)
}
