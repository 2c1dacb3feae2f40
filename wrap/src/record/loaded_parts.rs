//! Digests of what the loader brings into memory, in three parts, so that what happened to a file
//! can be told later.
//!
//! `strip` rewrites a file but for its loaded sections. `patchelf` and `chrpath` change where
//! libraries are searched, and move the loader's tables about. So besides the digest of the whole
//! output a record has one of the code, one of the data, and one of the linkage: what the loader
//! reads, with names in place of offsets, without the search path and without the places of the
//! tables. `docs/verify.md` holds the definition for others.
//!
//! Sections are read where the PT_LOAD segments map them, so that a section table that tells of
//! other bytes than those that are loaded is an error. A file may be crafted: no byte is read
//! twice, and lists and names are bounded.

use crate::memory_file::MemoryFile;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache, ReadRef, StringTable};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BUFFER_BYTES: usize = 128 * 1024;

/// The most bytes of names that are read. A name counts as often as it is used.
const NAME_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The digests of the parts, and the search path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedParts {
    /// SHA-256 of the executable sections and their addresses.
    pub code: [u8; 32],
    /// SHA-256 of the other sections and their addresses.
    pub data: [u8; 32],
    /// SHA-256 of the tables that the loader reads.
    pub linkage: [u8; 32],
    /// DT_RUNPATH, or DT_RPATH where there is none.
    pub run_path: Vec<u8>,
}

/// Why a file has no such digests.
#[derive(Debug, thiserror::Error)]
pub enum LoadedPartsError {
    /// The file could not be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// A table in the file is cut off or makes no sense.
    #[error("damaged ELF file: {0}")]
    Damaged(#[from] object::Error),
    /// Sections and segments contradict each other.
    #[error("damaged ELF file: {0}")]
    Contradiction(&'static str),
    /// The file is not ELF, or has no section table.
    #[error("not an ELF file with a section table")]
    NoSections,
}

/// The digests of a file that is held in memory.
pub fn of_bytes(bytes: &[u8]) -> Result<LoadedParts, LoadedPartsError> {
    of(MemoryFile(bytes), bytes.len() as u64, &|offset, len, hash| {
        let end = offset.checked_add(len).filter(|end| *end <= bytes.len() as u64);
        let end = end.ok_or(LoadedPartsError::Contradiction("a section beyond the end"))?;
        hash.update(&bytes[offset as usize..end as usize]);
        Ok(())
    })
}

/// The digests of a file that may be large; it is read in pieces.
pub fn of_file(file: &File) -> Result<LoadedParts, LoadedPartsError> {
    let cache = ReadCache::new(file);
    of(&cache, file.metadata()?.len(), &|mut offset, mut len, hash| {
        let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(len).unwrap_or(BUFFER_BYTES))];
        while len > 0 {
            let piece_len = buffer.len().min(usize::try_from(len).unwrap_or(BUFFER_BYTES));
            let piece = &mut buffer[..piece_len];
            file.read_exact_at(piece, offset)?;
            hash.update(&*piece);
            offset += piece.len() as u64;
            len -= piece.len() as u64;
        }
        Ok(())
    })
}

/// Hashes a range of the file.
type Feed<'f> = &'f dyn Fn(u64, u64, &mut Sha256) -> Result<(), LoadedPartsError>;

fn of<'a, R: ReadRef<'a>>(data: R, file_len: u64, feed: Feed<'_>) -> Result<LoadedParts, LoadedPartsError> {
    match object::FileKind::parse(data) {
        Ok(object::FileKind::Elf32) => parts::<elf::FileHeader32<Endianness>, R>(data, file_len, feed),
        Ok(object::FileKind::Elf64) => parts::<elf::FileHeader64<Endianness>, R>(data, file_len, feed),
        _ => Err(LoadedPartsError::NoSections),
    }
}

/// A section that is loaded.
struct Loaded<'a, Elf: FileHeader> {
    header: &'a Elf::SectionHeader,
    kind: elf::SectionType,
    flags: u64,
    address: u64,
    size: u64,
    offset: u64,
    /// The flags of the segment that maps it.
    permissions: u32,
}

