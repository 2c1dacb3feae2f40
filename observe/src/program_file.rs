//! What the file of a program says of it: how it is loaded, its notes, its build-id.
//!
//! The file may be crafted, and may be written to while it is read. So every number in it is
//! bounded, nothing is read outside of the bounds, and damaged bytes make it tell less.

use ogrt_note::{ByteOrder, build_id, notes};
use ogrt_proto::Note;

/// Most program headers that are looked at. Real programs have fewer than twenty.
const HEADERS_MAX: usize = 256;
/// Most section headers that are looked at.
const SECTIONS_MAX: usize = 512;
/// Most bytes of a section with a build-id.
const SECTION_BYTES_MAX: u64 = 4096;
/// Most bytes of all segments with notes.
const NOTE_BYTES_MAX: usize = 256 << 10;
/// Most bytes of the dynamic section. A program with a thousand libraries has 16 KiB.
const DYNAMIC_BYTES_MAX: usize = 64 << 10;
/// Most notes of one file that are told, and most with their metadata: as libogrt.so has it.
const NOTES_MAX: usize = 256;
const METADATA_MAX: usize = 3;

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const SHT_NOTE: u32 = 7;
const DT_NULL: u64 = 0;
const DT_SONAME: u64 = 14;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// Bytes that can be read at an offset.
pub trait ReadAt {
    /// Fills the buffer as far as there are bytes; their number.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(problem) if problem.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        filled
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let length = from.len().min(buffer.len());
        buffer[..length].copy_from_slice(&from[..length]);
        length
    }
}

/// The manner in which the kernel loads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A program without a loader: libogrt.so never comes into it.
    Static,
    /// A program that a loader brings together.
    Dynamic,
    /// A shared library, such as the loader itself, which the kernel opens beside the program.
    Library,
    /// A script, a program of another architecture, or anything else: what runs it is opened next.
    Other,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ProgramFile {
    /// The manner in which it is loaded.
    pub kind: FileKind,
    /// Numbers in it have 8 bytes, not 4.
    pub is_64_bit: bool,
    /// Notes of ours in it.
    pub notes: Vec<Note>,
    /// Its GNU build-id.
    pub build_id: Option<Vec<u8>>,
}

impl ProgramFile {
    /// Reads the file's headers and notes.
    pub fn read(file: &(impl ReadAt + ?Sized)) -> Self {
        Elf::read(file).map_or_else(Self::other, |elf| elf.describe(file))
    }

    fn other() -> Self {
        ProgramFile { kind: FileKind::Other, is_64_bit: true, notes: Vec::new(), build_id: None }
    }
}

/// A program header, or the same of a section's.
struct Segment {
    kind: u32,
    offset: u64,
    length: u64,
    alignment: u64,
}

/// The ELF header with the program headers.
struct Elf {
    is_64_bit: bool,
    order: ByteOrder,
    segments: Vec<Segment>,
    /// Place and number of the section headers.
    sections: (u64, usize),
}

impl Elf {
    /// `None` where the kernel would not load it as a program of this machine.
    fn read(file: &(impl ReadAt + ?Sized)) -> Option<Self> {
        let mut head = [0; 64];
        let length = file.read_at(&mut head, 0);
        let head = head.get(..length)?;
        let is_64_bit = match (head.get(..4)?, head.get(4)?) {
            (b"\x7FELF", 2) => true,
            (b"\x7FELF", 1) => false,
            _ => return None,
        };
        let order = match head.get(5)? {
            1 => ByteOrder::Little,
            2 => ByteOrder::Big,
            _ => return None,
        };
        let words = Words { bytes: head, order };
        let is_program = matches!(words.u16(16)?, ET_EXEC | ET_DYN);
        if !is_program || order != ByteOrder::NATIVE || !is_native(words.u16(18)?) {
            return None;
        }
        let (table, size_at, count_at) = match is_64_bit {
            true => (words.u64(32)?, 54, 56),
            false => (u64::from(words.u32(28)?), 42, 44),
        };
        let (sections, sections_at) = match is_64_bit {
            true => (words.u64(40)?, 60),
            false => (u64::from(words.u32(32)?), 48),
        };
        let sections = (sections, usize::from(words.u16(sections_at)?).min(SECTIONS_MAX));
        let size = if is_64_bit { 56 } else { 32 };
        if usize::from(words.u16(size_at)?) != size {
            return None;
        }
        let count = usize::from(words.u16(count_at)?).min(HEADERS_MAX);
        let mut bytes = vec![0; size * count];
        let length = file.read_at(&mut bytes, table);
        let headers = bytes.get(..length)?.chunks_exact(size);
        let segments = headers.filter_map(|bytes| Segment::read(Words { bytes, order }, is_64_bit)).collect();
        Some(Elf { is_64_bit, order, segments, sections })
    }

    fn describe(&self, file: &(impl ReadAt + ?Sized)) -> ProgramFile {
        let mut told = ProgramFile { is_64_bit: self.is_64_bit, ..ProgramFile::other() };
        let mut bytes_left = NOTE_BYTES_MAX;
        let mut is_named = false;
        let mut has_loader = false;
        for segment in &self.segments {
            match segment.kind {
                PT_INTERP => has_loader = true,
                PT_DYNAMIC => is_named |= self.has_name(&segment.bytes(file, DYNAMIC_BYTES_MAX)),
                PT_NOTE => {
                    let bytes = segment.bytes(file, bytes_left);
                    bytes_left -= bytes.len();
                    self.take_notes(&bytes, segment.alignment, &mut told);
                }
                _ => {}
            }
        }
        if told.build_id.is_none() {
            told.build_id = self.build_id_of_sections(file);
        }
        told.kind = match (has_loader, is_named) {
            (true, _) => FileKind::Dynamic,
            (false, true) => FileKind::Library,
            (false, false) => FileKind::Static,
        };
        told
    }

