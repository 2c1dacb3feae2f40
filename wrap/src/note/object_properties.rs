//! What the note's object says about itself so that it changes no property of the output:
//! `.note.GNU-stack` and `.note.gnu.property`.
//!
//! Linkers combine the properties of all objects of a link: some by AND, some by OR, some are kept
//! only where every object has them, some must be equal. Our object copies those of another object
//! that is linked in whole. Every such rule leaves the result as it is when one operand is there
//! twice, so no rule has to be known here, nor the properties of a machine.
//!
//! An object without `.note.GNU-stack` makes GNU ld give the program an executable stack; one with
//! it makes a PT_GNU_STACK where there would be none. So this is copied as well.

use crate::elf_head::ElfIdentity;
use object::elf;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, ReadCache, ReadRef, SectionIndex};
use ogrt_note::ByteOrder;
use std::fs::File;

/// The longest `.note.gnu.property` that is copied. Compilers write less than a hundred bytes.
const PROPERTY_BYTES_MAX: usize = 4096;

/// The sections that say something about an object as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectProperties {
    /// There is a section `.note.GNU-stack`.
    pub has_stack_note: bool,
    /// The bytes of `.note.gnu.property`; empty if there is none.
    pub property: Vec<u8>,
}

impl ObjectProperties {
    /// Those of the object with these bytes. `None` for what is not an ELF object, and for one that
    /// the linker replaces by others (slim objects of link-time optimisation).
    pub fn of<'a, R: ReadRef<'a>>(object: R) -> Option<ObjectProperties> {
        match object::FileKind::parse(object).ok()? {
            object::FileKind::Elf32 => properties::<elf::FileHeader32<Endianness>, R>(object),
            object::FileKind::Elf64 => properties::<elf::FileHeader64<Endianness>, R>(object),
            _ => None,
        }
    }

    /// Those of an object that is not held in memory.
    pub fn of_file(file: &File) -> Option<ObjectProperties> {
        ObjectProperties::of(&ReadCache::new(file))
    }

    /// Properties for a link in which no object is known to be linked in whole: every AND feature
    /// of the machine, so that none is taken away.
    pub fn without_example(identity: &ElfIdentity) -> ObjectProperties {
        ObjectProperties { has_stack_note: true, property: every_and_feature(identity) }
    }
}

fn properties<'a, Elf, R>(object: R) -> Option<ObjectProperties>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let header = Elf::parse(object).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, object).ok()?;
    let names = header.shstrndx(endian, object).ok()?;
    let names = sections.section(SectionIndex(names as usize)).ok()?.data(endian, object).ok()?;
    let mut found = ObjectProperties { has_stack_note: false, property: Vec::new() };
    for section in sections.iter() {
        let name = names.get(section.sh_name(endian) as usize..).unwrap_or_default();
        if name.starts_with(b".note.GNU-stack\0") {
            found.has_stack_note = true;
        } else if name.starts_with(b".note.gnu.property\0") {
            found.property.extend_from_slice(section.data(endian, object).ok()?);
        } else if name.starts_with(b".gnu.lto_") {
            return None;
        }
    }
    (found.property.len() <= PROPERTY_BYTES_MAX).then_some(found)
}

/// The bytes of a `.note.gnu.property` with every AND feature; empty for a machine without them.
fn every_and_feature(identity: &ElfIdentity) -> Vec<u8> {
    const X86_FEATURE_1_AND: u32 = 0xc000_0002;
    const X86_IBT_SHSTK_LAM: u32 = 0b1111;
    const AARCH64_FEATURE_1_AND: u32 = 0xc000_0000;
    const AARCH64_BTI_PAC_GCS: u32 = 0b111;
    const NT_GNU_PROPERTY_TYPE_0: u32 = 5;

    let (property, features) = match elf::Machine(identity.machine) {
        elf::EM_386 | elf::EM_X86_64 => (X86_FEATURE_1_AND, X86_IBT_SHSTK_LAM),
        elf::EM_AARCH64 => (AARCH64_FEATURE_1_AND, AARCH64_BTI_PAC_GCS),
        _ => return Vec::new(),
    };
    let word = |value: u32| match identity.order {
        ByteOrder::Little => value.to_le_bytes(),
        ByteOrder::Big => value.to_be_bytes(),
    };
    // A property is padded to the word of its class.
    let padding: &[u8] = if identity.is_64 { &[0; 4] } else { &[] };
    let descriptor_len = 12 + padding.len() as u32;
    let mut note = Vec::new();
    for field in [4, descriptor_len, NT_GNU_PROPERTY_TYPE_0] {
        note.extend(word(field));
    }
    note.extend(b"GNU\0");
    for field in [property, 4, features] {
        note.extend(word(field));
    }
    note.extend(padding);
    note
}