fn parts<'a, Elf, R>(data: R, file_len: u64, feed: Feed<'_>) -> Result<LoadedParts, LoadedPartsError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let sections = loaded_sections::<Elf, R>(header, endian, data, segments, file_len)?;
    let interpreter = segments
        .iter()
        .find(|segment| segment.p_type(endian) == elf::PT_INTERP)
        .map(|s| s.p_vaddr(endian).into());

    let (mut code, mut plain) = (Hash::default(), Hash::default());
    // `patchelf` moves tables, so they are ordered by their digests.
    let mut tables: Vec<(u64, [u8; 32])> = Vec::new();
    for section in &sections {
        if is_loaders(section.kind) || Some(section.address) == interpreter {
            if !is_read_by_name(section.kind) {
                let mut table = Hash::default();
                table.number(u64::from(section.kind.0)).number(section.size);
                feed(section.offset, section.size, &mut table.0)?;
                tables.push((section.address, table.end()));
            }
            continue;
        }
        let part = if section.flags & elf::SHF_EXECINSTR.0 == 0 { &mut plain } else { &mut code };
        part.number(u64::from(section.kind.0)).number(section.flags).number(section.address);
        part.number(section.size).number(u64::from(section.permissions));
        feed(section.offset, section.size, &mut part.0)?;
    }
    // Memory after a segment's file bytes is zero (.bss). No section has contents for it, so the
    // end of the segment and its flags stand for it.
    let mut zeros: Vec<(u64, u64)> = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .filter(|segment| segment.p_memsz(endian).into() > segment.p_filesz(endian).into())
        .map(|segment| {
            let end = segment.p_vaddr(endian).into().wrapping_add(segment.p_memsz(endian).into());
            (end, u64::from(segment.p_flags(endian).0))
        })
        .collect();
    zeros.sort_unstable();
    zeros.iter().for_each(|(end, flags)| {
        plain.number(*end).number(*flags);
    });

    let mut linkage = Hash::default();
    linkage.number(u64::from(header.e_type(endian).0)).number(u64::from(header.e_machine(endian).0));
    linkage.number(u64::from(header.e_flags(endian).0)).number(header.e_entry(endian).into());
    // Grouped by kind, because `patchelf` changes the order of the segments.
    for kind in [elf::PT_GNU_STACK, elf::PT_GNU_RELRO, elf::PT_TLS] {
        for segment in segments.iter().filter(|segment| segment.p_type(endian) == kind) {
            linkage.number(u64::from(kind.0)).number(u64::from(segment.p_flags(endian).0));
            if kind != elf::PT_GNU_STACK {
                linkage.number(segment.p_vaddr(endian).into());
            }
            if kind == elf::PT_TLS {
                linkage.number(segment.p_memsz(endian).into()).number(segment.p_align(endian).into());
            }
        }
    }
    let run_path = dynamic::<Elf, R>(endian, data, segments, &sections, &tables, &mut linkage)?;
    tables.sort_by_key(|(_, digest)| *digest);
    tables.iter().for_each(|(_, digest)| linkage.0.update(digest));
    Ok(LoadedParts { code: code.end(), data: plain.end(), linkage: linkage.end(), run_path })
}

/// The loaded sections in the order of their addresses. Each lies where a segment maps it, or the
/// file is damaged.
fn loaded_sections<'a, Elf, R>(
    header: &Elf,
    endian: Endianness,
    data: R,
    segments: &[Elf::ProgramHeader],
    file_len: u64,
) -> Result<Vec<Loaded<'a, Elf>>, LoadedPartsError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    const KEPT_FLAGS: u64 = elf::SHF_WRITE.0 | elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0 | elf::SHF_TLS.0;
    let all = header.section_headers(endian, data)?;
    if all.is_empty() {
        return Err(LoadedPartsError::NoSections);
    }
    let mut sections = Vec::new();
    let mut bytes = 0u64;
    for section in all {
        let flags = section.sh_flags(endian).0 & KEPT_FLAGS;
        let size: u64 = section.sh_size(endian).into();
        if flags & elf::SHF_ALLOC.0 == 0 || section.sh_type(endian) == elf::SHT_NOBITS || size == 0 {
            continue;
        }
        let mut loaded = Loaded {
            header: section,
            kind: section.sh_type(endian),
            flags,
            address: section.sh_addr(endian).into(),
            size,
            offset: section.sh_offset(endian).into(),
            permissions: 0,
        };
        let mut mapped_by = segments.iter().filter(|segment| maps(*segment, endian, &loaded));
        let (segment, overlapped) = (mapped_by.next(), mapped_by.next().is_some());
        let segment = segment.ok_or(LoadedPartsError::Contradiction("a section is in no segment"))?;
        if overlapped {
            return Err(LoadedPartsError::Contradiction("segments that overlap"));
        }
        let shift = loaded.address.wrapping_sub(segment.p_vaddr(endian).into());
        if segment.p_offset(endian).into().wrapping_add(shift) != loaded.offset {
            return Err(LoadedPartsError::Contradiction("a section's bytes are not those that are loaded"));
        }
        loaded.permissions = segment.p_flags(endian).0;
        bytes = bytes.saturating_add(loaded.size);
        sections.push(loaded);
    }
    // Sections do not overlap. A crafted file in which they do must not be read a hundred times.
    if bytes > file_len {
        return Err(LoadedPartsError::Contradiction("sections that overlap, or lie beyond the end"));
    }
    sections.sort_by_key(|section| (section.address, section.size, section.kind.0));
    Ok(sections)
}

