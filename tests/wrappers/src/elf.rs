//! What a linked file shows: its signatures, and how it is protected.

use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, elf};
use ogrt_note::ByteOrder;
use std::path::Path;

/// The signatures in a file's PT_NOTE segments, each as often as it occurs.
pub fn signatures_of(path: &Path) -> Vec<[u8; 16]> {
    let file = std::fs::File::open(path).expect("a linked file");
    ogrt_wrap::record::describe_file::notes(&file).expect("an ELF file").signatures
}

/// What hardening asks for in program headers and in `.dynamic`.
#[derive(Debug, PartialEq, Eq)]
pub struct Protections {
    /// The flags of PT_GNU_STACK.
    pub stack: Option<u32>,
    /// The file has a PT_GNU_RELRO.
    pub relro: bool,
    /// The entries DT_FLAGS and DT_FLAGS_1: BIND_NOW, PIE.
    pub dynamic_flags: Vec<(u64, u64)>,
    /// The bytes of `.note.gnu.property`: IBT, SHSTK.
    pub property: Option<Vec<u8>>,
    /// The file has a build-id.
    pub build_id: bool,
    /// The kind of file (e_type), which tells a PIE.
    pub file_type: u16,
}

/// Reads them from a 64-bit ELF file of this machine.
pub fn protections(path: &Path) -> Protections {
    let bytes = std::fs::read(path).expect("a linked file");
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("a 64-bit ELF file");
    let (header, endian) = (file.elf_header(), file.endian());
    let segments = header.program_headers(endian, &*bytes).expect("program headers");
    let of_type = |kind| segments.iter().find(|segment| segment.p_type(endian) == kind);
    // By its section: mold makes no PT_GNU_PROPERTY.
    let property = file.section_by_name(".note.gnu.property").and_then(|section| section.data().ok());
    let build_id = segments.iter().filter(|s| s.p_type(endian) == elf::PT_NOTE).any(|segment| {
        let notes = segment.data(endian, &*bytes).expect("notes");
        ogrt_note::build_id(notes, ByteOrder::Little, segment.p_align(endian)).is_some()
    });
    let mut dynamic_flags = Vec::new();
    for segment in segments {
        for entry in segment.dynamic(endian, &*bytes).ok().flatten().unwrap_or_default() {
            let tag: i64 = entry.d_tag(endian).0;
            if tag == elf::DT_FLAGS.0 || tag == elf::DT_FLAGS_1.0 || tag == elf::DT_BIND_NOW.0 {
                dynamic_flags.push((tag as u64, entry.d_val(endian)));
            }
        }
    }
    Protections {
        stack: of_type(elf::PT_GNU_STACK).map(|segment| segment.p_flags(endian).0),
        relro: of_type(elf::PT_GNU_RELRO).is_some(),
        dynamic_flags,
        property: property.map(<[u8]>::to_vec),
        build_id,
        file_type: header.e_type(endian).0,
    }
}
