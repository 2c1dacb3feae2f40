//! Compares two programs or libraries: they must be the same but for our note.
//!
//! | part | must be equal in |
//! |---|---|
//! | sections | name, order, type, flags, size, alignment and contents |
//! | segments | type and flags |
//! | symbols | name, type, section and offset in it |
//!
//! One that got no note must be the same byte by byte.
//!
//! The note moves what lies behind it. So an address (eight bytes, or four in 32-bit files) may
//! differ by as much as some section has moved. A distance of four bytes may differ by as much as
//! some section has moved against its own. The build-id and the table of section names cannot be
//! equal, and are left out.

use anyhow::{Context, Result};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind,
    elf::{self, ProgramFlags, ProgramType, SectionFlags, SectionType},
    read::elf::{ElfFile, FileHeader, ProgramHeader, SectionHeader},
};
use std::{collections::BTreeSet, fmt::Write};

const NOTE: &str = ".note.ogrt";

/// Sections whose sizes must differ: one contains our section's name, one fills up a page, and one
/// has a symbol for each section on some machines. The symbols are compared by themselves.
const NOT_MEASURED: [&str; 3] = [".shstrtab", ".relro_padding", ".symtab"];

/// Sections whose contents must differ.
const NOT_COMPARED: [&str; 2] = [".note.gnu.build-id", ".shstrtab"];

type File<'a, Elf> = ElfFile<'a, Elf>;

/// The bytes of an address, and their order.
#[derive(Clone, Copy, Debug)]
struct Layout {
    address_bytes: usize,
    is_little_endian: bool,
}

/// The parts of a section that are compared.
#[derive(Debug, PartialEq)]
struct Section<'a> {
    name: &'a str,
    kind: SectionType,
    flags: SectionFlags,
    size: u64,
    alignment: u64,
}

/// The differences, in words; empty when there are none.
pub fn differences(bare: &[u8], ours: &[u8]) -> Result<String> {
    if bare == ours {
        return Ok(String::new());
    }
    match bare.get(4) {
        Some(1) => compare::<elf::FileHeader32<Endianness>>(bare, ours),
        _ => compare::<elf::FileHeader64<Endianness>>(bare, ours),
    }
}

fn compare<Elf: FileHeader<Endian = Endianness>>(bare: &[u8], ours: &[u8]) -> Result<String> {
    let bare = File::<Elf>::parse(bare).context("bare")?;
    let ours = File::<Elf>::parse(ours).context("ours")?;
    if ours.section_by_name(NOTE).is_none() {
        return Ok("it has no note, and is not the same byte by byte\n".into());
    }
    let mut found = String::new();
    let (bare_sections, ours_sections) = (sections(&bare)?, sections(&ours)?);
    for (one, other) in bare_sections.iter().zip(&ours_sections) {
        if one != other {
            writeln!(found, "{one:?} became {other:?}")?;
        }
    }
    if bare_sections.len() != ours_sections.len() {
        writeln!(found, "{} sections became {}", bare_sections.len(), ours_sections.len())?;
    }
    let (bare_segments, mut ours_segments) = (segments(&bare), segments(&ours));
    // A file without any note has no segment for them, as musl's static programs.
    let is_note = |segment: &(ProgramType, ProgramFlags)| segment.0 == elf::PT_NOTE;
    if !bare_segments.iter().any(is_note) {
        ours_segments.retain(|segment| !is_note(segment));
    }
    if bare_segments != ours_segments {
        writeln!(found, "segments {bare_segments:x?} became {ours_segments:x?}")?;
    }
    for (name, symbols) in
        [("symbols", symbols as fn(&File<'_, Elf>) -> _), ("dynamic symbols", dynamic_symbols)]
    {
        let (one, other): (Vec<String>, Vec<String>) = (symbols(&bare), symbols(&ours));
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|symbol| !those.contains(symbol)).take(5).cloned().collect()
        };
        if one != other {
            let (gone, new) = (only(&one, &other), only(&other, &one));
            writeln!(found, "{name}: {gone:?} became {new:?}")?;
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let moves = moves(&bare, &ours);
    let layout =
        Layout { address_bytes: if bare.is_64() { 8 } else { 4 }, is_little_endian: bare.is_little_endian() };
    for (section, other) in bare.sections().zip(unadded(&ours)) {
        let name = section.name()?;
        let is_symbols =
            matches!(section.elf_section_header().sh_type(bare.endian()), elf::SHT_SYMTAB | elf::SHT_DYNSYM);
        if is_symbols || NOT_COMPARED.contains(&name) {
            continue;
        }
        let own = (section.address() != 0).then(|| other.address().wrapping_sub(section.address()));
        if let Some(at) = first_difference(section.data()?, other.data()?, &moves, own, layout) {
            writeln!(found, "{name}: bytes differ from {at:#x} on")?;
        }
    }
    Ok(found)
}

/// All sections but our own.
fn unadded<'a, 'file, Elf: FileHeader<Endian = Endianness>>(
    file: &'file File<'a, Elf>,
) -> impl Iterator<Item = impl ObjectSection<'a> + use<'a, 'file, Elf>> {
    file.sections().filter(|section| section.name() != Ok(NOTE))
}

fn sections<'a, Elf: FileHeader<Endian = Endianness>>(file: &File<'a, Elf>) -> Result<Vec<Section<'a>>> {
    let all = file.sections().map(|section| {
        let name = section.name()?;
        let header = section.elf_section_header();
        let (kind, flags) = (header.sh_type(file.endian()), header.sh_flags(file.endian()));
        let size = if NOT_MEASURED.contains(&name) { 0 } else { section.size() };
        let alignment = section.align();
        Ok((name != NOTE).then_some(Section { name, kind, flags, size, alignment }))
    });
    all.filter_map(Result::transpose).collect()
}

