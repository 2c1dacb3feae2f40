//! Our notes and the build-id of one ELF file.
//!
//! A linked file is read as the loader sees it, by its PT_NOTE segments; then the SHT_NOTE sections
//! are walked too, since an object file has no segments and objcopy adds notes that are in none.
//! Only headers and notes are read, never the whole file. Files are hostile: a table that reaches
//! beyond the end is an error that says so, and what is read for notes is bounded, however many
//! headers point at it.

use object::{
    Endianness,
    elf::{ET_DYN, ET_EXEC, FileHeader32, FileHeader64, PT_NOTE, SHT_NOTE},
    read::{
        FileKind, ReadCache, ReadRef,
        elf::{FileHeader, ProgramHeader, SectionHeader},
    },
};
use ogrt_note::{ByteOrder, Note, Signature, build_id, notes};
use ogrt_proto::BuildMetadata;
use prost::Message;
use std::{fs::File, io, path::Path};

/// The most bytes of notes that are read from one file. Real files hold a few KiB at most.
const NOTE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Our notes and the build-id of one ELF file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ElfNotes {
    /// Each note once, in file order. A file has several where marked objects were linked into it.
    pub build_notes: Vec<BuildNote>,
    /// The GNU build-id.
    pub build_id: Option<Vec<u8>>,
    /// True for an executable or a shared object, false for an object file.
    pub is_linked: bool,
}

/// One of our notes, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildNote {
    /// The UUID that names the build.
    pub signature: Signature,
    /// The version of the note's format: 1 for OGRT 0.5, 2 for ours.
    pub note_version: u8,
    /// The decoded metadata; `None` where the bytes are not a `BuildMetadata`.
    pub metadata: Option<BuildMetadata>,
}

/// An ELF file that was read, with or without notes of ours.
pub struct ElfFile {
    /// The name that the user, or the process, gives the file.
    pub name: String,
    pub notes: ElfNotes,
}

/// The reason why the notes of a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file could not be read.
    #[error("{}", without_number(.0))]
    Unreadable(io::Error),
    /// The path names a directory, a device or the like.
    #[error("not a regular file")]
    NotAFile,
    /// The file was read, and is something else.
    #[error("not an ELF file")]
    NotElf,
    /// A table in the ELF file is cut off or makes no sense.
    #[error("damaged ELF file: {0}")]
    Damaged(object::Error),
    /// A header points behind the last byte of the file.
    #[error("damaged ELF file: {0} lies beyond the end of the file")]
    Truncated(&'static str),
    /// The notes are far larger than any linker writes.
    #[error("damaged ELF file: more than {NOTE_BYTES_MAX} bytes of notes")]
    TooManyNotes,
}

/// Reads the notes of the file at `path`.
pub fn read(path: &Path) -> Result<ElfNotes, ElfError> {
    // This is asked before opening, since opening a FIFO waits for its writer.
    if !path.metadata()?.is_file() {
        return Err(ElfError::NotAFile);
    }
    parse(&ReadCache::new(File::open(path)?))
}

/// Reads the notes of an ELF file's bytes.
pub fn parse<'data>(file: impl ReadRef<'data>) -> Result<ElfNotes, ElfError> {
    match FileKind::parse(file) {
        Ok(FileKind::Elf32) => parse_class::<FileHeader32<Endianness>>(file),
        Ok(FileKind::Elf64) => parse_class::<FileHeader64<Endianness>>(file),
        _ => Err(ElfError::NotElf),
    }
}

fn parse_class<'data, Elf: FileHeader<Endian = Endianness>>(
    file: impl ReadRef<'data>,
) -> Result<ElfNotes, ElfError> {
    let header = Elf::parse(file)?;
    let endian = header.endian()?;
    let order = match endian {
        Endianness::Little => ByteOrder::Little,
        Endianness::Big => ByteOrder::Big,
    };
    let is_linked = matches!(header.e_type(endian), ET_EXEC | ET_DYN);
    let mut found = ElfNotes { is_linked, ..ElfNotes::default() };
    let mut bytes_left = NOTE_BYTES_MAX;
    let mut spend = |size: u64| bytes_left.checked_sub(size).map(|left| bytes_left = left);

    for segment in header.program_headers(endian, file)? {
        if segment.p_type(endian) == PT_NOTE {
            spend(segment.p_filesz(endian).into()).ok_or(ElfError::TooManyNotes)?;
            let bytes = segment.data(endian, file).map_err(|()| ElfError::Truncated("a PT_NOTE segment"))?;
            found.take(bytes, order, segment.p_align(endian).into());
        }
    }
    for section in header.section_headers(endian, file)? {
        if section.sh_type(endian) == SHT_NOTE {
            spend(section.sh_size(endian).into()).ok_or(ElfError::TooManyNotes)?;
            let bytes = section.data(endian, file).map_err(|_| ElfError::Truncated("an SHT_NOTE section"))?;
            found.take(bytes, order, section.sh_addralign(endian).into());
        }
    }
    Ok(found)
}

