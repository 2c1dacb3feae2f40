//! The symbols that a loaded ELF object offers to others, read from memory as the loader does it.
//!
//! Extension modules need the interpreter's symbols, so it offers them in nearly every build. No
//! file is opened for it: that works in other mount namespaces, and when the file was replaced.

use super::memory::{Obstacle, Reader, at, half, int, long};

/// Program headers, and entries of the dynamic section, that are looked at.
const HEADERS_MAX: usize = 64;
const DYNAMIC_MAX: usize = 512;

/// Symbols of one hash bucket that are looked at. In real objects it is a handful.
const CHAIN_MAX: u32 = 512;

/// The size of a symbol in an ELF file of 64 bits.
const SYMBOL_BYTES: u64 = 24;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const WRITABLE: u32 = 2;

/// What names a value in an object that may hold an interpreter.
pub trait Symbols {
    /// The address of what the symbol names.
    fn address(&self, reader: &Reader, name: &str) -> Option<u64>;
}

/// A loaded object.
#[derive(Debug)]
pub struct LoadedObject {
    /// What is added to the addresses that stand in the file.
    bias: u64,
    /// The addresses of its variables that begin as zero.
    variables: Vec<(u64, u64)>,
    dynamic: Option<DynamicSection>,
}

/// The parts of the dynamic section that a search needs.
#[derive(Clone, Copy, Debug, Default)]
struct DynamicSection {
    names: u64,
    symbols: u64,
    gnu_hash: Option<u64>,
    hash: Option<u64>,
}

impl LoadedObject {
    /// Reads the headers of the object that is mapped at the address. `None` for other files, and
    /// for programs of 32 bits.
    pub fn read(reader: &Reader, base: u64) -> Option<Self> {
        let header: [u8; 64] = reader.array(base).ok()?;
        let segments = Segments::read(reader, &header, base)?;
        let (mut bias, mut dynamic, mut variables) = (None, None, Vec::new());
        for segment in segments.iter() {
            match segment.kind {
                PT_LOAD if segment.offset == 0 => bias = bias.or(Some(base.wrapping_sub(segment.address))),
                PT_DYNAMIC => dynamic = Some(segment),
                _ => {}
            }
        }
        let bias = bias?;
        for segment in segments.iter().filter(|segment| segment.kind == PT_LOAD) {
            let start = bias.wrapping_add(segment.address);
            let range = start.checked_add(segment.file_size).zip(start.checked_add(segment.size));
            variables.extend(range.filter(|(start, end)| segment.flags & WRITABLE != 0 && start < end));
        }
        let dynamic = dynamic.and_then(|segment| DynamicSection::read(reader, bias, &segment));
        Some(LoadedObject { bias, variables, dynamic })
    }

    /// What is added to the addresses that stand in the file.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// The addresses of its variables that begin as zero: from and to.
    pub fn variables(&self) -> &[(u64, u64)] {
        &self.variables
    }
}

impl Symbols for LoadedObject {
    fn address(&self, reader: &Reader, name: &str) -> Option<u64> {
        let dynamic = self.dynamic.as_ref()?;
        let value = match (dynamic.gnu_hash, dynamic.hash) {
            (Some(table), _) => dynamic.find_by_gnu_hash(reader, table, name),
            (None, Some(table)) => dynamic.find_by_hash(reader, table, name),
            (None, None) => return None,
        };
        Some(self.bias.wrapping_add(value.ok()??))
    }
}

/// The program headers of an object.
struct Segments(Vec<u8>);

/// A program header.
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_size: u64,
    size: u64,
}

impl Segments {
    const BYTES: usize = 56;

    fn read(reader: &Reader, header: &[u8; 64], base: u64) -> Option<Self> {
        // 64 bits, little-endian.
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let place = long(header, 32).ok()?;
        let (size, count) = (half(header, 54).ok()?, half(header, 56).ok()?);
        if usize::from(size) != Self::BYTES || usize::from(count) > HEADERS_MAX {
            return None;
        }
        let address = base.checked_add(place)?;
        Some(Segments(reader.list(address, Self::BYTES * usize::from(count)).ok()?))
    }

    fn iter(&self) -> impl Iterator<Item = Segment> {
        self.0.chunks_exact(Self::BYTES).filter_map(|bytes| {
            Some(Segment {
                kind: int(bytes, 0).ok()?,
                flags: int(bytes, 4).ok()?,
                offset: long(bytes, 8).ok()?,
                address: long(bytes, 16).ok()?,
                file_size: long(bytes, 32).ok()?,
                size: long(bytes, 40).ok()?,
            })
        })
    }
}

