//! A 32-bit libogrt.so that does nothing, for x86.
//!
//! A node for 64-bit programs has 32-bit ones, too: old licence managers, installers, Wine. Their
//! loader says `wrong ELF class` of each 64-bit library in LD_PRELOAD, on standard error. So the
//! prefix has a tree in which each loader finds a file of its own class (`$LIB`, ld.so(8)).

use crate::put_file;
use anyhow::{Context, Result};
use std::{fs, path::Path};

/// Directories, as `$LIB` names them, where x86_64 programs look. musl takes `$LIB` for a name.
const DIRECTORIES_64: [&str; 3] = ["$LIB", "lib64", "lib/x86_64-linux-gnu"];
/// Directories where 32-bit programs look.
const DIRECTORIES_32: [&str; 2] = ["lib32", "lib/i386-linux-gnu"];
/// The name in either kind of directory.
const NAME: &str = "libogrt.so";

/// Puts the tree below PREFIX/lib/ogrt, beside PREFIX/lib/libogrt.so.
pub fn install(lib: &Path) -> Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        return Ok(());
    }
    let tree = lib.join("ogrt");
    // Fedora and SUSE have 32-bit libraries in lib, Arch 64-bit ones: there lib64 is a link to lib.
    let lib_is_64 = fs::symlink_metadata("/usr/lib64").is_ok_and(|meta| meta.is_symlink());
    let (more_64, more_32) = if lib_is_64 { (Some("lib"), None) } else { (None, Some("lib")) };
    for directory in DIRECTORIES_64.into_iter().chain(more_64) {
        let up = "../".repeat(directory.split('/').count() + 1);
        let directory = tree.join(directory);
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        put_file::link(Path::new(&format!("{up}{NAME}")), &directory.join(NAME))?;
    }
    for directory in DIRECTORIES_32.into_iter().chain(more_32) {
        let directory = tree.join(directory);
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let path = directory.join(NAME);
        fs::write(&path, silent_library()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The bytes of an ELF file with one segment and no symbol.
fn silent_library() -> Vec<u8> {
    const EM_386: u16 = 3;
    const ET_DYN: u16 = 3;
    const HEADER_LEN: u32 = 52;
    const PROGRAM_HEADER_LEN: u32 = 32;
    const SYMBOLS: u32 = HEADER_LEN + 3 * PROGRAM_HEADER_LEN;
    const SYMBOL_LEN: u32 = 16;
    const HASHES: u32 = SYMBOLS + SYMBOL_LEN;
    const STRINGS: u32 = HASHES + 16;
    const STRINGS_LEN: u32 = 12;
    const DYNAMIC: u32 = STRINGS + STRINGS_LEN;
    // DT_SONAME, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_NULL.
    let dynamic =
        [[14, 1], [4, HASHES], [5, STRINGS], [6, SYMBOLS], [10, STRINGS_LEN], [11, SYMBOL_LEN], [0, 0]];
    let dynamic_len = dynamic.len() as u32 * 8;
    let len = DYNAMIC + dynamic_len;

    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |file: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    let words = |file: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    halves(&mut file, &[ET_DYN, EM_386]);
    // Version, no entry, program headers, no section headers, no flags.
    words(&mut file, &[1, 0, HEADER_LEN, 0, 0]);
    halves(&mut file, &[HEADER_LEN as u16, PROGRAM_HEADER_LEN as u16, 3, 40, 0, 0]);
    // PT_LOAD and PT_DYNAMIC, both readable and writable; PT_GNU_STACK, not executable.
    words(&mut file, &[1, 0, 0, 0, len, len, 6, 0x1000]);
    words(&mut file, &[2, DYNAMIC, DYNAMIC, DYNAMIC, dynamic_len, dynamic_len, 6, 4]);
    words(&mut file, &[0x6474_E551, 0, 0, 0, 0, 0, 6, 16]);
    // The symbol that every table begins with, and a hash table of one bucket.
    words(&mut file, &[0; SYMBOL_LEN as usize / 4]);
    words(&mut file, &[1, 1, 0, 0]);
    file.extend(b"\0libogrt.so\0");
    dynamic.iter().for_each(|entry| words(&mut file, entry));
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A program without gcc's own files: on Debian the 32-bit ones conflict with cross compilers.
    const PROGRAM: &str = "#include <stdio.h>\n#include <stdlib.h>\n\
        __attribute__((force_align_arg_pointer)) void _start(void) { puts(\"ran\"); exit(0); }\n";

    fn makes(folder: &Path, options: &[&str]) -> bool {
        let mut gcc = Command::new("gcc");
        gcc.args(options).args(["-nostartfiles", "-nodefaultlibs", "-o", "program", "program.c", "-lc"]);
        gcc.current_dir(folder).output().is_ok_and(|output| output.status.success())
    }

    /// 32-bit programs find the silent library, 64-bit ones the other, by one value of LD_PRELOAD.
    #[test]
    fn each_loader_finds_a_library_of_its_own_class() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("program.c"), PROGRAM).unwrap();
        fs::write(dir.path().join("empty.c"), "").unwrap();
        let lib = dir.path().join("lib");
        fs::create_dir(&lib).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(["-shared", "-nostdlib", "-o", "lib/libogrt.so", "empty.c"]);
        if !gcc.current_dir(dir.path()).status().is_ok_and(|status| status.success()) {
            println!("skipped: needs gcc");
            return;
        }
        install(&lib).unwrap();
        let preload = lib.join("ogrt/$LIB/libogrt.so");
        for options in [&["-m64"][..], &["-m32"], &["-m32", "-no-pie"]] {
            if !makes(dir.path(), options) {
                assert!(std::env::var_os("CI").is_none(), "gcc {options:?} makes no program");
                println!("skipped: gcc {options:?} makes no program");
                continue;
            }
            let mut program = Command::new(dir.path().join("program"));
            let output = program.env("LD_PRELOAD", &preload).output().unwrap();
            assert!(output.status.success(), "{options:?}: {output:?}");
            assert_eq!((&*output.stdout, &*output.stderr), (&b"ran\n"[..], &b""[..]), "{options:?}");
        }
        // musl takes the name as it stands.
        assert!(preload.is_file());
    }
}
