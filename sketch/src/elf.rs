//! The tables of an ELF file, each read with a bound.
//!
//! A table that is cut off or makes no sense counts as empty: a program can run without the tables
//! of sections, and what is left of the file still tells something.

use std::{cell::Cell, fs::File, os::unix::fs::FileExt};

/// Most sections and segments that are looked at.
const ENTRIES_MAX: u64 = 20_000;

/// Most bytes of one table, and of all tables that are read. A program of two gigabytes has 30 MB
/// of symbols and their names.
const TABLE_BYTES_MAX: u64 = 32 << 20;
const ALL_TABLES_BYTES_MAX: u64 = 96 << 20;

/// Bytes of a name that count; names of C++ templates have megabytes.
pub const NAME_MAX: usize = 512;

/// The bytes of a file.
pub trait ElfBytes {
    /// Reads at this place; false where the file ends before.
    fn read(&self, offset: u64, into: &mut [u8]) -> bool;
}

impl ElfBytes for &[u8] {
    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        let begin = usize::try_from(offset).ok();
        let bytes = begin.and_then(|begin| self.get(begin..)?.get(..into.len()));
        bytes.inspect(|bytes| into.copy_from_slice(bytes)).is_some()
    }
}

impl ElfBytes for File {
    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        self.read_exact_at(into, offset).is_ok()
    }
}

/// The error for a file that is not an ELF file, or not a linked one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ELF executable or shared object")]
pub struct NotElf;

/// A linked ELF file.
pub struct Elf<'a> {
    bytes: &'a dyn ElfBytes,
    /// Bytes of tables that may still be read.
    left: Cell<u64>,
    layout: Layout,
    /// True for an executable or a shared object, false for an object file.
    pub is_linked: bool,
    pub sections: Vec<Section>,
    pub segments: Vec<Segment>,
}

/// The widths and the order of numbers.
#[derive(Clone, Copy)]
pub struct Layout {
    pub is_64: bool,
    is_big: bool,
}

/// A section.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub name: Vec<u8>,
    pub kind: u64,
    pub flags: u64,
    pub place: Place,
    link: u64,
}

/// A segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub kind: u64,
    pub flags: u64,
    pub place: Place,
    address: u64,
}

/// A part of the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub offset: u64,
    pub size: u64,
}

impl Layout {
    /// The number at this place; 0 behind the end.
    pub fn number(self, bytes: &[u8], offset: usize, width: usize) -> u64 {
        let Some(bytes) = bytes.get(offset..).and_then(|rest| rest.get(..width)) else { return 0 };
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self.is_big {
            true => bytes.iter().fold(0, add),
            false => bytes.iter().rev().fold(0, add),
        }
    }

    /// The number at one of two places, as wide as an address.
    fn word(self, bytes: &[u8], in_32: usize, in_64: usize) -> u64 {
        match self.is_64 {
            true => self.number(bytes, in_64, 8),
            false => self.number(bytes, in_32, 4),
        }
    }
}

pub const SHT_PROGBITS: u64 = 1;
const SHT_SYMTAB: u64 = 2;
const SHT_DYNAMIC: u64 = 6;
const SHT_DYNSYM: u64 = 11;
pub const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;

impl<'a> Elf<'a> {
    /// Reads the tables of sections and segments.
    pub fn parse(bytes: &'a dyn ElfBytes) -> Result<Self, NotElf> {
        let mut header = [0; 64];
        if !bytes.read(0, &mut header) && !bytes.read(0, &mut header[..52]) {
            return Err(NotElf);
        }
        let is_known = header.starts_with(b"\x7fELF") && matches!(header[4..6], [1 | 2, 1 | 2]);
        let layout = Layout { is_64: header[4] == 2, is_big: header[5] == 2 };
        let kind = layout.number(&header, 16, 2);
        if !is_known || !matches!(kind, 1..=3) {
            return Err(NotElf);
        }
        let mut elf = Elf {
            bytes,
            left: Cell::new(ALL_TABLES_BYTES_MAX),
            layout,
            is_linked: kind != 1,
            sections: Vec::new(),
            segments: Vec::new(),
        };
        let counts = if layout.is_64 { 54 } else { 42 };
        let count = |number: usize| layout.number(&header, counts + 2 * number, 2);
        elf.read_segments(layout.word(&header, 28, 32), count(0), count(1));
        elf.read_sections(layout.word(&header, 32, 40), count(2), count(3), count(4));
        Ok(elf)
    }

    fn table(&self, offset: u64, entry: u64, count: u64) -> Vec<Vec<u8>> {
        let bytes = self.part(Place { offset, size: entry.saturating_mul(count.min(ENTRIES_MAX)) });
        let entry = usize::try_from(entry).unwrap_or(0).max(1);
        bytes.chunks_exact(entry).map(<[u8]>::to_vec).collect()
    }

    fn read_segments(&mut self, offset: u64, entry: u64, count: u64) {
        let layout = self.layout;
        let segment = |bytes: Vec<u8>| Segment {
            kind: layout.number(&bytes, 0, 4),
            flags: layout.number(&bytes, if layout.is_64 { 4 } else { 24 }, 4),
            place: Place { offset: layout.word(&bytes, 4, 8), size: layout.word(&bytes, 16, 32) },
            address: layout.word(&bytes, 8, 16),
        };
        self.segments = self.table(offset, entry.min(4096), count).into_iter().map(segment).collect();
    }

