//! How a note object of ours is named on a line: by the descriptor of a memory file, or as a
//! temporary file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The descriptor's number, if it is free. It is high, so that redirections and jobservers do not
/// use it.
pub const DESCRIPTOR: i32 = 199;

/// The beginning of the name of a temporary file; the name ends in `.o`.
pub const DISK_PREFIX: &str = "ogrt-note-";

/// The name of a memory file for the linker.
pub fn memory_name() -> String {
    format!("/proc/self/fd/{DESCRIPTOR}")
}

/// The word names a note object of ours, so another of our wrappers has marked the link already.
pub fn is_ours(word: &OsStr) -> bool {
    let name = Path::new(word).file_name().unwrap_or_default().as_bytes();
    word == OsStr::new(&memory_name()) || (name.starts_with(DISK_PREFIX.as_bytes()) && name.ends_with(b".o"))
}
