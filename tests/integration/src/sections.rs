//! Compares two builds of the same file, section by section: they may differ by the note and what
//! follows from it.
//!
//! One more section moves those that follow it up to the next page. So an address is compared as a
//! section and an offset in it, not as a number. The build-id is a digest of everything, including
//! the note.

use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, elf,
    read::elf::{Dyn, ElfFile64, FileHeader, SectionHeader},
};
use std::{collections::BTreeMap, fs, path::Path};

const NOTE: &str = ".note.ogrt";

type File<'a> = ElfFile64<'a, Endianness>;

/// The differences between the file that was built without us and the one with us; empty if all is
/// well.
pub fn differences(without: &Path, with: &Path) -> Vec<String> {
    let (without, with) = (fs::read(without).unwrap(), fs::read(with).unwrap());
    let (a, b) = (File::parse(&*without).unwrap(), File::parse(&*with).unwrap());
    let mut found = Vec::new();
    let names =
        |file: &File<'_>| -> Vec<String> { file.sections().map(|s| s.name().unwrap().to_owned()).collect() };
    let (names_a, mut names_b) = (names(&a), names(&b));
    let notes = names_b.iter().filter(|name| *name == NOTE).count();
    if notes != 1 || names_a.iter().any(|name| name == NOTE) {
        found.push(format!("{notes} notes"));
    }
    names_b.retain(|name| name != NOTE);
    if names_a != names_b {
        found.push(format!("sections {names_a:?} and {names_b:?}"));
        return found;
    }
    for name in &names_a {
        let (Some(of_a), Some(of_b)) = (a.section_by_name(name), b.section_by_name(name)) else { continue };
        if (of_a.flags(), of_a.align(), of_a.kind()) != (of_b.flags(), of_b.align(), of_b.kind()) {
            found.push(format!("{name}: flags, alignment or kind"));
        }
        let same = match name.as_str() {
            ".note.gnu.build-id" => of_a.size() == of_b.size(),
            // The section of names contains its name.
            ".shstrtab" => of_a.size() + NOTE.len() as u64 + 1 == of_b.size(),
            ".dynamic" => dynamic(&a) == dynamic(&b),
            ".dynsym" => symbols(&a, a.dynamic_symbols()) == symbols(&b, b.dynamic_symbols()),
            ".symtab" => symbols(&a, a.symbols()) == symbols(&b, b.symbols()),
            _ => of_a.size() == of_b.size() && of_a.data().ok() == of_b.data().ok(),
        };
        if !same {
            found.push(format!("{name}: {} and {} bytes, or their content", of_a.size(), of_b.size()));
        }
    }
    found
}

/// The symbols by their names. Several may have the same name.
fn symbols<'data, 'file, S: ObjectSymbol<'data>>(
    file: &'file File<'data>,
    symbols: impl Iterator<Item = S>,
) -> BTreeMap<String, Vec<(String, u64, u64)>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for symbol in symbols {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let begin = section.as_ref().map_or(0, |section| section.address());
        let section = section.map(|section| section.name().unwrap_or_default().to_owned());
        let place = (section.unwrap_or_default(), symbol.address().wrapping_sub(begin), symbol.size());
        found.entry(symbol.name().unwrap_or_default().to_owned()).or_default().push(place);
    }
    found
}

/// Each entry, with its address as a section, and everything else unchanged.
fn dynamic(file: &File<'_>) -> Vec<(i64, String)> {
    const ADDRESSES: [elf::DynamicTag; 16] = [
        elf::DT_HASH,
        elf::DT_GNU_HASH,
        elf::DT_STRTAB,
        elf::DT_SYMTAB,
        elf::DT_RELA,
        elf::DT_REL,
        elf::DT_RELR,
        elf::DT_JMPREL,
        elf::DT_PLTGOT,
        elf::DT_INIT,
        elf::DT_FINI,
        elf::DT_INIT_ARRAY,
        elf::DT_FINI_ARRAY,
        elf::DT_VERNEED,
        elf::DT_VERSYM,
        elf::DT_VERDEF,
    ];
    let (header, endian, data) = (file.elf_header(), file.endian(), file.data());
    let sections = header.section_headers(endian, data).unwrap();
    let entries = sections.iter().find_map(|section| section.dynamic(endian, data).ok().flatten());
    let (entries, _) = entries.expect("a .dynamic");
    let section_at = |address: u64| {
        let mut there = file.sections().filter(|section| section.address() == address);
        there.next().map(|section| section.name().unwrap_or_default().to_owned())
    };
    entries
        .iter()
        .map(|entry| {
            let (tag, value): (elf::DynamicTag, u64) = (entry.d_tag(endian), entry.d_val(endian));
            // The string table is compared by itself, so equal offsets mean equal strings.
            let place = ADDRESSES.contains(&tag).then(|| section_at(value)).flatten();
            (tag.0, place.unwrap_or_else(|| value.to_string()))
        })
        .collect()
}

/// True for linked files: programs and shared libraries.
pub fn is_elf(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(&elf::ELFMAG) && matches!(bytes.get(16), Some(2 | 3)))
}
