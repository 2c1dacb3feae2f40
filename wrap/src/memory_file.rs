//! A file whose bytes are all in memory, as the crate `object` reads it.
//!
//! Its own way to read a slice searches for the ends of names with the crate `memchr`. That asks
//! the processor ten times what it can do before the first search. In a virtual machine each
//! question goes to the hypervisor and takes up to 50 us, so a whole link paid half a millisecond
//! for a few short names (docs/decisions/0010-questions-to-the-processor.md).

use object::ReadRef;
use std::ops::Range;

/// The bytes of a file.
#[derive(Clone, Copy, Debug)]
pub struct MemoryFile<'a>(pub &'a [u8]);

impl<'a> ReadRef<'a> for MemoryFile<'a> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.0.len() as u64)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.0.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let bytes = self.0.get(start.map_err(drop)?..end.map_err(drop)?).ok_or(())?;
        bytes.iter().position(|&byte| byte == delimiter).map(|len| &bytes[..len]).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_crate_reads() {
        let bytes = &b"one\0two\0\0three"[..];
        let file = MemoryFile(bytes);
        assert_eq!(file.len(), ReadRef::len(bytes));
        let offsets = || (0..=bytes.len() as u64 + 2).chain([u64::MAX]);
        for (start, end) in offsets().flat_map(|start| offsets().map(move |end| (start, end))) {
            assert_eq!(file.read_bytes_at(start, end), bytes.read_bytes_at(start, end), "{start}, {end}");
            for delimiter in [0, b'e', b'x'] {
                let until = file.read_bytes_at_until(start..end, delimiter);
                assert_eq!(until, bytes.read_bytes_at_until(start..end, delimiter), "{start}..{end}");
            }
        }
    }
}
