//! The object that carries the note into the link: no code, no symbols, and one section,
//! `.note.ogrt`, allocated, so that it ends up in a PT_NOTE segment.
//!
//! Two more sections say nothing new: they are those that another object of the link has (see
//! `object_properties.rs`).

use crate::elf_head::ElfIdentity;
use crate::note::object_properties::ObjectProperties;
use object::elf;
use object::write::elf::{FileHeader, SectionHeader, Writer};
use ogrt_note::{ByteOrder, EncodeError, Signature};

/// Why the object could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NoteObjectError {
    /// The metadata are too long for a note.
    #[error("cannot make the note: {0}")]
    Encode(#[from] EncodeError),
    /// The object file could not be written.
    #[error("cannot make the object file of the note: {0}")]
    Write(#[from] object::write::Error),
}

/// A relocatable object that fits a link with objects of this identity.
pub fn note_object(
    identity: &ElfIdentity,
    properties: &ObjectProperties,
    signature: Signature,
    metadata: &[u8],
) -> Result<Vec<u8>, NoteObjectError> {
    let mut note = vec![0; ogrt_note::encoded_len(metadata.len())];
    ogrt_note::encode(identity.order, signature, metadata, &mut note)?;
    let ObjectProperties { has_stack_note, property } = properties;

    let mut bytes = Vec::new();
    let endian = match identity.order {
        ByteOrder::Little => object::Endianness::Little,
        ByteOrder::Big => object::Endianness::Big,
    };
    let mut writer = Writer::new(endian, identity.is_64, &mut bytes);
    let word_size = if identity.is_64 { 8 } else { 4 };

    writer.reserve_file_header();
    let note_at = writer.reserve(note.len() as u64, ogrt_note::ALIGNMENT);
    let property_at = writer.reserve(property.len() as u64, word_size);
    writer.reserve_null_section_index();
    let note_name = writer.add_section_name(ogrt_note::SECTION.as_bytes());
    let stack_name = has_stack_note.then(|| writer.add_section_name(b".note.GNU-stack"));
    let property_name = (!property.is_empty()).then(|| writer.add_section_name(b".note.gnu.property"));
    for _ in std::iter::once(note_name).chain(stack_name).chain(property_name) {
        writer.reserve_section_index();
    }
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    writer.write_file_header(&FileHeader {
        os_abi: elf::OsAbi(identity.os_abi),
        abi_version: identity.abi_version,
        e_type: elf::ET_REL,
        e_machine: elf::Machine(identity.machine),
        e_entry: 0,
        e_flags: elf::FileFlags(identity.flags),
    })?;
    writer.write_align(ogrt_note::ALIGNMENT);
    writer.write(&note);
    writer.write_align(word_size);
    writer.write(property);
    writer.write_shstrtab();
    writer.write_null_section_header();
    let section = |name, kind, flags, at, len: usize, alignment| SectionHeader {
        sh_name: name,
        sh_type: kind,
        sh_flags: flags,
        sh_addr: 0,
        sh_offset: at,
        sh_size: len as u64,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: alignment,
        sh_entsize: 0,
    };
    let none = elf::SectionFlags(0);
    let name = writer.section_name_offset(Some(note_name));
    writer.write_section_header(&section(
        name,
        elf::SHT_NOTE,
        elf::SHF_ALLOC,
        note_at,
        note.len(),
        ogrt_note::ALIGNMENT,
    ));
    if stack_name.is_some() {
        let name = writer.section_name_offset(stack_name);
        writer.write_section_header(&section(name, elf::SHT_PROGBITS, none, property_at, 0, 1));
    }
    if property_name.is_some() {
        let name = writer.section_name_offset(property_name);
        writer.write_section_header(&section(
            name,
            elf::SHT_NOTE,
            elf::SHF_ALLOC,
            property_at,
            property.len(),
            word_size,
        ));
    }
    writer.write_shstrtab_section_header();
    Ok(bytes)
}