impl DynamicSection {
    fn read(reader: &Reader, bias: u64, segment: &Segment) -> Option<Self> {
        const NULL: u64 = 0;
        const HASH: u64 = 4;
        const STRTAB: u64 = 5;
        const SYMTAB: u64 = 6;
        const GNU_HASH: u64 = 0x6fff_fef5;
        let length = usize::try_from(segment.size).ok()?.min(DYNAMIC_MAX * 16);
        let entries = reader.list(bias.wrapping_add(segment.address), length).ok()?;
        let mut section = DynamicSection::default();
        for entry in entries.chunks_exact(16) {
            let (tag, value) = (long(entry, 0).ok()?, long(entry, 8).ok()?);
            // glibc has added the bias in place, musl has not. An address of the file is far
            // smaller than one of a place where objects are loaded.
            let address = if value < bias { value.wrapping_add(bias) } else { value };
            match tag {
                NULL => break,
                HASH => section.hash = Some(address),
                STRTAB => section.names = address,
                SYMTAB => section.symbols = address,
                GNU_HASH => section.gnu_hash = Some(address),
                _ => {}
            }
        }
        (section.names != 0 && section.symbols != 0).then_some(section)
    }

    /// The value of a symbol, by the table that all of today's linkers make.
    fn find_by_gnu_hash(&self, reader: &Reader, table: u64, name: &str) -> Result<Option<u64>, Obstacle> {
        let wanted =
            name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(byte.into()));
        let head: [u8; 16] = reader.array(table)?;
        let (buckets, first) = (int(&head, 0)?, int(&head, 4)?);
        let (words, shift) = (int(&head, 8)?, int(&head, 12)?);
        if buckets == 0 || !words.is_power_of_two() {
            return Err(Obstacle::Nonsense);
        }
        let filter = at(table, 16)?;
        let word = reader.field(filter, u64::from((wanted / 64) & (words - 1)) * 8)?;
        let second = wanted.checked_shr(shift).unwrap_or(0);
        if (word >> (wanted % 64)) & (word >> (second % 64)) & 1 == 0 {
            return Ok(None);
        }
        let bucket_list = at(filter, u64::from(words) * 8)?;
        let chain = at(bucket_list, u64::from(buckets) * 4)?;
        let start = number(reader, bucket_list, wanted % buckets)?;
        for step in 0..CHAIN_MAX {
            let Some(symbol) = start.checked_add(step).filter(|symbol| *symbol >= first) else {
                return Ok(None);
            };
            let hash = number(reader, chain, symbol - first)?;
            if hash | 1 == wanted | 1
                && let Some(value) = self.value(reader, symbol, name)?
            {
                return Ok(Some(value));
            }
            if hash & 1 != 0 {
                return Ok(None);
            }
        }
        Err(Obstacle::Bound)
    }

    /// The value of a symbol, by the table of the System V ABI.
    fn find_by_hash(&self, reader: &Reader, table: u64, name: &str) -> Result<Option<u64>, Obstacle> {
        let wanted = name.bytes().fold(0_u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add(byte.into());
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) & !high
        });
        let buckets = number(reader, table, 0)?;
        let bucket_list = at(table, 8)?;
        let chain = at(bucket_list, u64::from(buckets) * 4)?;
        let mut symbol = number(reader, bucket_list, wanted.checked_rem(buckets).ok_or(Obstacle::Nonsense)?)?;
        for _ in 0..CHAIN_MAX {
            if symbol == 0 {
                return Ok(None);
            }
            if let Some(value) = self.value(reader, symbol, name)? {
                return Ok(Some(value));
            }
            symbol = number(reader, chain, symbol)?;
        }
        Err(Obstacle::Bound)
    }

    /// The value of the symbol of this number, if it has the name and is defined here.
    fn value(&self, reader: &Reader, symbol: u32, name: &str) -> Result<Option<u64>, Obstacle> {
        let bytes: [u8; SYMBOL_BYTES as usize] =
            reader.array(at(self.symbols, u64::from(symbol) * SYMBOL_BYTES)?)?;
        let (place, section, value) = (int(&bytes, 0)?, half(&bytes, 6)?, long(&bytes, 8)?);
        let is_it = section != 0 && value != 0 && reader.has_text(at(self.names, place.into())?, name)?;
        Ok(is_it.then_some(value))
    }
}

/// The number of this index in a list of numbers of four bytes.
fn number(reader: &Reader, list: u64, index: u32) -> Result<u32, Obstacle> {
    Ok(u32::from_le_bytes(reader.array(at(list, u64::from(index) * 4)?)?))
}
