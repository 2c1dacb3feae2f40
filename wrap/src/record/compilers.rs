//! Which compilers made the inputs: DW_AT_producer, or the `.comment` section where there is no
//! DWARF, or the text of LLVM bitcode; and their flags, where one of these or `.GCC.command.line`
//! records them.
//!
//! Debug information may be compressed, or lie in a `.dwo` file beside the object.
//!
//! An object is represented by its first compilation unit, and an archive by its first ELF member.
//! Archives with members from several compilers are rare; checking every member would cost too
//! much.

use crate::elf_head::OpenedFile;
use crate::memory_file::MemoryFile;
use crate::small_file;
use gimli::{Reader, RelocateReader, RunTimeEndian};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef, RelocationTarget, SectionIndex};
use ogrt_proto::Compiler;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The longest section that is read.
const SECTION_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Relocations after this many bytes are skipped: the producer stands in the first entry.
const RELOCATED_BYTES_MAX: u64 = 512;

/// The bytes of a producer after which it is cut.
const PRODUCER_BYTES_MAX: usize = 4096;

/// A file up to this size is read in one piece to find its `.comment`: many small reads take
/// longer.
const SHORT_NAME_BYTES_MAX: u64 = 256 * 1024;

/// The most units of an object that are searched for a producer.
const UNITS_MAX: usize = 4;

/// The producers of the inputs, each with the number of inputs.
#[derive(Debug, Default)]
pub struct Compilers {
    inputs: BTreeMap<String, u32>,
}

impl Compilers {
    /// Counts one input.
    pub fn add(&mut self, producer: String) {
        *self.inputs.entry(producer).or_default() += 1;
    }

    /// The producers for the record, the most frequent first.
    pub fn into_record(self) -> Vec<Compiler> {
        let mut counted: Vec<(String, u32)> = self.inputs.into_iter().collect();
        counted.sort_by_key(|(_, inputs)| std::cmp::Reverse(*inputs));
        counted
            .into_iter()
            .map(|(producer, inputs)| Compiler { producer: Some(producer), inputs: Some(inputs) })
            .collect()
    }
}

/// What an object or archive says about how it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectOrigin {
    /// The result of [`is_slim_lto`].
    pub is_slim_lto: bool,
    /// The result of [`producer`].
    pub producer: Option<String>,
}

/// The compiler of an object with these bytes.
pub fn producer<'a, R: ReadRef<'a>>(object: R) -> Option<String> {
    let text = match dwarf_producer(object) {
        Some(text) if has_flags(&text) => text,
        text => with_recorded_flags(object, text.or_else(|| comment(object)))?,
    };
    Some(cut(&text))
}

/// The compiler of LLVM bitcode, which is in plain text in it, but without a mark where it ends.
pub fn bitcode_producer(bitcode: &[u8]) -> Option<String> {
    const NAMES: [&str; 4] = ["clang version ", "flang version ", "flang-new version ", "rustc version "];
    let found = NAMES.iter().find_map(|name| {
        let at = bitcode.windows(name.len()).position(|part| part == name.as_bytes())?;
        Some((name, &bitcode[at + name.len()..]))
    });
    let (name, version) = found?;
    let belongs = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let version: Vec<u8> = version.iter().copied().take_while(belongs).collect();
    let version = String::from_utf8(version).ok().filter(|version| !version.is_empty())?;
    Some(format!("{name}{}", version.trim_end_matches('.')))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(PRODUCER_BYTES_MAX)].to_owned()
}

fn has_flags(producer: &str) -> bool {
    producer.contains(" -")
}

