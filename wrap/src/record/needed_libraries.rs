//! Which shared libraries an output needs (DT_NEEDED). A library that the linker read and dropped
//! (`--as-needed`, AS_NEEDED in a script) is not a dependency, and the record says so.
//!
//! A library is known in DT_NEEDED by its DT_SONAME, or without one by its file's name.

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use ogrt_proto::{FileKind, Input};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The largest table of names that is read.
const NAMES_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The libraries that a file needs, and its own name among libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeededLibraries {
    /// The entries of DT_NEEDED.
    pub needed: Vec<Vec<u8>>,
    /// DT_SONAME.
    pub soname: Option<Vec<u8>>,
}

impl NeededLibraries {
    /// Reads an ELF file that was linked. `None` for other files, and damaged ones.
    pub fn of(file: &File) -> Option<NeededLibraries> {
        NeededLibraries::in_bytes(&ReadCache::new(file))
    }

    /// Reads an ELF file from its bytes.
    pub fn in_bytes<'a>(data: impl ReadRef<'a>) -> Option<NeededLibraries> {
        match object::FileKind::parse(data).ok()? {
            object::FileKind::Elf32 => {
                let header = elf::FileHeader32::<Endianness>::parse(data).ok()?;
                in_elf(header, header.endian().ok()?, data)
            }
            object::FileKind::Elf64 => {
                let header = elf::FileHeader64::<Endianness>::parse(data).ok()?;
                in_elf(header, header.endian().ok()?, data)
            }
            _ => None,
        }
    }
}

fn in_elf<'a, Elf, R>(header: &Elf, endian: Endianness, data: R) -> Option<NeededLibraries>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let segments = header.program_headers(endian, data).ok()?;
    let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok().flatten());
    // A static program needs none.
    let Some(entries) = dynamic else { return Some(NeededLibraries::default()) };
    let value = |tag| entries.iter().find(|entry| entry.d_tag(endian) == tag).map(|e| e.d_val(endian).into());
    let (address, size): (u64, u64) = (value(elf::DT_STRTAB)?, value(elf::DT_STRSZ)?);
    let offset = segments.iter().find_map(|segment| {
        let start: u64 = segment.p_vaddr(endian).into();
        let within = address.checked_sub(start).filter(|at| *at < segment.p_filesz(endian).into())?;
        (segment.p_type(endian) == elf::PT_LOAD)
            .then(|| within.checked_add(segment.p_offset(endian).into()))?
    })?;
    let names = (size <= NAMES_BYTES_MAX).then(|| data.read_bytes_at(offset, size).ok())??;
    let name = |at: u64| {
        let rest = names.get(usize::try_from(at).ok()?..)?;
        Some(rest.split(|byte| *byte == 0).next()?.to_vec())
    };
    let of_tag = |tag| entries.iter().filter(move |entry| entry.d_tag(endian) == tag);
    Some(NeededLibraries {
        needed: of_tag(elf::DT_NEEDED).filter_map(|entry| name(entry.d_val(endian).into())).collect(),
        soname: of_tag(elf::DT_SONAME).find_map(|entry| name(entry.d_val(endian).into())),
    })
}

/// Marks the shared libraries that the output does not need. Relative paths start at `place`. A
/// library that cannot be read any more counts as needed.
pub fn mark_dropped(inputs: &mut [Input], output: &NeededLibraries, place: &Path) {
    let is_needed = |name: &[u8]| output.needed.iter().any(|needed| needed == name);
    let is_here = |needed: &Vec<u8>| {
        inputs.iter().any(|input| file_name(Path::new(OsStr::from_bytes(input.path()))) == needed)
    };
    // Each entry is one library. If files of those names are here, no other is needed, and none has
    // to be read.
    let all_are_here = output.needed.iter().all(is_here);
    for input in inputs.iter_mut().filter(|input| input.kind() == FileKind::SharedLibrary) {
        let path = Path::new(OsStr::from_bytes(input.path()));
        if is_needed(file_name(path)) {
            continue;
        }
        if all_are_here {
            input.dropped = Some(true);
            continue;
        }
        let Ok(file) = File::open(place.join(path)) else { continue };
        let needed = match NeededLibraries::of(&file).and_then(|library| library.soname) {
            Some(soname) => is_needed(&soname),
            // Without a name of its own it stands in DT_NEEDED as the line names it.
            None => is_needed(path.as_os_str().as_bytes()),
        };
        if !needed {
            input.dropped = Some(true);
        }
    }
}

fn file_name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_program_needs_what_it_says() {
        let file = File::open("/proc/self/exe").unwrap();
        let told = NeededLibraries::of(&file).unwrap();
        assert!(told.needed.iter().all(|name| name.windows(3).any(|part| part == b".so")), "{told:?}");
        assert_eq!(told.soname, None);
        assert_eq!(
            NeededLibraries::in_bytes(&b"no ELF file at all, but long enough for one to begin"[..]),
            None
        );
    }

    #[test]
    fn a_damaged_file_is_no_danger() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        for len in [64, 200, 1000, 5000] {
            let _ = NeededLibraries::in_bytes(&whole[..len]);
        }
        let mut damaged = whole[..8192].to_vec();
        for at in 64..1200 {
            damaged[at] ^= 0xa5;
            let _ = NeededLibraries::in_bytes(&*damaged);
        }
    }
}
