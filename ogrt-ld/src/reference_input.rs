//! The input whose format the note's object copies, and behind which it stands on the line.
//!
//! The first relocatable object that is linked in whole is best, and a driver names it first
//! (`crt1.o`), so that of a usual link two files are looked at before the linker starts. Only a
//! line without one has all its inputs resolved: then the first archive tells, or a shared object.

use crate::not_marked::MarkError;
use ogrt_wrap::elf_head::{ElfIdentity, Head, head_and_file};
use ogrt_wrap::line::link_line::{InputName, LinkLine, NamedInput};
use ogrt_wrap::line::resolve_inputs::resolve_inputs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The input whose format the note's object copies.
pub struct ReferenceInput<'a> {
    /// The format.
    pub identity: ElfIdentity,
    /// The input on the line.
    pub named: &'a NamedInput,
    /// The first object of the project itself, open at its start. It tells the compiler: the C
    /// library's start files were made by another.
    pub compiled: Option<File>,
}

/// Finds the reference input of a line.
pub fn reference_input(line: &LinkLine) -> Result<ReferenceInput<'_>, MarkError> {
    let mut first = None;
    for named in &line.inputs {
        let InputName::File(path) = &named.name else { continue };
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
            return Ok(ReferenceInput { identity, named, compiled: Some(file) });
        }
    }
    let (identity, named) = first.or_else(|| first_library(line)).ok_or(MarkError::NoElfInput)?;
    Ok(ReferenceInput { identity, named, compiled: None })
}

fn first_library(line: &LinkLine) -> Option<(ElfIdentity, &NamedInput)> {
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
