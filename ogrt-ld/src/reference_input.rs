//! The input whose format and properties the note's object copies, and beside which it stands on
//! the line.
//!
//! The first relocatable object that is linked in whole is best, and a driver names it first
//! (`crt1.o`), so that of a usual link two files are looked at before the linker starts. Only a
//! line without one has all its inputs resolved: then the first archive tells, or a shared object.
//! A line that names an object of another format is not a link for us, and nothing is looked for in
//! the system's directories, where an unrelated library may have the name.

use crate::not_marked::MarkError;
use ogrt_wrap::elf_head::{ElfIdentity, Head, OpenedFile};
use ogrt_wrap::line::emulation;
use ogrt_wrap::line::link_line::{InputName, LinkLine, NamedInput, is_start_file};
use ogrt_wrap::line::resolve_inputs::resolve_inputs;
use ogrt_wrap::memory_file::MemoryFile;
use ogrt_wrap::note::object_properties::ObjectProperties;
use ogrt_wrap::record::compilers;

/// An object up to this size is read in one piece.
const SMALL_BYTES_MAX: u64 = 256 * 1024;

/// The input whose format the note's object copies.
pub struct ReferenceInput<'a> {
    /// The format.
    pub identity: ElfIdentity,
    /// The input on the line.
    pub named: &'a NamedInput,
    /// What it says about itself as a whole.
    pub properties: ObjectProperties,
    /// The compiler of the first object of the project itself, in a few words: the C library's
    /// start files were made by another.
    pub compiler: Option<String>,
}

/// Finds the reference input of a line.
pub fn reference_input(line: &LinkLine) -> Result<ReferenceInput<'_>, MarkError> {
    let mut first: Option<ReferenceInput<'_>> = None;
    for named in line.inputs.iter().filter(|named| named.taken_whole) {
        let InputName::File(path) = &named.name else { continue };
        let is_start_file = is_start_file(path);
        if is_start_file && first.is_some() {
            continue;
        }
        let Ok(opened) = OpenedFile::open(path) else { continue };
        let identity = match opened.head {
            Head::Elf(identity) if identity.is_relocatable() => identity,
            Head::Foreign => return Err(MarkError::ForeignObject(path.clone())),
            _ => continue,
        };
        match first {
            Some(first) => return Ok(ReferenceInput { compiler: compilers::short_name(opened), ..first }),
            None => {
                let (properties, compiler) = look_into(opened);
                let properties = properties.unwrap_or_else(|| ObjectProperties::without_example(&identity));
                let found = ReferenceInput { identity, named, properties, compiler };
                if !is_start_file {
                    return Ok(found);
                }
                first = Some(ReferenceInput { compiler: None, ..found });
            }
        }
    }
    first.or_else(|| first_library(line)).ok_or(MarkError::NoElfInput)
}

/// The properties of an object, and its compiler.
fn look_into(opened: OpenedFile) -> (Option<ObjectProperties>, Option<String>) {
    if opened.len > SMALL_BYTES_MAX {
        return (ObjectProperties::of_file(&opened.file), compilers::short_name(opened));
    }
    let bytes = opened.bytes().unwrap_or_default();
    (ObjectProperties::of(MemoryFile(&bytes)), compilers::short_name_in(&bytes))
}

fn first_library(line: &LinkLine) -> Option<ReferenceInput<'_>> {
    resolve_inputs(line).iter().find_map(|input| {
        let identity = match input.head {
            Head::Archive(member) => member?.identity,
            Head::Elf(identity) => identity,
            _ => return None,
        };
        let fits = line.emulation.as_ref().and_then(|emulation| emulation.to_str());
        if !fits.is_none_or(|name| emulation::takes(name, &identity)) {
            return None;
        }
        let named = line.inputs.get(input.named_by)?;
        let properties = ObjectProperties::without_example(&identity);
        Some(ReferenceInput { identity, named, properties, compiler: None })
    })
}
