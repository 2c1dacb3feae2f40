//! The search for Pythons in the memory of a process, and the keys of their `sys.modules`.
//!
//! Input: maps and pieces of memory (`observe/tests/python/pieces.rs`). The program's file has the
//! same bytes as the memory. What must hold: no panic, no overflow, and an end within the bounds on
//! reads, modules and names.
#![no_main]

#[path = "../../observe/tests/python/pieces.rs"]
mod pieces;

use libfuzzer_sys::fuzz_target;
use ogrt_observe::python::{Executable, Mappings, read_pythons, top_level_packages};
use pieces::Pieces;

/// Bounds of the room, with the few reads of the file.
const READS_MAX: u32 = 2 * 150_000;
const MODULES_MAX: usize = 64 * 16_384;
const NAME_BYTES_MAX: usize = 4 * 1024;

/// The address of the program's headers, in a program that is not moved.
const HEADERS_ADDRESS: u64 = 0x40_0040;

fuzz_target!(|input: &[u8]| {
    let (maps, memory) = Pieces::take(input);
    let executable = Executable { file: &memory, headers_address: HEADERS_ADDRESS };
    for python in read_pythons(&memory, &Mappings::parse(maps), Some(&executable)) {
        assert!(python.modules.len() <= MODULES_MAX);
        assert!(python.modules.iter().all(|name| name.len() <= NAME_BYTES_MAX));
        let packages = top_level_packages(python.version, python.modules.iter().map(String::as_str));
        assert!(packages.len() <= python.modules.len());
    }
    assert!(memory.reads.get() <= READS_MAX, "more reads than the bound");
});
