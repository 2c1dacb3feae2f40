//! What makes two ELF objects fit for one link: class, byte order, machine, flags, OS ABI.
//!
//! All is taken from the head of a file. An archive is represented by its first ELF member. Slim
//! LTO objects of gcc are ELF; LLVM bitcode is not, so nothing is known of it.

use crate::small_file;
use ogrt_note::ByteOrder;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The identity of an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElfIdentity {
    /// True for ELFCLASS64, false for ELFCLASS32.
    pub is_64: bool,
    /// The byte order (EI_DATA).
    pub order: ByteOrder,
    /// The operating system (EI_OSABI).
    pub os_abi: u8,
    /// The version of its interface (EI_ABIVERSION).
    pub abi_version: u8,
    /// The kind of file (e_type).
    pub file_type: u16,
    /// The machine (e_machine).
    pub machine: u16,
    /// The machine's flags (e_flags).
    pub flags: u32,
}

/// What the first bytes of a file show it to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// An ELF file.
    Elf(ElfIdentity),
    /// An archive, with its first ELF member.
    Archive(Option<FirstMember>),
    /// A thin archive.
    ThinArchive,
    /// LLVM bitcode.
    Bitcode,
    /// Text, which a linker reads as a script.
    Other,
    /// An object of another format: COFF, WebAssembly.
    Foreign,
}

/// The first ELF member of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstMember {
    /// The identity of the member.
    pub identity: ElfIdentity,
    /// The offset of its bytes in the archive.
    pub offset: u64,
    /// The number of its bytes.
    pub size: u64,
}

/// The members of an archive that are looked at: without ELF among them it counts as one without
/// ELF.
const MEMBERS_MAX: usize = 8;

/// Reads the head of a regular file. A pipe is refused: what we read from it, the linker would
/// miss.
pub fn head(path: &Path) -> std::io::Result<Head> {
    head_and_file(path).map(|(head, _)| head)
}

/// The head of a regular file, and the file.
pub fn head_and_file(path: &Path) -> std::io::Result<(Head, File)> {
    head_file_and_len(path).map(|(head, file, _)| (head, file))
}

/// The head of a regular file, the file, and the number of its bytes.
pub fn head_file_and_len(path: &Path) -> std::io::Result<(Head, File, u64)> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::ErrorKind::Unsupported.into());
    }
    let file = small_file::open(path)?;
    let head = head_of(&file);
    Ok((head, file, metadata.len()))
}

fn head_of(file: &File) -> Head {
    let mut start = [0u8; 68];
    let len = read_at_most(file, &mut start, 0);
    let start = &start[..len];
    if let Some(identity) = ElfIdentity::parse(start) {
        Head::Elf(identity)
    } else if start.starts_with(b"!<arch>\n") {
        Head::Archive(first_member(file))
    } else if start.starts_with(b"!<thin>\n") {
        Head::ThinArchive
    } else if start.starts_with(b"BC\xc0\xde") || start.starts_with(b"\xde\xc0\x17\x0b") {
        Head::Bitcode
    } else if start.contains(&0) {
        Head::Foreign
    } else {
        Head::Other
    }
}

impl ElfIdentity {
    /// Reads the first 52 or 64 bytes of a file (gABI, "ELF Header").
    pub fn parse(start: &[u8]) -> Option<ElfIdentity> {
        let &[0x7f, b'E', b'L', b'F', class, data, _, os_abi, abi_version, ..] = start else { return None };
        let is_64 = match class {
            1 => false,
            2 => true,
            _ => return None,
        };
        let order = match data {
            1 => ByteOrder::Little,
            2 => ByteOrder::Big,
            _ => return None,
        };
        let half = |at: usize| -> Option<u16> {
            let bytes = start.get(at..at + 2)?.try_into().ok()?;
            Some(match order {
                ByteOrder::Little => u16::from_le_bytes(bytes),
                ByteOrder::Big => u16::from_be_bytes(bytes),
            })
        };
        let flags_at = if is_64 { 48 } else { 36 };
        let flags = start.get(flags_at..flags_at + 4)?.try_into().ok()?;
        Some(ElfIdentity {
            is_64,
            order,
            os_abi,
            abi_version,
            file_type: half(16)?,
            machine: half(18)?,
            flags: match order {
                ByteOrder::Little => u32::from_le_bytes(flags),
                ByteOrder::Big => u32::from_be_bytes(flags),
            },
        })
    }

    /// The file is an object to link (ET_REL), not a shared object or a program.
    pub fn is_relocatable(&self) -> bool {
        self.file_type == 1
    }
}

fn first_member(file: &File) -> Option<FirstMember> {
    let mut offset = 8u64;
    for _ in 0..MEMBERS_MAX {
        let mut header = [0u8; 60 + 64];
        let len = read_at_most(file, &mut header, offset);
        let (header, start) = header[..len].split_at_checked(60)?;
        let size: u64 = std::str::from_utf8(&header[48..58]).ok()?.trim().parse().ok()?;
        if let Some(identity) = ElfIdentity::parse(start) {
            return Some(FirstMember { identity, offset: offset + 60, size });
        }
        offset = offset.checked_add(60)?.checked_add(size)?.checked_next_multiple_of(2)?;
    }
    None
}

fn read_at_most(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], offset + len as u64) {
            Ok(0) | Err(_) => break,
            Ok(read) => len += read,
        }
    }
    len
}
