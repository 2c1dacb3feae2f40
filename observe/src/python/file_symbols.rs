//! The symbols of a program's file that are not loaded: for a statically linked interpreter that
//! offers nothing to others.
//!
//! `.symtab` has the names of a program that is not stripped. Since 3.10 the interpreter's state is
//! in a section `.PyRuntime` of its own, which a stripped program still names.

use super::{
    memory::{Reader, half, int, long},
    symbols::Symbols,
};
use std::collections::BTreeMap;

/// Section headers, and the bytes of tables, that are looked at. A program with more symbols is no
/// interpreter: the largest have 400 KiB of names.
const SECTIONS_MAX: usize = 256;
const NAMES_BYTES_MAX: u64 = 2 << 20;
const SYMBOLS_BYTES_MAX: u64 = 4 << 20;

const SECTION_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;

const SHT_SYMTAB: u32 = 2;

/// The state of an interpreter, by the name of its section.
const STATE_SECTION: (&str, &str) = (".PyRuntime", "_PyRuntime");

/// The wanted symbols of a file, with the addresses that they have in the process.
#[derive(Debug, Default)]
pub struct FileSymbols(BTreeMap<String, u64>);

impl FileSymbols {
    /// Reads the file of a program, for the symbols of these names.
    pub fn read(file: &Reader, bias: u64, wanted: &[&str]) -> Self {
        let mut symbols = FileSymbols::default();
        symbols.find(file, bias, wanted);
        symbols
    }

    fn find(&mut self, file: &Reader, bias: u64, wanted: &[&str]) -> Option<()> {
        let sections = Section::read_all(file)?;
        for section in &sections {
            let (name, symbol) = STATE_SECTION;
            if section.address != 0 && section.name == name.as_bytes() {
                self.0.insert(symbol.into(), bias.wrapping_add(section.address));
            }
        }
        let table = sections.iter().find(|section| section.kind == SHT_SYMTAB)?;
        let names = sections.get(usize::try_from(table.link).ok()?)?;
        if table.size > SYMBOLS_BYTES_MAX || names.size > NAMES_BYTES_MAX {
            return None;
        }
        let names = file.list(names.offset, names.size.try_into().ok()?).ok()?;
        let places = places(&names, wanted);
        if places.is_empty() {
            return None;
        }
        let table = file.list(table.offset, table.size.try_into().ok()?).ok()?;
        for symbol in table.chunks_exact(SYMBOL_BYTES) {
            let (place, section, value) =
                (int(symbol, 0).ok()?, half(symbol, 6).ok()?, long(symbol, 8).ok()?);
            if section != 0
                && let Some(name) = places.get(&place)
            {
                self.0.insert((*name).into(), bias.wrapping_add(value));
            }
        }
        Some(())
    }
}

impl Symbols for FileSymbols {
    fn address(&self, _reader: &Reader, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

/// The places at which a table of names has one of those wanted, with its end. One name may be the
/// end of another: that is a place as well.
fn places<'n>(names: &[u8], wanted: &[&'n str]) -> BTreeMap<u32, &'n str> {
    let mut places = BTreeMap::new();
    let mut start = 0;
    for name in names.split(|&byte| byte == 0) {
        for &wanted in wanted.iter().filter(|wanted| name.ends_with(wanted.as_bytes())) {
            if let Ok(place) = u32::try_from(start + name.len() - wanted.len()) {
                places.insert(place, wanted);
            }
        }
        start += name.len() + 1;
    }
    places
}

/// A section of the file.
struct Section {
    name: Vec<u8>,
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl Section {
    fn read_all(file: &Reader) -> Option<Vec<Self>> {
        let header: [u8; 64] = file.array(0).ok()?;
        let (size, count) = (half(&header, 58).ok()?, usize::from(half(&header, 60).ok()?));
        if !header.starts_with(b"\x7fELF\x02\x01")
            || usize::from(size) != SECTION_BYTES
            || count > SECTIONS_MAX
        {
            return None;
        }
        let list = file.list(long(&header, 40).ok()?, count * SECTION_BYTES).ok()?;
        let names = list.chunks_exact(SECTION_BYTES).nth(half(&header, 62).ok()?.into())?;
        let (offset, size) = (long(names, 24).ok()?, long(names, 32).ok()?);
        let names = file.list(offset, size.min(NAMES_BYTES_MAX).try_into().ok()?).ok()?;
        list.chunks_exact(SECTION_BYTES)
            .map(|bytes| {
                let place = usize::try_from(int(bytes, 0).ok()?).ok()?;
                let name = names.get(place..)?.split(|&byte| byte == 0).next()?;
                Some(Section {
                    // Longer than any name that is looked for.
                    name: name.get(..name.len().min(32))?.to_vec(),
                    kind: int(bytes, 4).ok()?,
                    address: long(bytes, 16).ok()?,
                    offset: long(bytes, 24).ok()?,
                    size: long(bytes, 32).ok()?,
                    link: int(bytes, 40).ok()?,
                })
            })
            .collect()
    }
}
