//! The members of a thin archive, which are files of their own: `ar rcT`, the default of Meson.
//!
//! The archive holds only their names, relative to its directory: short ones in the members'
//! headers, long ones in a table (binutils, "Thin archives").

use crate::elf_head::OpenedFile;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The largest archive that is read. It holds names and a table of symbols.
const ARCHIVE_BYTES_MAX: u64 = 64 * 1024 * 1024;

const MAGIC: &[u8] = b"!<thin>\n";
const HEADER_LEN: usize = 60;

/// The members' paths, each as the linker opens it.
pub fn members(archive: &Path, opened: &OpenedFile) -> Vec<PathBuf> {
    if opened.len > ARCHIVE_BYTES_MAX {
        return Vec::new();
    }
    let whole = opened.bytes().unwrap_or_default();
    let dir = archive.parent().unwrap_or(Path::new(""));
    names(&whole).iter().map(|name| dir.join(OsStr::from_bytes(name))).collect()
}

fn names(archive: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    let mut long_names: &[u8] = &[];
    let mut rest = archive.strip_prefix(MAGIC).unwrap_or_default();
    while let Some((header, after)) = rest.split_at_checked(HEADER_LEN) {
        let name = header[..16].trim_ascii_end();
        let size = std::str::from_utf8(&header[48..58]).ok().and_then(|size| size.trim().parse().ok());
        let Some(size): Option<usize> = size else { break };
        // Only tables lie in the archive itself: of symbols, and of long names.
        let is_table = matches!(name, b"/" | b"//" | b"/SYM64/");
        if is_table {
            let Some((table, after)) = after.split_at_checked(size) else { break };
            if name == b"//" {
                long_names = table;
            }
            rest = after.get(size % 2..).unwrap_or_default();
        } else {
            names.extend(member(name, long_names).filter(|name| !name.is_empty()));
            rest = after;
        }
    }
    names
}

/// The name of a member: `short.o/`, or `/OFFSET` in the table of long names, where it ends in
/// `/\n`. `/OFFSET:PLACE` is a member of another archive.
fn member<'a>(name: &'a [u8], long_names: &'a [u8]) -> Option<&'a [u8]> {
    let Some(offset) = name.strip_prefix(b"/") else { return Some(name.strip_suffix(b"/").unwrap_or(name)) };
    let offset = offset.split(|byte| *byte == b':').next()?;
    let offset: usize = std::str::from_utf8(offset).ok()?.parse().ok()?;
    let name = long_names.get(offset..)?.split(|byte| *byte == b'\n').next()?;
    Some(name.strip_suffix(b"/").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, size: usize) -> String {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "644")
    }

    #[test]
    fn names_are_read_from_headers_and_from_the_table() {
        let table = "a_long_name_of_a_member.o/\nsub/b.o/\n";
        let archive = format!(
            "!<thin>\n{}SYMS{}{table}{}{}{}",
            header("/", 4),
            header("//", table.len()),
            header("/0", 999),
            header("short.o/", 5),
            header("/27", 7)
        );
        let expected: [&[u8]; 3] = [b"a_long_name_of_a_member.o", b"short.o", b"sub/b.o"];
        assert_eq!(names(archive.as_bytes()), expected);
        for end in 0..archive.len() {
            assert!(names(&archive.as_bytes()[..end]).len() <= 3);
        }
        assert!(names(b"!<arch>\n").is_empty());
    }
}
