//! The input that the note object takes after: its identity, and its place on the line.
//!
//! The first relocatable object that is linked in whole is best, and a driver names it first (`crt1.o`), so that
//! of a usual link two files are looked at before the linker starts. Only a line without one has all its inputs
//! resolved: then the first archive tells, or a shared object.

use crate::unmarked::Unmarked;
use ogrt_wrap::elf_head::{ElfIdentity, Head, head_and_file};
use ogrt_wrap::line::link_line::{LinkLine, Named, NamedInput};
use ogrt_wrap::line::resolve_inputs::resolve_inputs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the note object takes after.
pub struct Model<'a> {
    /// Copied into its header.
    pub identity: ElfIdentity,
    /// It is put behind this one.
    pub named: &'a NamedInput,
    /// The first object of the project itself, which tells the compiler, at its start: the C library's start files were made
    /// by another.
    pub compiled: Option<File>,
}

/// Finds the model of a line.
pub fn model_of(line: &LinkLine) -> Result<Model<'_>, Unmarked> {
    let mut first = None;
    for named in &line.inputs {
        let Named::File(path) = &named.named else { continue };
        let is_start_file = is_start_file(path);
        if is_start_file && first.is_some() {
            continue;
        }
        let Ok((Head::Elf(identity), file)) = head_and_file(path) else { continue };
        if !identity.is_relocatable() || !named.taken_whole {
            continue;
        }
        let (identity, named) = *first.get_or_insert((identity, named));
        if !is_start_file {
            return Ok(Model { identity, named, compiled: Some(file) });
        }
    }
    let (identity, named) = first.or_else(|| by_library(line)).ok_or(Unmarked::NoElfInput)?;
    Ok(Model { identity, named, compiled: None })
}

fn by_library(line: &LinkLine) -> Option<(ElfIdentity, &NamedInput)> {
    resolve_inputs(line).iter().find_map(|input| {
        let identity = match input.head {
            Head::Archive(member) => member?.identity,
            Head::Elf(identity) => identity,
            _ => return None,
        };
        Some((identity, line.inputs.get(input.named_by)?))
    })
}

fn is_start_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.ends_with(b"crt1.o") || name.starts_with(b"crt")
}
