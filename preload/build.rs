//! The layout of the library. Most of what such a library costs is the loader's work, so the
//! loader gets little to do: two segments, no .bss, no GNU_RELRO page to protect, no library to
//! look for (`tests/preload/tests/shape.rs`).

use std::{env, error::Error, fs, path::PathBuf};

/// Nothing finds tables for unwinding at run time, since there is no header to them.
const DISCARD: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT BEFORE .text;\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let script = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("discard.ld");
    fs::write(&script, DISCARD)?;
    println!("cargo::rustc-cdylib-link-arg=-Wl,-T,{}", script.display());
    for argument in [
        // Nothing of the C library or of gcc: the constructor is ours and every symbol from libc is
        // weak.
        "-nostartfiles",
        "-nostdlib",
        // rust-lld, the default on x86_64, keeps constants in a segment of their own.
        "-fuse-ld=bfd",
        // Headers, text and constants in one R+E segment; everything writable in one RW segment.
        "-Wl,-z,noseparate-code",
        // The GOT holds a handful of data addresses and no code pointer is called through a PLT;
        // protecting it costs each process an mprotect and a split mapping.
        "-Wl,-z,norelro",
        "-Wl,-z,now",
        "-Wl,-z,noexecstack",
        // glibc runs our constructor before all others: a library whose constructor ends the
        // process does not hide it, and no thread of the program is there yet.
        "-Wl,-z,initfirst",
        // An unresolved symbol that is not weak must fail here and not in a user's process.
        "-Wl,-z,defs",
        "-Wl,--hash-style=gnu",
        "-Wl,-soname,libogrt.so",
        "-Wl,--no-eh-frame-hdr",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    Ok(())
}