fn maps<Elf: FileHeader<Endian = Endianness>>(
    segment: &Elf::ProgramHeader,
    endian: Endianness,
    section: &Loaded<'_, Elf>,
) -> bool {
    let inside = section.address.checked_sub(segment.p_vaddr(endian).into());
    let end = inside.and_then(|shift| shift.checked_add(section.size));
    segment.p_type(endian) == elf::PT_LOAD && end.is_some_and(|end| end <= segment.p_filesz(endian).into())
}

/// The tables that the loader reads, and that `patchelf` moves.
fn is_loaders(kind: elf::SectionType) -> bool {
    matches!(
        kind,
        elf::SHT_DYNAMIC
            | elf::SHT_DYNSYM
            | elf::SHT_STRTAB
            | elf::SHT_HASH
            | elf::SHT_GNU_HASH
            | elf::SHT_GNU_VERSYM
            | elf::SHT_GNU_VERNEED
            | elf::SHT_GNU_VERDEF
            | elf::SHT_NOTE
            | elf::SHT_REL
            | elf::SHT_RELA
            | elf::SHT_RELR
    )
}

/// The tables that refer to names by their offsets. Names are hashed in place of the offsets.
fn is_read_by_name(kind: elf::SectionType) -> bool {
    matches!(
        kind,
        elf::SHT_DYNAMIC | elf::SHT_DYNSYM | elf::SHT_STRTAB | elf::SHT_GNU_VERNEED | elf::SHT_GNU_VERDEF
    )
}

/// Hashes the dynamic section, the symbols and the versions, with names in place of offsets.
/// Returns the search path.
fn dynamic<'a, Elf, R>(
    endian: Endianness,
    data: R,
    segments: &'a [Elf::ProgramHeader],
    sections: &[Loaded<'a, Elf>],
    tables: &[(u64, [u8; 32])],
    linkage: &mut Hash,
) -> Result<Vec<u8>, LoadedPartsError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let mut entries: &[Elf::Dyn] = &[];
    for segment in segments {
        entries = segment.dynamic(endian, data)?.unwrap_or(entries);
    }
    let mut entries: Vec<(elf::DynamicTag, u64)> =
        entries.iter().map(|entry| (entry.d_tag(endian), entry.d_val(endian).into())).collect();
    entries.truncate(entries.iter().position(|(tag, _)| *tag == elf::DT_NULL).unwrap_or(entries.len()));
    let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let section_at = |address, kind| {
        sections.iter().find(|section| section.kind == kind && Some(section.address) == address)
    };

    let strings: &[u8] = match section_at(value(elf::DT_STRTAB), elf::SHT_STRTAB) {
        Some(table) => data
            .read_bytes_at(table.offset, table.size)
            .map_err(|()| LoadedPartsError::Contradiction("strings beyond the end"))?,
        None => &[],
    };
    let mut names = Names {
        table: StringTable::new(MemoryFile(strings), 0, strings.len() as u64),
        bytes_left: NAME_BYTES_MAX,
    };

    for &(tag, value) in &entries {
        match tag {
            elf::DT_RPATH | elf::DT_RUNPATH | elf::DT_STRTAB | elf::DT_STRSZ | elf::DT_DEBUG => {}
            // Its contents are hashed below.
            elf::DT_SYMTAB | elf::DT_VERNEED | elf::DT_VERDEF => {}
            elf::DT_HASH
            | elf::DT_GNU_HASH
            | elf::DT_RELA
            | elf::DT_REL
            | elf::DT_RELR
            | elf::DT_JMPREL
            | elf::DT_VERSYM => {
                linkage.number(tag.0 as u64);
                // The table is the same at another address.
                for (_, digest) in tables.iter().filter(|(address, _)| *address == value) {
                    linkage.0.update(digest);
                }
            }
            elf::DT_NEEDED
            | elf::DT_SONAME
            | elf::DT_AUXILIARY
            | elf::DT_FILTER
            | elf::DT_CONFIG
            | elf::DT_AUDIT
            | elf::DT_DEPAUDIT => {
                linkage.number(tag.0 as u64).text(names.get(value)?);
            }
            _ => {
                linkage.number(tag.0 as u64).number(value);
            }
        }
    }
    if let Some(table) = section_at(value(elf::DT_SYMTAB), elf::SHT_DYNSYM) {
        symbols::<Elf, R>(endian, data, table, &mut names, linkage)?;
    }
    for (tag, kind) in [(elf::DT_VERNEED, elf::SHT_GNU_VERNEED), (elf::DT_VERDEF, elf::SHT_GNU_VERDEF)] {
        if let Some(table) = section_at(value(tag), kind) {
            versions::<Elf, R>(endian, data, table, &mut names, linkage)?;
        }
    }
    let run_path = value(elf::DT_RUNPATH).or_else(|| value(elf::DT_RPATH));
    Ok(run_path.map(|at| names.get(at)).transpose()?.unwrap_or_default().to_vec())
}

