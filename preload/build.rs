//! The layout of what is linked here: of the library, or of the code for static programs.

use std::{env, error::Error, fs, path::PathBuf};

/// Nothing finds tables for unwinding at run time, since there is no header to them.
const DISCARD: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT BEFORE .text;\n";

/// The code for static programs is one piece, its entry in front and its constants behind. So
/// nothing in it depends on where a program's linker puts it, and no symbol is left of it.
/// `xtask/src/static_object/mod.rs` takes the piece out, and refuses data that can be written.
const ONE_PIECE: &str = "SECTIONS {
    .ogrt.code : ALIGN(16) { KEEP(*(.text.ogrt_entry)) *(.text .text.*) }
    .ogrt.constants : { *(.rodata .rodata.*) }
    /DISCARD/ : { *(.eh_frame) }
}
";

/// What both have in common.
const LINK: [&str; 9] = [
    // Nothing of the C library or of gcc: the constructor is ours and every symbol from libc is
    // weak.
    "-nostartfiles",
    "-nostdlib",
    // rust-lld, the default on x86_64, keeps constants in a segment of their own.
    "-fuse-ld=bfd",
    // The GOT holds a handful of data addresses and no code pointer is called through a PLT;
    // protecting it costs each process an mprotect and a split mapping.
    "-Wl,-z,norelro",
    "-Wl,-z,now",
    "-Wl,-z,noexecstack",
    // An unresolved symbol that is not weak must fail here and not in a user's process.
    "-Wl,-z,defs",
    "-Wl,--hash-style=gnu",
    "-Wl,--no-eh-frame-hdr",
];

/// The layout of the library. Most of what such a library costs is the loader's work, so the loader
/// gets little to do: two segments, no .bss, no GNU_RELRO page to protect, no library to look for
/// (`tests/preload/tests/shape.rs`).
const LIBRARY: [&str; 3] = [
    // Headers, text and constants in one R+E segment; everything writable in one RW segment.
    "-Wl,-z,noseparate-code",
    // glibc runs our constructor before all others: a library whose constructor ends the process
    // does not hide it, and no thread of the program is there yet.
    "-Wl,-z,initfirst",
    "-Wl,-soname,libogrt.so",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let is_static = env::var_os("CARGO_FEATURE_STATIC").is_some();
    let (layout, more) =
        if is_static { (ONE_PIECE, &["-Wl,-e,ogrt_static_entry"][..]) } else { (DISCARD, &LIBRARY[..]) };
    let script = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("layout.ld");
    fs::write(&script, layout)?;
    println!("cargo::rustc-cdylib-link-arg=-Wl,-T,{}", script.display());
    for argument in LINK.iter().chain(more) {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    Ok(())
}
