//! What makes two ELF objects fit for one link: class, byte order, machine, flags, OS ABI.
//!
//! All is taken from the head of a file. An archive is represented by its first ELF member. Slim
//! LTO objects of gcc are ELF; LLVM bitcode is not, so nothing is known of it.

use crate::small_file;
use ogrt_note::ByteOrder;
use std::borrow::Cow;
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

/// A file up to this size is read as a whole when its head is read: most of the files that a small
/// link names have fewer bytes.
const SMALL_BYTES_MAX: u64 = 8192;

/// The bytes that are read of a larger file. An ELF file has its program headers there, and most
/// have their notes.
const START_BYTES: usize = 1024;

/// The bytes that tell what a file is.
const HEAD_BYTES: usize = 68;

/// A regular file that was opened, with what was read of it at once.
#[derive(Debug)]
pub struct OpenedFile {
    /// What its first bytes show it to be.
    pub head: Head,
    /// The file, at its start.
    pub file: File,
    /// The number of its bytes.
    pub len: u64,
    /// Its first bytes.
    pub start: Vec<u8>,
}

impl OpenedFile {
    /// Opens a regular file. A pipe is refused: what we read from it, the linker would miss.
    pub fn open(path: &Path) -> std::io::Result<OpenedFile> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(std::io::ErrorKind::Unsupported.into());
        }
        let len = metadata.len();
        let file = small_file::open(path)?;
        let start = if len <= SMALL_BYTES_MAX {
            small_file::start(&file, len as usize)?
        } else {
            let mut start = vec![0; START_BYTES];
            let len = read_at_most(&file, &mut start, 0);
            start.truncate(len);
            start
        };
        let head = head_of(&start, &file);
        Ok(OpenedFile { head, file, len, start })
    }

    /// All bytes of a small file.
    pub fn whole(&self) -> Option<&[u8]> {
        (self.start.len() as u64 == self.len).then_some(&*self.start)
    }

    /// All bytes of a file that is small enough to be held in memory. It stays at its start.
    pub fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        match self.whole() {
            Some(whole) => Ok(Cow::Borrowed(whole)),
            None => small_file::start(&self.file, self.len as usize).map(Cow::Owned),
        }
    }
}

/// Reads the head of a regular file.
pub fn head(path: &Path) -> std::io::Result<Head> {
    OpenedFile::open(path).map(|opened| opened.head)
}

fn head_of(start: &[u8], file: &File) -> Head {
    let first_bytes = &start[..start.len().min(HEAD_BYTES)];
    if let Some(identity) = ElfIdentity::parse(first_bytes) {
        Head::Elf(identity)
    } else if start.starts_with(b"!<arch>\n") {
        Head::Archive(first_member(start, file))
    } else if start.starts_with(b"!<thin>\n") {
        Head::ThinArchive
    } else if start.starts_with(b"BC\xc0\xde") || start.starts_with(b"\xde\xc0\x17\x0b") {
        Head::Bitcode
    } else if first_bytes.contains(&0) {
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

fn first_member(start: &[u8], file: &File) -> Option<FirstMember> {
    let mut offset = 8u64;
    for _ in 0..MEMBERS_MAX {
        let mut read = [0u8; 60 + 64];
        let known = usize::try_from(offset).ok().and_then(|at| start.get(at..at + read.len()));
        let known = match known {
            Some(known) => known,
            None => {
                let len = read_at_most(file, &mut read, offset);
                &read[..len]
            }
        };
        let (header, member) = known.split_at_checked(60)?;
        let size: u64 = std::str::from_utf8(&header[48..58]).ok()?.trim().parse().ok()?;
        if let Some(identity) = ElfIdentity::parse(member) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of an x86_64 object.
    fn object() -> Vec<u8> {
        let mut object = vec![0; 64];
        object[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (object[16], object[18]) = (1, 62);
        object
    }

    fn archive(member_len: usize) -> Vec<u8> {
        let header = |name: &str, size: usize| {
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "644").into_bytes()
        };
        let mut member = object();
        member.resize(member_len, 0);
        [b"!<arch>\n".to_vec(), header("/", 6), vec![7; 6], header("a.o/", member_len), member].concat()
    }

    #[test]
    fn a_small_file_is_read_as_a_whole_and_a_large_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for len in [64, 1000, SMALL_BYTES_MAX as usize, SMALL_BYTES_MAX as usize + 1, 100_000] {
            let mut content = object();
            content.resize(len, 3);
            for content in [content, archive(len)] {
                std::fs::write(&path, &content).unwrap();
                let opened = OpenedFile::open(&path).unwrap();
                let is_small = content.len() as u64 <= SMALL_BYTES_MAX;
                assert_eq!(opened.whole(), is_small.then_some(&*content));
                assert_eq!(opened.start, content[..opened.start.len()]);
                assert_eq!(opened.len, content.len() as u64);
                match opened.head {
                    Head::Elf(identity) => assert!(identity.is_relocatable() && identity.machine == 62),
                    Head::Archive(Some(member)) => {
                        assert_eq!((member.offset, member.size), (134, len as u64));
                        assert!(member.identity.is_relocatable());
                    }
                    other => panic!("{other:?}"),
                }
                // Whoever reads on begins at the start.
                assert_eq!(small_file::rest(&opened.file, content.len()).unwrap(), content);
            }
        }
        std::fs::write(&path, "").unwrap();
        let empty = OpenedFile::open(&path).unwrap();
        assert_eq!((empty.head, empty.whole()), (Head::Other, Some(&[][..])));
        assert!(OpenedFile::open(dir.path()).is_err());
    }
}