/// The producer with the flags of `.GCC.command.line`, if there is such a section. gcc writes its
/// producer there, older ones each flag by itself; clang writes its whole command.
fn with_recorded_flags<'a, R: ReadRef<'a>>(data: R, producer: Option<String>) -> Option<String> {
    let Some(text) = section_text(data, b".GCC.command.line\0") else { return producer };
    let words: Vec<String> = text
        .split(|&byte| byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    let recorded = words.join(" ");
    if recorded.starts_with("GNU ") {
        return Some(recorded);
    }
    let flags = recorded.find(" -").map_or("", |at| &recorded[at..]);
    let flags = if recorded.starts_with('-') { format!(" {recorded}") } else { flags.to_owned() };
    producer.map(|producer| format!("{producer}{flags}"))
}

/// The object is code for link-time optimisation alone: gcc's `-flto` without `-ffat-lto-objects`.
pub fn is_slim_lto<'a, R: ReadRef<'a>>(object: R) -> bool {
    let Ok(object) = object::File::parse(object) else { return false };
    let mut sections = object.sections();
    let has_lto = sections.any(|section| section.name().is_ok_and(|name| name.starts_with(".gnu.lto_")));
    let code = object.sections().filter(|section| section.kind() == object::SectionKind::Text);
    has_lto && code.map(|section| section.size()).sum::<u64>() == 0
}

/// The compiler in a few words, for the note: "gcc 12.2.0". Reads no DWARF.
pub fn short_name(opened: OpenedFile) -> Option<String> {
    if opened.len > SHORT_NAME_BYTES_MAX {
        return Some(shorten(&comment(&ReadCache::new(opened.file))?));
    }
    short_name_in(&opened.bytes().ok()?)
}

/// The same for an object that has been read.
pub fn short_name_in(object: &[u8]) -> Option<String> {
    Some(shorten(&comment(MemoryFile(object))?))
}

/// The short form of a `.comment`: "GCC: (Debian 12.2.0-14) 12.2.0" is gcc 12.2.0. Other compilers
/// use other forms.
fn shorten(comment: &str) -> String {
    let version = || comment.split_whitespace().last().unwrap_or_default();
    if comment.starts_with("GCC: (") {
        return format!("gcc {}", version());
    }
    let after = |name: &str| comment.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
    match after("clang version ") {
        Some(version) => format!("clang {version}"),
        None => comment.to_owned(),
    }
}

/// The first string of `.comment`.
fn comment<'a, R: ReadRef<'a>>(data: R) -> Option<String> {
    let text = section_text(data, b".comment\0")?;
    let first = text.split(|&byte| byte == 0).find(|text| !text.is_empty())?;
    Some(String::from_utf8_lossy(first).into_owned())
}

/// The bytes of a section, whose name is given with the NUL that ends it.
fn section_text<'a, R: ReadRef<'a>>(data: R, name: &[u8]) -> Option<&'a [u8]> {
    match object::FileKind::parse(data).ok()? {
        object::FileKind::Elf32 => section_of::<object::elf::FileHeader32<object::Endianness>, R>(data, name),
        object::FileKind::Elf64 => section_of::<object::elf::FileHeader64<object::Endianness>, R>(data, name),
        _ => None,
    }
}

fn section_of<'a, Elf, R>(data: R, name: &[u8]) -> Option<&'a [u8]>
where
    Elf: FileHeader<Endian = object::Endianness>,
    R: ReadRef<'a>,
{
    let header = Elf::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    // The linker waits for this. section_by_name finds the end of each name with instructions for
    // which it first asks the processor, and that takes 40 µs in a virtual machine.
    let names = sections
        .section(header.shstrndx(endian, data).ok().map(|index| SectionIndex(index as usize))?)
        .ok()?;
    let names = names.data(endian, data).ok()?;
    let is_named = |section: &&Elf::SectionHeader| {
        names.get(section.sh_name(endian) as usize..).is_some_and(|rest| rest.starts_with(name))
    };
    let section = sections.iter().find(is_named)?;
    (section.sh_size(endian).into() <= SECTION_BYTES_MAX).then(|| section.data(endian, data).ok())?
}

fn dwarf_producer<'a, R: ReadRef<'a>>(data: R) -> Option<String> {
    let object = object::File::parse(data).ok()?;
    match first_unit(&object, gimli::DwarfFileType::Main)? {
        UnitOrigin::Producer(text) => Some(text),
        UnitOrigin::SplitInto(path) => {
            let bytes = small_file::open(&path).and_then(|file| {
                let len = file.metadata()?.len();
                small_file::rest(&file, len.min(SECTION_BYTES_MAX) as usize)
            });
            let bytes = bytes.ok()?;
            let split = object::File::parse(&*bytes).ok()?;
            match first_unit(&split, gimli::DwarfFileType::Dwo)? {
                UnitOrigin::Producer(text) => Some(text),
                UnitOrigin::SplitInto(_) => None,
            }
        }
    }
}

/// What a unit says of its making.
enum UnitOrigin {
    Producer(String),
    /// The unit itself lies in this `.dwo` file.
    SplitInto(PathBuf),
}

