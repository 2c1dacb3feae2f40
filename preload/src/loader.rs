//! The objects that the dynamic loader has brought into this process, and their notes in memory.
//!
//! The list is the loader's own, which the executable's DT_DEBUG leads to, or `la_objopen` under
//! LD_AUDIT. It is walked in the constructor, before anything else runs. So no function of libc is
//! called, which a program may have replaced and which may wait for a lock. Where the executable
//! has no DT_DEBUG, `dl_iterate_phdr` is asked, unless the program itself defines it.
//!
//! Notes are read where they are mapped, not from the file. A note must lie in a readable PT_LOAD
//! of its object. The kernel is asked about pages that the loader has not read itself, because a
//! mapping can reach beyond the end of a truncated file
//! (`a_note_beyond_the_end_of_a_truncated_file_is_not_touched`).

use crate::{
    arch::weak_address,
    process::{Process, c_string},
    sys,
};
use core::{
    arch::global_asm,
    ffi::{c_char, c_int, c_void},
    mem::transmute,
    ptr, slice,
};

global_asm!(".weak dl_iterate_phdr");

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const PF_R: u32 = 4;
const DT_DEBUG: i64 = 21;
const PAGE: usize = 4096;
const ELF_HEADER_LEN: usize = 64;

/// `Elf64_Phdr`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_len: u64,
    memory_len: u64,
    alignment: u64,
}

/// `Elf64_Dyn`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DynamicEntry {
    /// Its kind, `DT_*`.
    pub tag: i64,
    /// Its number or address.
    pub value: usize,
}

/// One loaded object.
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
    headers: &'static [ProgramHeader],
}

/// A note segment in memory.
pub struct NoteSegment {
    /// Its bytes, all of them readable.
    pub bytes: &'static [u8],
    /// Its `p_align`.
    pub alignment: u64,
}

/// The beginning of `struct r_debug` (`<link.h>`).
#[repr(C)]
struct Debug {
    version: c_int,
    list: *const LinkMap,
}

/// The source of the list of objects.
#[derive(Clone, Copy)]
pub enum Loader {
    /// libc's `dl_iterate_phdr`.
    Libc(Iterate),
    /// The loader's list, from any member of it.
    LinkMap(*const LinkMap),
}

type Callback = unsafe extern "C" fn(*const Info, usize, *mut c_void) -> c_int;
type Iterate = extern "C" fn(Callback, *mut c_void) -> c_int;

/// The part of `struct dl_phdr_info` that both libcs have.
#[repr(C)]
pub struct Info {
    base: usize,
    name: *const c_char,
    headers: *const ProgramHeader,
    header_count: u16,
}

/// The public part of `struct link_map` (`<link.h>`).
#[repr(C)]
pub struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const c_void,
    next: *const LinkMap,
    previous: *const LinkMap,
}

impl Loader {
    /// The list that we are in; `None` where that is not found, as in a namespace of our own.
    pub fn find(process: &Process) -> Option<Self> {
        let executable = LoadedObject::executable(process)?;
        let debug = executable.dynamic().iter().find(|entry| entry.tag == DT_DEBUG && entry.value != 0);
        if let Some(debug) = debug {
            // SAFETY: the loader has put the address of its structure there.
            let list = unsafe { (*(debug.value as *const Debug)).list };
            let mut is_there = false;
            each_linked(list, process, &mut |object| {
                is_there = object.is_ours();
                !is_there
            });
            if is_there {
                return Some(Loader::LinkMap(list));
            }
        }
        Self::of_libc(process)
    }

    /// libc's function, unless the program itself defines it.
    fn of_libc(process: &Process) -> Option<Self> {
        let iterate = weak_address!("dl_iterate_phdr");
        let executable = LoadedObject::executable(process)?;
        let is_libcs = process.interpreter_base().is_none() || !executable.holds(iterate);
        // SAFETY: both libcs document this signature.
        (iterate != 0 && is_libcs).then(|| Loader::Libc(unsafe { transmute::<usize, Iterate>(iterate) }))
    }

    /// The same list once the program has threads, which may change it. libc walks it under its
    /// lock; without libc, under LD_AUDIT, there is none.
    pub fn beside_threads(self, process: &Process) -> Self {
        Self::of_libc(process).unwrap_or(self)
    }

    /// The path by which the loader was told to load the executable, where the kernel has run the
    /// loader itself.
    pub fn named_executable(self, process: &Process) -> Option<&'static [u8]> {
        if process.interpreter_base().is_some() {
            return None;
        }
        let mut name: &[u8] = &[];
        self.each(process, &mut |object| {
            name = object.name;
            false
        });
        (!name.is_empty()).then_some(name)
    }

    /// Shows each object in the loader's order, the executable first, until `visit` answers
    /// `false`. The kernel's object and our own library are left out.
    pub fn each(self, process: &Process, visit: &mut dyn FnMut(&LoadedObject) -> bool) {
        let (vdso, interpreter) = (process.vdso_base(), process.interpreter_base());
        let mut visit_theirs = |object: &LoadedObject| {
            let is = |base: Option<usize>| Some(object.base) == base && !object.is_executable;
            if is(vdso) || object.is_ours() {
                return true;
            }
            visit(&LoadedObject { is_interpreter: is(interpreter), ..*object })
        };
        match self {
            Loader::Libc(iterate) => {
                let mut walk = Walk { visit: &mut visit_theirs, first: true };
                iterate(shown, (&raw mut walk).cast());
            }
            Loader::LinkMap(member) => each_linked(member, process, &mut visit_theirs),
        }
    }
}

