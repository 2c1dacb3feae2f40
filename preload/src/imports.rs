//! Tells whether a program may lock itself in by a seccomp filter that kills at the first
//! unexpected system call.
//!
//! A process can learn only by a system call that it has a filter, and any call may be the one that
//! kills. So nothing is sent at the end of a program that is able to install a filter: one that
//! imports `prctl` (a filter needs `prctl(PR_SET_NO_NEW_PRIVS)`), or that is loaded with libseccomp
//! (`a_program_that_may_lock_itself_in_is_left_alone_at_its_end`).

use crate::loaded_object::{DynamicEntry, LoadedObject};

const DT_HASH: i64 = 4;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_STRSZ: i64 = 10;
const DT_GNU_HASH: i64 = 0x6FFF_FEF5;

/// Tells whether this is a library that installs filters.
pub fn is_sandbox_library(name: &[u8]) -> bool {
    let file_name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    file_name.starts_with(b"libseccomp.so")
}

/// Tells whether the object imports a function of that name.
pub fn imports(object: &LoadedObject, function: &[u8]) -> bool {
    let Some(tables) = Tables::of(object) else { return false };
    (1..tables.undefined_end).any(|index| tables.name_is(index, function))
}

/// The tables of dynamic symbols, as addresses inside the object.
struct Tables<'a> {
    object: &'a LoadedObject,
    symbols: usize,
    strings: usize,
    strings_len: usize,
    /// Undefined symbols come before this one, because GNU hash tables leave them out; else the end
    /// of the table.
    undefined_end: u32,
}

impl<'a> Tables<'a> {
    fn of(object: &'a LoadedObject) -> Option<Self> {
        let value = |tag| {
            object.dynamic().iter().find(|entry: &&DynamicEntry| entry.tag == tag).map(|entry| entry.value)
        };
        // glibc replaces the file's offsets by addresses, musl does not.
        let address = |tag| value(tag).map(|at| if at < object.base { at + object.base } else { at });
        let undefined_end = match address(DT_GNU_HASH) {
            // Number of buckets, first hashed symbol, ...
            Some(table) => object.word(table.checked_add(4)?)?,
            // Number of buckets, number of symbols, ...
            None => object.word(address(DT_HASH)?.checked_add(4)?)?,
        };
        Some(Tables {
            object,
            symbols: address(DT_SYMTAB)?,
            strings: address(DT_STRTAB)?,
            strings_len: value(DT_STRSZ)?,
            undefined_end,
        })
    }

    fn name_is(&self, index: u32, name: &[u8]) -> bool {
        const SYMBOL_LEN: usize = 24;
        let name_at =
            self.symbols.checked_add(index as usize * SYMBOL_LEN).and_then(|at| self.object.word(at));
        let Some(at) = name_at.map(|at| at as usize) else { return false };
        if at.saturating_add(name.len()) >= self.strings_len {
            return false;
        }
        let start = self.strings.wrapping_add(at);
        self.object.bytes(start, name.len() + 1).is_some_and(|found| found.strip_prefix(name) == Some(&[0]))
    }
}
