//! One loaded object, and its notes in memory.
//!
//! Notes are read where they are mapped, not from the file. A note must lie in a readable PT_LOAD
//! of its object. The kernel is asked about pages that the loader has not read itself, because a
//! mapping can reach beyond the end of a truncated file
//! (`a_note_beyond_the_end_of_a_truncated_file_is_not_touched`).

use crate::{process::Process, sys};
use core::slice;

const PT_LOAD: u32 = 1;
/// Segment type of the dynamic section.
#[cfg(not(feature = "static"))]
pub const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const PF_R: u32 = 4;
/// Smallest page in bytes.
pub const PAGE: usize = 4096;
/// Bytes of the ELF header, behind which the program headers usually stand.
pub const ELF_HEADER_LEN: usize = 64;

/// `Elf64_Phdr`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProgramHeader {
    /// Its kind, `PT_*`.
    pub kind: u32,
    flags: u32,
    offset: u64,
    /// Its address in the file's own numbers.
    pub address: u64,
    physical: u64,
    file_len: u64,
    memory_len: u64,
    alignment: u64,
}

/// `Elf64_Dyn`.
#[cfg(not(feature = "static"))]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DynamicEntry {
    /// Its kind, `DT_*`.
    pub tag: i64,
    /// Its number or address.
    pub value: usize,
}

/// One loaded object. A static program is the only one, and needs less of what is known.
#[cfg_attr(feature = "static", allow(dead_code))]
#[derive(Clone, Copy)]
pub struct LoadedObject {
    /// The path by which the loader found it; empty for the executable (glibc).
    pub name: &'static [u8],
    /// The number that is added to the addresses in the file.
    pub base: usize,
    /// It is the executable, wherever its name comes from.
    pub is_executable: bool,
    /// It is the ELF interpreter. The ABI fixes its name in PT_INTERP, so its path is not made
    /// canonical.
    pub is_interpreter: bool,
    /// Its program headers.
    pub headers: &'static [ProgramHeader],
}

/// A note segment in memory.
pub struct NoteSegment {
    /// Its bytes, all of them readable.
    pub bytes: &'static [u8],
    /// Its `p_align`.
    pub alignment: u64,
}

/// The program headers of the executable, from what the kernel says of it.
pub fn executable_headers(process: &Process) -> &'static [ProgramHeader] {
    match process.program_headers() {
        // SAFETY: the kernel says so.
        Some((address, count)) => unsafe { headers(address as *const ProgramHeader, count) },
        None => &[],
    }
}

/// Program headers in memory.
///
/// # Safety
/// `count` headers at `address`, or NULL.
pub unsafe fn headers(address: *const ProgramHeader, count: usize) -> &'static [ProgramHeader] {
    if address.is_null() {
        return &[];
    }
    // SAFETY: by our caller's promise.
    unsafe { slice::from_raw_parts(address, count) }
}

impl LoadedObject {
    fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.headers.iter().filter(|header| header.kind == PT_LOAD)
    }

    /// The executable, from what the kernel says of it.
    pub fn executable(process: &Process) -> Option<Self> {
        let headers = executable_headers(process);
        let (address, _) = process.program_headers()?;
        let of = |kind| headers.iter().find(move |header| header.kind == kind);
        // The difference between where the headers are and where the file says that they are. A
        // file that does not say so begins with the ELF header and has them behind it.
        let stated = match of(PT_PHDR) {
            Some(header) => header.address as usize,
            None => (of(PT_LOAD)?.address as usize).checked_add(ELF_HEADER_LEN)?,
        };
        let base = address.wrapping_sub(stated);
        if !base.is_multiple_of(PAGE) {
            return None;
        }
        Some(LoadedObject { name: &[], base, is_executable: true, is_interpreter: false, headers })
    }

    /// The bytes at an address, if they are in a readable segment and come from the file.
    #[cfg(not(feature = "static"))]
    pub fn bytes(&self, address: usize, len: usize) -> Option<&'static [u8]> {
        let start = address.wrapping_sub(self.base) as u64;
        let end = start.checked_add(len as u64)?;
        let inside = |load: &ProgramHeader| {
            load.flags & PF_R != 0
                && start >= load.address
                && load.address.checked_add(load.file_len).is_some_and(|load_end| end <= load_end)
        };
        // SAFETY: mapped by the loader; used only for tables that it has read itself.
        self.loads().any(inside).then(|| unsafe { slice::from_raw_parts(address as *const u8, len) })
    }

    /// A 32-bit number at an address.
    #[cfg(not(feature = "static"))]
    pub fn word(&self, address: usize) -> Option<u32> {
        self.bytes(address, 4)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The dynamic section.
    #[cfg(not(feature = "static"))]
    pub fn dynamic(&self) -> &'static [DynamicEntry] {
        let Some(header) = self.headers.iter().find(|header| header.kind == PT_DYNAMIC) else { return &[] };
        let start = self.base.wrapping_add(header.address as usize);
        let len = header.file_len as usize;
        if !start.is_multiple_of(8) || self.bytes(start, len).is_none() {
            return &[];
        }
        // SAFETY: inside a segment, as just seen.
        unsafe { slice::from_raw_parts(start as *const DynamicEntry, len / size_of::<DynamicEntry>()) }
    }

    /// It is this library, or the program that we were linked into.
    pub fn is_ours(&self) -> bool {
        static INSIDE: u8 = 1;
        self.holds(&raw const INSIDE as usize)
    }

    /// Tells whether the address is in one of its segments.
    pub fn holds(&self, address: usize) -> bool {
        let at = address.wrapping_sub(self.base) as u64;
        self.loads().any(|load| at.checked_sub(load.address).is_some_and(|at| at < load.memory_len))
    }

    /// Its note segments, each cut to what is in memory and readable.
    pub fn note_segments(&self) -> impl Iterator<Item = NoteSegment> + '_ {
        self.headers.iter().filter(|header| header.kind == PT_NOTE).filter_map(|note| {
            let load = self.loads().find(|load| {
                load.flags & PF_R != 0
                    && note.address.checked_sub(load.address).is_some_and(|at| at < load.file_len)
            })?;
            let room = load.file_len - (note.address - load.address);
            let start = self.base.wrapping_add(note.address as usize);
            let len = note.file_len.min(room) as usize;
            // The loader has read the first page of the file itself.
            let known_end = match load.offset {
                0 => self.base.wrapping_add(load.address as usize).checked_add(PAGE)?,
                _ => start,
            };
            let len = readable_len(start, len, known_end);
            // SAFETY: mapped by the loader, within one PT_LOAD, asked about page by page; it stays
            // while the object is loaded.
            let bytes = unsafe { slice::from_raw_parts(start as *const u8, len) };
            Some(NoteSegment { bytes, alignment: note.alignment })
        })
    }
}

/// The number of bytes from `start` on, at most `len`, that can be read. Those before `known_end`
/// can.
fn readable_len(start: usize, len: usize, known_end: usize) -> usize {
    // No object needs more; a longer segment is not walked to its end.
    const LEN_MAX: usize = 1 << 20;
    let end = start.saturating_add(len.min(LEN_MAX));
    let mut page = known_end.max(start) & !(PAGE - 1);
    while page < end {
        if !sys::is_readable(page) {
            return page.saturating_sub(start);
        }
        page += PAGE;
    }
    end - start
}