struct Walk<'a> {
    visit: &'a mut dyn FnMut(&LoadedObject) -> bool,
    first: bool,
}

/// # Safety
/// Called by `dl_iterate_phdr` with what it documents, and the `Walk` given to it.
unsafe extern "C" fn shown(info: *const Info, _len: usize, walk: *mut c_void) -> c_int {
    // SAFETY: by our caller's promise; the names and headers stay while the object is loaded, and
    // the loader's lock is held.
    let (walk, object) = unsafe {
        let walk = &mut *walk.cast::<Walk>();
        let info = &*info;
        let object = LoadedObject {
            name: c_string(info.name),
            base: info.base,
            is_executable: walk.first,
            is_interpreter: false,
            headers: headers(info.headers, info.header_count.into()),
        };
        (walk, object)
    };
    walk.first = false;
    c_int::from(!(walk.visit)(&object))
}

fn each_linked(member: *const LinkMap, process: &Process, visit: &mut dyn FnMut(&LoadedObject) -> bool) {
    // SAFETY: nothing else runs while the loader calls us, and the list is never shorter than what
    // we were given.
    unsafe {
        let mut at = member;
        while !at.is_null() && !(*at).previous.is_null() {
            at = (*at).previous;
        }
        let mut first = true;
        while !at.is_null() {
            let map = &*at;
            let headers = if first { executable_headers(process) } else { mapped_headers(map) };
            let object = LoadedObject {
                name: c_string(map.name),
                base: map.base,
                is_executable: first,
                is_interpreter: false,
                headers,
            };
            if !visit(&object) {
                return;
            }
            first = false;
            at = map.next;
        }
    }
}

fn executable_headers(process: &Process) -> &'static [ProgramHeader] {
    match process.program_headers() {
        // SAFETY: the kernel says so.
        Some((address, count)) => unsafe { headers(address as *const ProgramHeader, count) },
        None => &[],
    }
}

/// The program headers of an object mapped from its first byte on, believed when they name the
/// dynamic section that the loader found.
fn mapped_headers(map: &LinkMap) -> &'static [ProgramHeader] {
    // \x7FELF and ELFCLASS64.
    const MAGIC_64: u64 = 0x02_464C_457F;
    let base = map.base;
    let is_mapped = || is_read_by_loader(map) || sys::is_readable(base);
    if base == 0 || !base.is_multiple_of(PAGE) || !is_mapped() {
        return &[];
    }
    // SAFETY: the page is there; e_ident, e_phoff, e_phentsize and e_phnum are in its first 64
    // bytes, and the table is believed only within the same page.
    let headers = unsafe {
        let ident = ptr::read(base as *const u64);
        let table_offset = ptr::read((base + 32) as *const u64) as usize;
        let entry_len = ptr::read((base + 54) as *const u16) as usize;
        let count = ptr::read((base + 56) as *const u16) as usize;
        let fits = table_offset.is_multiple_of(8)
            && entry_len == size_of::<ProgramHeader>()
            && table_offset.saturating_add(count * entry_len) <= PAGE;
        if ident & 0xFF_FFFF_FFFF != MAGIC_64 || !fits {
            return &[];
        }
        headers((base + table_offset) as *const ProgramHeader, count)
    };
    let names_dynamic = headers.iter().any(|header| {
        header.kind == PT_DYNAMIC && base.wrapping_add(header.address as usize) == map.dynamic as usize
    });
    if names_dynamic { headers } else { &[] }
}

/// Tells whether the loader itself reads the program headers behind the first 64 bytes of the
/// mapping, so that the kernel need not be asked about the page. The private part of its structure
/// says so: musl has that address right behind the public part. glibc has the structure's own
/// address there, and the address of the headers behind the table of 77 to 80 dynamic entries.
fn is_read_by_loader(map: &LinkMap) -> bool {
    let wanted = map.base.wrapping_add(ELF_HEADER_LEN);
    let words = (map as *const LinkMap).cast::<usize>();
    // SAFETY: both have that word, and glibc's structure has more than 100.
    unsafe {
        match *words.add(5) {
            word if word == wanted => true,
            word if word == words as usize => (80..100).any(|at| *words.add(at) == wanted),
            _ => false,
        }
    }
}

/// # Safety
/// `count` headers at `address`, or NULL.
unsafe fn headers(address: *const ProgramHeader, count: usize) -> &'static [ProgramHeader] {
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
    pub fn word(&self, address: usize) -> Option<u32> {
        self.bytes(address, 4)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The dynamic section.
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

    /// It is this library.
    fn is_ours(&self) -> bool {
        static INSIDE: u8 = 1;
        self.holds(&raw const INSIDE as usize)
    }

    /// Tells whether the address is in one of its segments.
    fn holds(&self, address: usize) -> bool {
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