/// Type and flags of each segment. A linker that groups notes by their alignment may need one
/// segment more for ours.
fn segments<Elf: FileHeader<Endian = Endianness>>(file: &File<'_, Elf>) -> Vec<(ProgramType, ProgramFlags)> {
    let headers = file.elf_program_headers().iter();
    let mut segments: Vec<_> =
        headers.map(|header| (header.p_type(file.endian()), header.p_flags(file.endian()))).collect();
    segments.dedup_by(|one, other| one == other && one.0 == elf::PT_NOTE);
    segments
}

fn symbols<Elf: FileHeader<Endian = Endianness>>(file: &File<'_, Elf>) -> Vec<String> {
    file.symbols().filter_map(|symbol| describe(file, &symbol)).collect()
}

fn dynamic_symbols<Elf: FileHeader<Endian = Endianness>>(file: &File<'_, Elf>) -> Vec<String> {
    file.dynamic_symbols().filter_map(|symbol| describe(file, &symbol)).collect()
}

/// Name, type, size, section and offset in it of each symbol.
fn describe<'a, Elf: FileHeader<Endian = Endianness>>(
    file: &File<'a, Elf>,
    symbol: &impl ObjectSymbol<'a>,
) -> Option<String> {
    let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
    let (section, start) =
        section.map_or(("", 0), |section| (section.name().unwrap_or(""), section.address()));
    // The value of a thread's variable is an offset already.
    let start = if symbol.kind() == SymbolKind::Tls { 0 } else { start };
    let offset = symbol.address().wrapping_sub(start);
    let name = symbol.name().unwrap_or("");
    (section != NOTE).then(|| format!("{name} {:?} {} {section}+{offset:#x}", symbol.kind(), symbol.size()))
}

/// The distances by which sections have moved, each once.
fn moves<Elf: FileHeader<Endian = Endianness>>(bare: &File<'_, Elf>, ours: &File<'_, Elf>) -> BTreeSet<u64> {
    let pairs = bare.sections().zip(unadded(ours));
    let in_memory = pairs.filter(|(section, _)| section.address() != 0);
    in_memory.map(|(section, other)| other.address().wrapping_sub(section.address())).collect()
}

/// The offset at which contents begin to differ by more than addresses and distances that have
/// moved.
fn first_difference(
    bare: &[u8],
    ours: &[u8],
    moves: &BTreeSet<u64>,
    own: Option<u64>,
    layout: Layout,
) -> Option<usize> {
    let word = |bytes: &[u8], start: usize, length: usize| {
        let bytes = bytes.get(start..start + length)?;
        let value = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match layout.is_little_endian {
            true => bytes.iter().rev().fold(0, value),
            false => bytes.iter().fold(0, value),
        })
    };
    let moved = |start, length| Some(word(ours, start, length)?.wrapping_sub(word(bare, start, length)?));
    let width = layout.address_bytes;
    let is_address = |start: usize| {
        let moved = moved(start, width)?;
        Some(moves.iter().any(|other| *other == moved || (width == 4 && *other as u32 == moved as u32)))
    };
    let is_distance = |start: usize| {
        let (own, moved) = (own?, moved(start, 4)?);
        Some(moves.iter().any(|other| other.wrapping_sub(own) as u32 == moved as u32))
    };
    let mut at = 0;
    while at < bare.len().min(ours.len()) {
        if bare[at] == ours[at] {
            at += 1;
            continue;
        }
        // The first byte that differs is the word's lowest, unless the low bytes happen to be
        // equal.
        let address =
            (at.saturating_sub(width - 1)..=at).rev().find(|&start| is_address(start) == Some(true));
        let distance = (at.saturating_sub(3)..=at).rev().find(|&start| is_distance(start) == Some(true));
        match (address, distance) {
            (Some(start), _) => at = start + width,
            (None, Some(start)) => at = start + 4,
            (None, None) => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Layout = Layout { address_bytes: 8, is_little_endian: true };

    #[test]
    fn only_what_has_moved_may_differ() {
        let moves = BTreeSet::from([0, 0x50]);
        let first = |bare: &[u8], ours: &[u8]| first_difference(bare, ours, &moves, Some(0), WIDE);
        let word = |value: u64| [&[7][..], &value.to_le_bytes(), &[7]].concat();
        assert_eq!(first(&word(0x40f0), &word(0x4140)), None);
        assert_eq!(first(&word(0x40f0), &word(0x4141)), Some(1));
        let distance = |value: i32| [&[0xe8][..], &value.to_le_bytes(), &[0x90]].concat();
        assert_eq!(first(&distance(-0x30), &distance(0x20)), None);
        assert_eq!(first(&distance(-0x30), &distance(0x30)), Some(1));
        assert_eq!(first(b"text", b"test"), Some(2));
    }

    #[test]
    fn addresses_are_those_of_the_machine() {
        let moves = BTreeSet::from([0, 0x50]);
        let first = |bare: u32, ours: u32| {
            let layout = Layout { address_bytes: 4, is_little_endian: false };
            first_difference(&bare.to_be_bytes(), &ours.to_be_bytes(), &moves, None, layout)
        };
        assert_eq!(first(0x40f0, 0x4140), None);
        assert_eq!(first(0x40f0, 0x4141), Some(2));
    }
}