// The cause stands in each message already, so neither is a source that would be printed a second
// time.
impl From<io::Error> for ElfError {
    fn from(error: io::Error) -> Self {
        ElfError::Unreadable(error)
    }
}

impl From<object::Error> for ElfError {
    fn from(error: object::Error) -> Self {
        ElfError::Damaged(error)
    }
}

impl ElfNotes {
    fn take(&mut self, segment: &[u8], order: ByteOrder, alignment: u64) {
        for found in notes(segment, order, alignment) {
            let note = BuildNote::from(found);
            if !self.build_notes.contains(&note) {
                self.build_notes.push(note);
            }
        }
        if self.build_id.is_none() {
            self.build_id = build_id(segment, order, alignment).map(<[u8]>::to_vec);
        }
    }
}

impl From<Note<'_>> for BuildNote {
    fn from(note: Note<'_>) -> Self {
        BuildNote {
            signature: note.signature,
            note_version: note.version,
            metadata: BuildMetadata::decode(note.metadata).ok(),
        }
    }
}

/// The error's text without Rust's `(os error 2)`.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    const SIGNATURE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    /// An object file with a note of ours, and a distribution's program.
    static REAL_FILES: LazyLock<[Vec<u8>; 2]> =
        LazyLock::new(|| [marked_object(Endianness::Little), std::fs::read("/bin/true").unwrap()]);

    fn marked_object(endian: Endianness) -> Vec<u8> {
        let (architecture, order) = match endian {
            Endianness::Little => (object::Architecture::X86_64, ByteOrder::Little),
            Endianness::Big => (object::Architecture::S390x, ByteOrder::Big),
        };
        let metadata = BuildMetadata { name: Some("zlib".into()), ..Default::default() }.encode_to_vec();
        let mut note = vec![0; ogrt_note::encoded_len(metadata.len())];
        ogrt_note::encode(order, SIGNATURE.parse().unwrap(), &metadata, &mut note).unwrap();

        let mut file = write::Object::new(object::BinaryFormat::Elf, architecture, endian);
        let section = file.add_section(vec![], b".note.ogrt".to_vec(), object::SectionKind::Note);
        file.append_section_data(section, &note, 4);
        file.write().unwrap()
    }

    #[test]
    fn an_object_file_of_either_byte_order_is_read() {
        for endian in [Endianness::Little, Endianness::Big] {
            let found = parse(&*marked_object(endian)).unwrap();
            assert_eq!(found.build_notes.len(), 1);
            assert_eq!(found.build_notes[0].signature.to_string(), SIGNATURE);
            assert_eq!(found.build_notes[0].metadata.as_ref().unwrap().name(), "zlib");
        }
    }

    #[test]
    fn a_program_of_the_distribution_has_a_build_id_and_no_note() {
        let found = parse(&*REAL_FILES[1]).unwrap();
        assert_eq!(found.build_notes, []);
        assert_eq!(found.build_id.map(|id| id.len()), Some(20));
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_and_not_a_smaller_answer() {
        for whole in &*REAL_FILES {
            // The section headers come last in both, so every cut loses some of them.
            for end in (0..whole.len()).step_by(61) {
                assert!(parse(&whole[..end]).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn what_is_not_elf_is_named_so() {
        assert!(matches!(parse(&b"#!/bin/sh\nexit 0\n\n"[..]), Err(ElfError::NotElf)));
        assert!(matches!(parse(&b""[..]), Err(ElfError::NotElf)));
        assert!(matches!(read(Path::new("/dev/null")), Err(ElfError::NotAFile)));
        assert_eq!(read(Path::new("/nowhere")).unwrap_err().to_string(), "No such file or directory");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Bytes overwritten anywhere, most of them where the headers are.
        #[test]
        fn damage_never_panics(
            file in 0..2usize,
            cut in 0.0..=1.0f64,
            damage in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u64>()), 0..12),
        ) {
            let mut bytes = REAL_FILES[file].clone();
            bytes.truncate((bytes.len() as f64 * cut) as usize);
            for (in_header, at, value) in damage {
                let len = if in_header { bytes.len().min(1024) } else { bytes.len() };
                if len > 8 {
                    let at = at.index(len - 8);
                    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                }
            }
            let _ = parse(&*bytes);
            let _ = parse(&ReadCache::new(io::Cursor::new(bytes)));
        }
    }
}
