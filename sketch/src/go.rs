//! Names of Go's functions, which a program of Go keeps for its messages, stripped or not.

use crate::{
    elf::{Elf, Place},
    hash::Hash,
    symbols,
};

/// The first number of the table, by versions of Go, and the place of the offset of the names, in
/// words behind the first eight bytes.
const VERSIONS: [(u64, usize); 3] = [(0xFFFF_FFF1, 3), (0xFFFF_FFF0, 3), (0xFFFF_FFFA, 2)];

/// Adds the functions of a program of Go; false for any other.
pub fn add_functions(elf: &Elf<'_>, into: &mut dyn FnMut(Hash)) -> bool {
    let Some(table) = elf.sections.iter().find(|section| section.name.ends_with(b".gopclntab")) else {
        return false;
    };
    let layout = elf.layout();
    let header = elf.part(Place { size: table.place.size.min(128), ..table.place });
    let magic = layout.number(&header, 0, 4);
    let Some((_, at)) = VERSIONS.iter().find(|(number, _)| *number == magic) else { return false };
    let width = if layout.is_64 { 8 } else { 4 };
    let begin = layout.number(&header, 8 + at * width, width);
    let end = layout.number(&header, 8 + (at + 1) * width, width).min(table.place.size);
    let Some(size) = end.checked_sub(begin) else { return false };
    let names = elf.part(Place { offset: table.place.offset.saturating_add(begin), size });
    for name in names.split(|byte| *byte == 0) {
        // What stands in brackets are types, and a closure has a number.
        let end = name.iter().position(|byte| *byte == b'[').unwrap_or(name.len());
        symbols::add_go_name(&name[..end], into);
    }
    true
}
