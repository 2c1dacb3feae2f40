//! The built library: what the loader finds in it, and what it must not find. For this machine, and
//! for each other that can be built for here.

use object::{
    LittleEndian, Object, ObjectSection,
    elf::{self, FileHeader64},
    read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym},
};
use ogrt_preload_tests::libraries;
use std::fs;

const LE: LittleEndian = LittleEndian;

#[test]
fn under_64_kilobytes() {
    for library in libraries() {
        let len = fs::metadata(library).unwrap().len();
        assert!(len < 64 * 1024, "{}: {len} bytes", library.display());
    }
}

#[test]
fn needs_no_library() {
    for library in libraries() {
        let data = fs::read(library).unwrap();
        let header = FileHeader64::<LittleEndian>::parse(&*data).unwrap();
        let sections = header.sections(LE, &*data).unwrap();
        let (dynamic, _) = sections.dynamic(LE, &*data).unwrap().unwrap();
        assert!(
            dynamic.iter().any(|entry| entry.tag32(LE) == Some(elf::DT_SONAME.0 as i32)),
            "no dynamic section was read"
        );
        // A version needed of glibc would keep older ones from starting the program.
        let absent = [elf::DT_NEEDED, elf::DT_VERNEED, elf::DT_TEXTREL, elf::DT_INIT, elf::DT_JMPREL];
        for absent in absent {
            assert!(
                !dynamic.iter().any(|entry| entry.tag32(LE) == Some(absent.0 as i32)),
                "dynamic tag {absent:?}"
            );
        }
    }
}

#[test]
fn wants_weak_symbols_only_and_exports_the_loaders() {
    for library in libraries() {
        let data = fs::read(library).unwrap();
        let file = ElfFile64::<LittleEndian>::parse(&*data).unwrap();
        let symbols = file.elf_dynamic_symbol_table();
        let (mut weak, mut exported) = (Vec::new(), Vec::new());
        for symbol in symbols.iter().skip(1) {
            let name = std::str::from_utf8(symbol.name(LE, symbols.strings()).unwrap()).unwrap();
            if symbol.is_undefined(LE) {
                assert_eq!(symbol.st_bind(), elf::STB_WEAK, "{name} is undefined and not weak");
                weak.push(name);
            } else if symbol.st_bind() != elf::STB_LOCAL {
                exported.push(name);
            }
        }
        weak.sort();
        exported.sort();
        assert_eq!(weak, ["__environ", "dl_iterate_phdr"]);
        assert_eq!(exported, EXPORTS);
    }
}

/// What the loader looks for in an audit library (rtld-audit(7)).
const EXPORTS: [&str; 3] = ["la_objopen", "la_preinit", "la_version"];

#[test]
fn two_segments_without_tls_executable_stack_or_writable_code() {
    for library in libraries() {
        let data = fs::read(library).unwrap();
        let header = FileHeader64::<LittleEndian>::parse(&*data).unwrap();
        let segments = header.program_headers(LE, &*data).unwrap();
        let of = |kind| segments.iter().filter(move |segment| segment.p_type(LE) == kind);
        let loads: Vec<_> = of(elf::PT_LOAD).collect();
        // Two, so that the loader has little to map, and no .bss, which would be a third mapping.
        assert_eq!(loads.len(), 2);
        for load in &loads {
            assert_eq!(load.p_filesz(LE), load.p_memsz(LE), ".bss");
            assert_ne!(load.p_flags(LE) & (elf::PF_W | elf::PF_X), elf::PF_W | elf::PF_X, "W and X");
        }
        assert_eq!(of(elf::PT_TLS).count(), 0);
        assert_eq!(of(elf::PT_INTERP).count(), 0);
        let stack: Vec<_> = of(elf::PT_GNU_STACK).collect();
        assert_eq!(stack.len(), 1);
        assert_eq!(stack[0].p_flags(LE) & elf::PF_X, elf::ProgramFlags(0), "executable stack");
    }
}

#[test]
fn panics_nowhere() {
    // The panic handler says these words; it is linked in only when something can reach it.
    for library in libraries() {
        let data = fs::read(library).unwrap();
        let words = b"libogrt.so panicked";
        assert!(!data.windows(words.len()).any(|part| part == words), "some code in preload/ can panic");
        // And the search can fail: these words are there.
        assert!(data.windows(11).any(|part| part == b"OGRT_SERVER"));
    }
}

#[test]
fn carries_no_debug_information_and_no_tables_for_unwinding() {
    for library in libraries() {
        let data = fs::read(library).unwrap();
        let file = ElfFile64::<LittleEndian>::parse(&*data).unwrap();
        let debug: Vec<_> = file.sections().filter_map(|s| s.name().ok().map(str::to_owned)).collect();
        assert!(debug.iter().any(|name| name == ".text"), "{debug:?}");
        let is_dead = |name: &str| name.starts_with(".debug") || matches!(name, ".symtab" | ".eh_frame");
        assert!(!debug.iter().any(|name| is_dead(name)), "{debug:?}");
    }
}

#[test]
fn sections_are_allocated_where_expected() {
    for library in libraries() {
        let data = fs::read(library).unwrap();
        let header = FileHeader64::<LittleEndian>::parse(&*data).unwrap();
        let sections = header.sections(LE, &*data).unwrap();
        assert!(sections.iter().all(|section| section.sh_type(LE) != elf::SHT_NOBITS), ".bss");
    }
}