    fn read_sections(&mut self, offset: u64, entry: u64, count: u64, names: u64) {
        let (layout, entry) = (self.layout, entry.min(4096));
        if offset == 0 {
            return;
        }
        // Many sections are counted in the first one.
        let first = self.part(Place { offset, size: entry });
        let count = if count == 0 { layout.word(&first, 20, 32) } else { count };
        let names = if names == 0xFFFF {
            layout.number(&first, if layout.is_64 { 40 } else { 24 }, 4)
        } else {
            names
        };
        let table = self.table(offset, entry, count);
        let section = |bytes: &Vec<u8>| Section {
            name: Vec::new(),
            kind: layout.number(bytes, 4, 4),
            flags: layout.word(bytes, 8, 8),
            place: Place { offset: layout.word(bytes, 16, 24), size: layout.word(bytes, 20, 32) },
            link: layout.number(bytes, if layout.is_64 { 40 } else { 24 }, 4),
        };
        let mut sections: Vec<Section> = table.iter().map(section).collect();
        let place =
            usize::try_from(names).ok().and_then(|names| sections.get(names)).map(|names| names.place);
        let names = place.map(|place| self.part(place)).unwrap_or_default();
        for (section, bytes) in sections.iter_mut().zip(&table) {
            section.name = text_at(&names, layout.number(bytes, 0, 4)).to_vec();
        }
        self.sections = sections;
    }

    /// The layout of numbers.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes of a part, if it is in the file and not too large.
    pub fn part(&self, place: Place) -> Vec<u8> {
        let size = place.size.min(TABLE_BYTES_MAX).min(self.left.get());
        self.left.set(self.left.get() - size);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        match self.bytes.read(place.offset, &mut bytes) {
            true => bytes,
            false => Vec::new(),
        }
    }

    /// Gives parts of the file in pieces, at most `bytes_max` of them.
    pub fn stream(&self, place: Place, bytes_max: u64, take: &mut dyn FnMut(&[u8])) -> u64 {
        let mut piece = vec![0; 256 << 10];
        let (mut offset, mut left) = (place.offset, place.size.min(bytes_max));
        let mut given = 0;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            if !self.bytes.read(offset, &mut piece[..length]) {
                break;
            }
            take(&piece[..length]);
            offset = offset.saturating_add(length as u64);
            left -= length as u64;
            given += length as u64;
        }
        given
    }

    /// The symbols of all tables.
    pub fn each_symbol(&self, take: &mut dyn FnMut(Symbol<'_>)) {
        let mut has_any = false;
        for section in &self.sections {
            if !matches!(section.kind, SHT_SYMTAB | SHT_DYNSYM) {
                continue;
            }
            let names = usize::try_from(section.link).ok().and_then(|link| self.sections.get(link));
            let names = names.map(|names| self.part(names.place)).unwrap_or_default();
            self.symbols_of(&self.part(section.place), &names, take);
            has_any = true;
        }
        if !has_any {
            // The loader's own table has no length: mostly the names stand behind it.
            let find =
                |tag| self.dynamic().into_iter().find(|(found, _)| *found == tag).map(|(_, value)| value);
            if let (Some(symbols), Some(names), Some(size)) =
                (find(DT_SYMTAB), find(DT_STRTAB), find(DT_STRSZ))
            {
                let size_of_all = names.saturating_sub(symbols);
                let part = |address, size| {
                    self.place_of(address, size).map(|place| self.part(place)).unwrap_or_default()
                };
                self.symbols_of(&part(symbols, size_of_all), &part(names, size), take);
            }
        }
    }

    fn symbols_of(&self, table: &[u8], names: &[u8], take: &mut dyn FnMut(Symbol<'_>)) {
        let layout = self.layout;
        let (entry, info, section) = if layout.is_64 { (24, 4, 6) } else { (16, 12, 14) };
        for symbol in table.chunks_exact(entry) {
            let name = text_at(names, layout.number(symbol, 0, 4));
            let is_defined = layout.number(symbol, section, 2) != 0;
            take(Symbol { name, kind: symbol[info] & 0xF, is_defined });
        }
    }

    fn dynamic(&self) -> Vec<(u64, u64)> {
        let segment =
            self.segments.iter().find(|segment| segment.kind == PT_DYNAMIC).map(|segment| segment.place);
        let section =
            || self.sections.iter().find(|section| section.kind == SHT_DYNAMIC).map(|section| section.place);
        let Some(place) = segment.or_else(section) else { return Vec::new() };
        let bytes = self.part(Place { size: place.size.min(1 << 20), ..place });
        let entry = if self.layout.is_64 { 16 } else { 8 };
        let read = |bytes: &[u8]| (self.layout.word(bytes, 0, 0), self.layout.word(bytes, 4, 8));
        bytes.chunks_exact(entry).map(read).collect()
    }

    /// The part of the file that an address is loaded from.
    fn place_of(&self, address: u64, size: u64) -> Option<Place> {
        let loaded = self.segments.iter().filter(|segment| segment.kind == PT_LOAD);
        loaded.filter_map(|segment| Some((segment, address.checked_sub(segment.address)?))).find_map(
            |(segment, distance)| {
                let size = size.min(segment.place.size.checked_sub(distance)?);
                Some(Place { offset: segment.place.offset.checked_add(distance)?, size })
            },
        )
    }
}

/// A symbol.
pub struct Symbol<'a> {
    pub name: &'a [u8],
    pub kind: u8,
    pub is_defined: bool,
}

/// The text at this place, up to its NUL or as far as it counts.
fn text_at(texts: &[u8], offset: u64) -> &[u8] {
    let text = usize::try_from(offset).ok().and_then(|offset| texts.get(offset..)).unwrap_or_default();
    let text = &text[..text.len().min(NAME_MAX)];
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}