    /// The build-id of a section that is in no segment: Go writes it so.
    fn build_id_of_sections(&self, file: &(impl ReadAt + ?Sized)) -> Option<Vec<u8>> {
        let (table, count) = self.sections;
        let size = if self.is_64_bit { 64 } else { 40 };
        let mut bytes = vec![0; size * count];
        let length = file.read_at(&mut bytes, table);
        let headers = bytes.get(..length)?.chunks_exact(size);
        headers
            .filter_map(|bytes| Segment::read_section(Words { bytes, order: self.order }, self.is_64_bit))
            .filter(|section| section.kind == SHT_NOTE && section.length <= SECTION_BYTES_MAX)
            .find_map(|section| {
                let bytes = section.bytes(file, SECTION_BYTES_MAX as usize);
                build_id(&bytes, self.order, section.alignment).map(<[u8]>::to_vec)
            })
    }

    fn take_notes(&self, segment: &[u8], alignment: u64, told: &mut ProgramFile) {
        for found in notes(segment, self.order, alignment) {
            if told.notes.len() >= NOTES_MAX {
                break;
            }
            let has_metadata = told.notes.len() < METADATA_MAX && !found.metadata.is_empty();
            told.notes.push(Note {
                signature: Some(found.signature.as_bytes().to_vec().into()),
                metadata: has_metadata.then(|| found.metadata.to_vec().into()),
                version: Some(found.version.into()),
            });
        }
        if told.build_id.is_none() {
            told.build_id = build_id(segment, self.order, alignment).map(<[u8]>::to_vec);
        }
    }

    /// True if the dynamic section gives the object a name, as those of shared libraries do.
    fn has_name(&self, dynamic: &[u8]) -> bool {
        let size = if self.is_64_bit { 16 } else { 8 };
        let tags = dynamic.chunks_exact(size).map_while(|bytes| {
            let words = Words { bytes, order: self.order };
            if self.is_64_bit { words.u64(0) } else { words.u32(0).map(u64::from) }
        });
        tags.take_while(|tag| *tag != DT_NULL).any(|tag| tag == DT_SONAME)
    }
}

impl Segment {
    fn read(words: Words<'_>, is_64_bit: bool) -> Option<Self> {
        let kind = words.u32(0)?;
        Some(match is_64_bit {
            true => {
                Segment { kind, offset: words.u64(8)?, length: words.u64(32)?, alignment: words.u64(48)? }
            }
            false => {
                let [offset, length, alignment] = [4, 16, 28].map(|at| words.u32(at).map(u64::from));
                Segment { kind, offset: offset?, length: length?, alignment: alignment? }
            }
        })
    }

    /// The same of a section header.
    fn read_section(words: Words<'_>, is_64_bit: bool) -> Option<Self> {
        let kind = words.u32(4)?;
        Some(match is_64_bit {
            true => {
                Segment { kind, offset: words.u64(24)?, length: words.u64(32)?, alignment: words.u64(48)? }
            }
            false => {
                let [offset, length, alignment] = [16, 20, 32].map(|at| words.u32(at).map(u64::from));
                Segment { kind, offset: offset?, length: length?, alignment: alignment? }
            }
        })
    }

    /// The bytes of the segment in the file, at most this many.
    fn bytes(&self, file: &(impl ReadAt + ?Sized), bytes_max: usize) -> Vec<u8> {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX).min(bytes_max);
        let mut bytes = vec![0; length];
        let read = file.read_at(&mut bytes, self.offset);
        bytes.truncate(read);
        bytes
    }
}

/// True for the machines whose programs this kernel runs by itself: its own, and its 32-bit one.
fn is_native(machine: u16) -> bool {
    const EM_386: u16 = 3;
    const EM_PPC64: u16 = 21;
    const EM_ARM: u16 = 40;
    const EM_X86_64: u16 = 62;
    const EM_AARCH64: u16 = 183;
    const EM_RISCV: u16 = 243;
    let machines: &[u16] = if cfg!(target_arch = "x86_64") {
        &[EM_X86_64, EM_386]
    } else if cfg!(target_arch = "aarch64") {
        &[EM_AARCH64, EM_ARM]
    } else if cfg!(target_arch = "riscv64") {
        &[EM_RISCV]
    } else {
        &[EM_PPC64]
    };
    machines.contains(&machine)
}

/// Numbers in bytes.
#[derive(Clone, Copy)]
struct Words<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
}

impl Words<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()?;
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn of(path: &str) -> ProgramFile {
        ProgramFile::read(&File::open(path).unwrap())
    }

    #[test]
    fn a_program_its_loader_and_a_script_are_told_apart() {
        assert_eq!(of("/bin/sh").kind, FileKind::Dynamic);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let loader = maps.split_whitespace().find(|word| word.contains("/ld-linux")).expect("a loader");
        assert_eq!(of(loader).kind, FileKind::Library);
        assert_eq!(of("/proc/self/maps").kind, FileKind::Other);
        assert_eq!(ProgramFile::read(&b"#!/bin/sh\n"[..]).kind, FileKind::Other);
    }

    #[test]
    fn no_cut_and_no_changed_byte_of_a_head_leads_out_of_it() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let head = &whole[..whole.len().min(4096)];
        assert_ne!(ProgramFile::read(&whole[..]).kind, FileKind::Other);
        for cut in 0..head.len() {
            let _ = ProgramFile::read(&head[..cut]);
        }
        let mut changed = head.to_vec();
        for at in 0..1024 {
            for byte in [0, 0x7F, 0xFF] {
                let old = std::mem::replace(&mut changed[at], byte);
                let _ = ProgramFile::read(&changed[..]);
                changed[at] = old;
            }
        }
    }
}