fn first_unit<'a, R: ReadRef<'a>>(
    object: &object::File<'a, R>,
    file_type: gimli::DwarfFileType,
) -> Option<UnitOrigin> {
    let endian = match object.endianness() {
        object::Endianness::Little => RunTimeEndian::Little,
        object::Endianness::Big => RunTimeEndian::Big,
    };
    // An object for link-time optimisation has its DWARF under names of its own, and so has the
    // older form of compression.
    let named = |name: &str| {
        let other = || format!(".z{}", name.trim_start_matches('.'));
        let by_name = |name: &str| object.section_by_name(name);
        by_name(name).or_else(|| by_name(&format!(".gnu.debuglto_{name}"))).or_else(|| by_name(&other()))
    };
    let section = |name: &str| {
        let section = named(name).filter(|section| section.size() <= SECTION_BYTES_MAX);
        let bytes = section.as_ref().and_then(unpacked).unwrap_or_default();
        (bytes, section.map(|section| relocations(object, &section)).unwrap_or_default())
    };
    let load = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        Ok(section(match file_type {
            gimli::DwarfFileType::Main => id.name(),
            gimli::DwarfFileType::Dwo => id.dwo_name().unwrap_or_default(),
        }))
    };
    let sections = gimli::DwarfSections::load(load).ok()?;
    let mut dwarf = sections.borrow(|(bytes, relocations)| {
        RelocateReader::new(gimli::EndianSlice::new(bytes, endian), relocations.clone())
    });
    dwarf.file_type = file_type;
    let mut units = dwarf.units();
    for _ in 0..UNITS_MAX {
        let unit = dwarf.unit(units.next().ok()??).ok()?;
        let mut entries = unit.entries();
        let entry = entries.next_dfs().ok()??;
        let text = |name| {
            let text = dwarf.attr_string(&unit, entry.attr_value(name)?).ok()?;
            Some(text.to_string_lossy().ok()?.into_owned())
        };
        if let Some(text) = text(gimli::DW_AT_producer) {
            return Some(UnitOrigin::Producer(text));
        }
        if let Some(name) = text(gimli::DW_AT_dwo_name).or_else(|| text(gimli::DW_AT_GNU_dwo_name)) {
            let dir = text(gimli::DW_AT_comp_dir).unwrap_or_default();
            return Some(UnitOrigin::SplitInto(Path::new(&dir).join(name)));
        }
    }
    None
}

/// The bytes of a section, unpacked if it is compressed: by SHF_COMPRESSED, or by the older form
/// whose name begins with `.zdebug`.
fn unpacked<'a, R: ReadRef<'a>>(section: &object::Section<'a, '_, R>) -> Option<Cow<'a, [u8]>> {
    let packed = section.compressed_data().ok()?;
    match packed.format {
        object::CompressionFormat::None => Some(Cow::Borrowed(packed.data)),
        object::CompressionFormat::Zlib => {
            let mut bytes = Vec::new();
            let unpack = flate2::read::ZlibDecoder::new(packed.data);
            unpack.take(SECTION_BYTES_MAX.min(packed.uncompressed_size)).read_to_end(&mut bytes).ok()?;
            Some(Cow::Owned(bytes))
        }
        _ => None,
    }
}

/// The offsets into other debug sections, which are still relocations in an object: where, value,
/// is it added?
#[derive(Clone, Debug, Default)]
struct Relocations(Rc<Vec<(u64, u64, bool)>>);

fn relocations<'a, R: ReadRef<'a>>(
    object: &object::File<'a, R>,
    section: &object::Section<'a, '_, R>,
) -> Relocations {
    let list = section
        .relocations()
        .take_while(|(at, _)| *at < RELOCATED_BYTES_MAX)
        .map(|(at, relocation)| {
            let symbol = match relocation.target() {
                RelocationTarget::Symbol(index) => {
                    object.symbol_by_index(index).map(|symbol| symbol.address()).unwrap_or_default()
                }
                _ => 0,
            };
            let value = symbol.wrapping_add(relocation.addend() as u64);
            (at, value, relocation.has_implicit_addend())
        })
        .collect();
    Relocations(Rc::new(list))
}

impl gimli::Relocate for Relocations {
    fn relocate_address(&self, _offset: usize, value: u64) -> gimli::Result<u64> {
        Ok(value)
    }

    fn relocate_offset(&self, offset: usize, value: usize) -> gimli::Result<usize> {
        let found = self.0.iter().find(|(at, ..)| *at == offset as u64);
        Ok(match found {
            Some(&(_, target, true)) => value.wrapping_add(target as usize),
            Some(&(_, target, false)) => target as usize,
            None => value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{bitcode_producer, shorten};

    #[test]
    fn bitcode_tells_its_compiler() {
        let text = b"BC\xc0\xdePIC LevelDebian clang version 14.0.6omnipotent char";
        assert_eq!(bitcode_producer(text).as_deref(), Some("clang version 14.0.6"));
        assert_eq!(bitcode_producer(b"rustc version 1.95.0").as_deref(), Some("rustc version 1.95.0"));
        assert_eq!(bitcode_producer(b"BC clang version "), None);
    }

    #[test]
    fn compilers_in_a_few_words() {
        assert_eq!(shorten("GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"), "gcc 12.2.0");
        assert_eq!(shorten("Debian clang version 14.0.6"), "clang 14.0.6");
        assert_eq!(shorten("rustc version 1.95.0"), "rustc version 1.95.0");
    }
}
