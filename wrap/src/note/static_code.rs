//! libogrt's own code for static programs, joined with the note's object.
//!
//! The installation has one object for each machine (`xtask/src/static_object/mod.rs` makes it). It
//! goes into a link as one file with the note. So what holds for the note's object holds for both:
//! the properties that it copies, its place on the line, and the second run if a link fails.

use crate::elf_head::{ElfIdentity, Head, OpenedFile};
use object::elf::{self, FileHeader64, SectionHeader64};
use object::pod::{bytes_of, bytes_of_slice, from_bytes};
use object::read::elf::FileHeader;
use object::{LittleEndian, U32, U64};
use std::path::Path;

/// Bytes of the longest object that is read. Ours has less than 20 KiB.
const BYTES_MAX: u64 = 64 * 1024;

/// The machines for which there can be an object, each with the name in its file's name.
const MACHINES: [(elf::Machine, &str); 2] = [(elf::EM_X86_64, "x86_64"), (elf::EM_AARCH64, "aarch64")];

/// Systems whose programs make Linux's system calls, by EI_OSABI: objects seldom say more than
/// System V.
const LINUX: [elf::OsAbi; 2] = [elf::ELFOSABI_SYSV, elf::ELFOSABI_GNU];

const LE: LittleEndian = LittleEndian;

/// An object with the code.
#[derive(Debug)]
pub struct StaticCode(Vec<u8>);

impl StaticCode {
    /// The code for a link with objects like this, from the installation under `prefix`.
    pub fn find(prefix: &Path, identity: &ElfIdentity) -> Option<StaticCode> {
        let (_, name) = MACHINES.iter().find(|(machine, _)| machine.0 == identity.machine)?;
        let path = prefix.join(format!("lib/ogrt/static-{name}.o"));
        let opened = OpenedFile::open(&path).ok()?;
        let Head::Elf(found) = opened.head else { return None };
        let fits = found == ElfIdentity { os_abi: 0, abi_version: 0, ..*identity };
        let is_linux = LINUX.iter().any(|system| system.0 == identity.os_abi);
        if !fits || !is_linux || opened.len > BYTES_MAX {
            return None;
        }
        opened.bytes().ok().map(|bytes| StaticCode(bytes.into_owned()))
    }

    /// The code and what is in the note's object, as one object. `None` if this is not an object
    /// of ours.
    pub fn with_note(&self, note_object: &[u8]) -> Option<Vec<u8>> {
        let code: &[u8] = &self.0;
        let (header, _) = from_bytes::<FileHeader64<LittleEndian>>(code).ok()?;
        let (note_header, _) = from_bytes::<FileHeader64<LittleEndian>>(note_object).ok()?;
        let table_at = header.e_shoff.get(LE) as usize;
        let mut table = header.section_headers(LE, code).ok()?.to_vec();
        let names_index = header.shstrndx(LE, code).ok()? as usize;
        let mut names = bytes_of_section(table.get(names_index)?, code)?.to_vec();
        // The table is the last piece of the file.
        let mut joined = code.get(..table_at)?.to_vec();

        let note_table = note_header.section_headers(LE, note_object).ok()?;
        let note_names_index = note_header.shstrndx(LE, note_object).ok()? as usize;
        let note_names = bytes_of_section(note_table.get(note_names_index)?, note_object)?;
        let are_notes =
            |(index, _): &(usize, &SectionHeader64<LittleEndian>)| *index != 0 && *index != note_names_index;
        for (_, section) in note_table.iter().enumerate().filter(are_notes) {
            let name = note_names.get(section.sh_name.get(LE) as usize..)?.split(|byte| *byte == 0).next()?;
            let (name_at, bytes) = (names.len() as u32, bytes_of_section(section, note_object)?);
            names.extend_from_slice(name);
            names.push(0);
            pad(&mut joined, section.sh_addralign.get(LE) as usize);
            let offset = joined.len() as u64;
            joined.extend_from_slice(bytes);
            table.push(SectionHeader64 {
                sh_name: U32::new(LE, name_at),
                sh_offset: U64::new(LE, offset),
                ..*section
            });
        }
        let names_header = table.get_mut(names_index)?;
        names_header.sh_offset = U64::new(LE, joined.len() as u64);
        names_header.sh_size = U64::new(LE, names.len() as u64);
        joined.extend_from_slice(&names);
        pad(&mut joined, size_of::<u64>());
        let mut header = *header;
        header.e_ident = note_header.e_ident;
        header.e_shoff = U64::new(LE, joined.len() as u64);
        header.e_shnum.set(LE, table.len() as u16);
        joined.extend_from_slice(bytes_of_slice(&table));
        joined.get_mut(..size_of_val(&header))?.copy_from_slice(bytes_of(&header));
        Some(joined)
    }
}

fn bytes_of_section<'a>(section: &SectionHeader64<LittleEndian>, object: &'a [u8]) -> Option<&'a [u8]> {
    let start = section.sh_offset.get(LE) as usize;
    object.get(start..start.checked_add(section.sh_size.get(LE) as usize)?)
}

fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment.max(1)), 0);
}