fn symbols<'a, Elf, R>(
    endian: Endianness,
    data: R,
    table: &Loaded<'a, Elf>,
    names: &mut Names<'_>,
    linkage: &mut Hash,
) -> Result<(), LoadedPartsError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let symbols: &[Elf::Sym] = table.header.data_as_array(endian, data)?;
    for symbol in symbols {
        linkage.text(names.get(u64::from(symbol.st_name(endian)))?);
        // Section numbers change when a section moves. Whether a symbol is defined, absolute or
        // neither does not.
        let place = match symbol.st_shndx(endian) {
            elf::SHN_UNDEF => 0,
            elf::SHN_ABS => 1,
            elf::SHN_COMMON => 2,
            _ => 3,
        };
        linkage.0.update([symbol.st_info().0, symbol.st_other().0, place]);
        linkage.number(symbol.st_value(endian).into()).number(symbol.st_size(endian).into());
    }
    Ok(())
}

fn versions<'a, Elf, R>(
    endian: Endianness,
    data: R,
    table: &Loaded<'a, Elf>,
    names: &mut Names<'_>,
    linkage: &mut Hash,
) -> Result<(), LoadedPartsError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    // Entries do not overlap, and the smallest has 8 bytes: a bound on their number.
    let mut left = table.size / 8;
    let mut spend = || {
        left = left.checked_sub(1).ok_or(LoadedPartsError::Contradiction("versions that overlap"))?;
        Ok::<_, LoadedPartsError>(())
    };
    if let Some((mut needed, _)) = table.header.gnu_verneed(endian, data)? {
        while let Some((file, mut versions)) = needed.next()? {
            spend()?;
            linkage.text(names.get(u64::from(file.vn_file.get(endian)))?);
            while let Some(version) = versions.next()? {
                spend()?;
                linkage.text(names.get(u64::from(version.vna_name.get(endian)))?);
                linkage.number(u64::from(version.vna_hash.get(endian)));
                linkage.number(u64::from(version.vna_flags.get(endian).0));
                linkage.number(u64::from(version.vna_other.get(endian).0));
            }
        }
    }
    if let Some((mut defined, _)) = table.header.gnu_verdef(endian, data)? {
        while let Some((definition, mut parents)) = defined.next()? {
            spend()?;
            linkage.number(u64::from(definition.vd_flags.get(endian).0));
            linkage.number(u64::from(definition.vd_ndx.get(endian).0));
            linkage.number(u64::from(definition.vd_hash.get(endian)));
            while let Some(parent) = parents.next()? {
                spend()?;
                linkage.text(names.get(u64::from(parent.vda_name.get(endian)))?);
            }
        }
    }
    Ok(())
}

/// Looks up names by offset; fails once `NAME_BYTES_MAX` bytes were read.
struct Names<'a> {
    table: StringTable<'a, MemoryFile<'a>>,
    bytes_left: usize,
}

impl<'a> Names<'a> {
    fn get(&mut self, at: u64) -> Result<&'a [u8], LoadedPartsError> {
        let at = u32::try_from(at).map_err(|_| LoadedPartsError::Contradiction("a name beyond the end"))?;
        let name =
            self.table.get(at).map_err(|()| LoadedPartsError::Contradiction("a name beyond the end"))?;
        let left = self.bytes_left.checked_sub(name.len());
        self.bytes_left = left.ok_or(LoadedPartsError::Contradiction("names without end"))?;
        Ok(name)
    }
}

/// SHA-256 of a sequence of values. Numbers have 8 bytes, and a text follows its length, so no two
/// sequences are alike.
#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    fn number(&mut self, number: u64) -> &mut Hash {
        self.0.update(number.to_le_bytes());
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Hash {
        self.number(text.len() as u64);
        self.0.update(text);
        self
    }

    fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
