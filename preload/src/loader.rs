//! The objects that the dynamic loader has brought into this process.
//!
//! The list is the loader's own, which the executable's DT_DEBUG leads to, or `la_objopen` under
//! LD_AUDIT. It is walked in the constructor, before anything else runs. So no function of libc is
//! called, which a program may have replaced and which may wait for a lock. Where the executable
//! has no DT_DEBUG, `dl_iterate_phdr` is asked, unless the program itself defines it.

use crate::{
    arch::weak_address,
    loaded_object::{
        ELF_HEADER_LEN, LoadedObject, PAGE, PT_DYNAMIC, ProgramHeader, executable_headers, headers,
    },
    process::{Process, c_string},
    sys,
};
use core::{
    arch::global_asm,
    ffi::{c_char, c_int, c_void},
    mem::transmute,
    ptr,
};

global_asm!(".weak dl_iterate_phdr");

const DT_DEBUG: i64 = 21;

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
