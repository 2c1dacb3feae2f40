//! One file described: digest, size, kind, and what an ELF file says of itself.
//!
//! Files are not mapped, and large ones are read in pieces: an input may have gigabytes, and may be
//! replaced while we read it. What cannot be read is left out of the description, so that it is
//! shorter, not wrong.

use crate::elf_head::{Head, OpenedFile};
use crate::line::resolve_inputs::{OpenedInput, ResolvedInput};
use crate::memory_file::MemoryFile;
use crate::record::compilers::{self, ObjectOrigin};
use crate::record::digest::{gitoid_of, sha256, sha256_and_gitoid, sha256_of};
use crate::record::digest_cache::{CacheEntry, DigestCache};
use crate::record::loaded_parts;
use crate::record::needed_libraries::NeededLibraries;
use crate::small_file;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use ogrt_note::ByteOrder;
use ogrt_proto::{FileKind, Input, LoadedParts, Output};
use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest input that is held in memory.
const WHOLE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The largest output that is held in memory, and for whose digest a build may wait.
pub const OUTPUT_WHOLE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// The largest PT_NOTE segment that is read.
const NOTES_BYTES_MAX: u64 = 1024 * 1024;

/// What a linked file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The signatures in its notes.
    pub signatures: Vec<[u8; 16]>,
    /// The GNU build-id.
    pub build_id: Option<Vec<u8>>,
    /// The file is a position-independent executable (DF_1_PIE), although its header says shared
    /// object.
    pub is_pie: bool,
}

/// An input for the record, with OmniBOR's id if `gitoids` is set, and the compiler that made it.
pub fn input(file: &OpenedInput, cache: &DigestCache, gitoids: bool) -> (Input, Option<String>) {
    let OpenedInput { input, opened } = file;
    match opened {
        Some(opened) => opened_input(input, opened, cache, gitoids),
        None => {
            let known = std::fs::metadata(&input.path)
                .map(|metadata| known_input(&metadata, cache.get(&metadata).as_ref(), gitoids));
            let described = known.and_then(|known| match known {
                Some(known) => Ok(known),
                None => look_into(input, &OpenedFile::open(&input.path)?, cache, gitoids),
            });
            as_recorded(input, described)
        }
    }
}

/// An input that is open already.
pub fn opened_input(
    file: &ResolvedInput,
    opened: &OpenedFile,
    cache: &DigestCache,
    gitoids: bool,
) -> (Input, Option<String>) {
    as_recorded(file, look_into(file, opened, cache, gitoids))
}

/// An input that could not be opened.
pub fn unreadable_input(file: &ResolvedInput) -> (Input, Option<String>) {
    as_recorded(file, Ok(Default::default()))
}

/// The inputs whose digests are not in the cache have more bytes than this.
pub fn are_more_to_hash(inputs: &[OpenedInput], cache: &DigestCache, bytes: u64) -> bool {
    let len = |input: &OpenedInput| match &input.opened {
        Some(opened) => Some(opened.len),
        None => std::fs::metadata(&input.input.path).ok().map(|metadata| metadata.len()),
    };
    let all: u64 = inputs.iter().filter_map(len).sum();
    let to_hash = |input: &OpenedInput| {
        let metadata = match &input.opened {
            Some(opened) => opened.file.metadata(),
            None => std::fs::metadata(&input.input.path),
        };
        let metadata = metadata.ok()?;
        cache.get(&metadata).is_none().then_some(metadata.len())
    };
    // Most links have so few bytes that nothing has to be looked up.
    all > bytes && inputs.iter().filter_map(to_hash).sum::<u64>() > bytes
}

fn as_recorded(
    file: &ResolvedInput,
    described: std::io::Result<(Input, Option<String>)>,
) -> (Input, Option<String>) {
    let (mut input, producer) = described.unwrap_or_default();
    input.path = Some(file.path.as_os_str().as_bytes().to_vec().into());
    input.kind.get_or_insert(kind(file.head, file.is_script) as i32);
    (input, producer)
}

/// What the cache tells of an input, if nothing of it has to be read.
fn known_input(
    metadata: &Metadata,
    remembered: Option<&CacheEntry>,
    gitoids: bool,
) -> Option<(Input, Option<String>)> {
    let Some(CacheEntry { digest, making: Some(making) }) = remembered.filter(|_| !gitoids) else {
        return None;
    };
    Some(made_like(making.clone(), Input { size: Some(metadata.len()), ..hashed(digest) }))
}

fn look_into(
    file: &ResolvedInput,
    opened: &OpenedFile,
    cache: &DigestCache,
    gitoids: bool,
) -> std::io::Result<(Input, Option<String>)> {
    if let Some(bytes) = opened.whole() {
        // It has no place in the cache.
        return Ok(in_memory(file.head, bytes, sha256_of(bytes), gitoids));
    }
    // The path may have led to another file before it was opened.
    let metadata = opened.file.metadata()?;
    let remembered = cache.get(&metadata);
    if let Some(known) = known_input(&metadata, remembered.as_ref(), gitoids) {
        return Ok(known);
    }
    let remembered = remembered.map(|remembered| remembered.digest);
    let is_object = matches!(file.head, Head::Elf(identity) if identity.is_relocatable());
    if is_object && metadata.len() <= WHOLE_BYTES_MAX {
        // Most inputs are small: they are read once, and hashed and parsed in memory.
        let bytes = small_file::rest(&opened.file, metadata.len() as usize)?;
        let digest = remembered.unwrap_or_else(|| sha256_of(&bytes));
        let making = making_of(MemoryFile(&bytes));
        cache.put(&metadata, &digest, Some(&making));
        let gitoid = gitoids.then(|| gitoid_of(&bytes).to_vec().into());
        return Ok(made_like(making, Input { size: Some(bytes.len() as u64), gitoid, ..hashed(&digest) }));
    }
    let mut whole = &opened.file;
    let digest = remembered.map_or_else(|| sha256(whole).map(|(digest, _)| digest), Ok)?;
    let mut input = Input { size: Some(metadata.len()), ..hashed(&digest) };
    if gitoids {
        whole.rewind()?;
        let both = sha256_and_gitoid(whole, metadata.len()).ok();
        input.gitoid = both.map(|(_, gitoid)| gitoid.to_vec().into());
    }
    let making = match file.head {
        Head::Elf(identity) if identity.is_relocatable() => making_of(&ReadCache::new(whole)),
        Head::Elf(_) => {
            let notes = notes_at_start(&opened.start).map_or_else(|| notes(whole), Ok);
            add_notes(&mut input, notes.unwrap_or_default());
            if remembered.is_none() {
                cache.put(&metadata, &digest, None);
            }
            return Ok((input, None));
        }
        Head::Archive(Some(member)) if member.size <= WHOLE_BYTES_MAX => {
            let mut bytes = vec![0; member.size as usize];
            whole.read_exact_at(&mut bytes, member.offset)?;
            ObjectOrigin { is_slim_lto: false, producer: compilers::producer(MemoryFile(&bytes)) }
        }
        Head::Bitcode | Head::Archive(None) => {
            // An archive whose first members are not ELF holds bitcode.
            let mut bytes = Vec::new();
            whole.rewind()?;
            whole.take(WHOLE_BYTES_MAX).read_to_end(&mut bytes)?;
            ObjectOrigin { is_slim_lto: false, producer: compilers::bitcode_producer(&bytes) }
        }
        _ => ObjectOrigin::default(),
    };
    cache.put(&metadata, &digest, Some(&making));
    Ok(made_like(making, input))
}

/// An input of which all bytes are in memory.
fn in_memory(head: Head, bytes: &[u8], digest: [u8; 32], gitoids: bool) -> (Input, Option<String>) {
    let gitoid = gitoids.then(|| gitoid_of(bytes).to_vec().into());
    let mut input = Input { size: Some(bytes.len() as u64), gitoid, ..hashed(&digest) };
    let producer = match head {
        Head::Elf(identity) if identity.is_relocatable() => {
            return made_like(making_of(MemoryFile(bytes)), input);
        }
        Head::Elf(_) => {
            add_notes(&mut input, notes_in(MemoryFile(bytes)).unwrap_or_default());
            None
        }
        Head::Archive(Some(member)) => {
            let rest = usize::try_from(member.offset).ok().and_then(|at| bytes.get(at..));
            let member = rest.and_then(|rest| rest.get(..usize::try_from(member.size).ok()?));
            member.and_then(|member| compilers::producer(MemoryFile(member)))
        }
        Head::Bitcode | Head::Archive(None) => compilers::bitcode_producer(bytes),
        Head::ThinArchive | Head::Other | Head::Foreign => None,
    };
    (input, producer)
}

fn add_notes(input: &mut Input, notes: Notes) {
    input.signatures = notes.signatures.iter().map(|signature| signature.to_vec().into()).collect();
    input.build_id = notes.build_id.map(Into::into);
}

fn hashed(digest: &[u8; 32]) -> Input {
    Input { sha256: Some(digest.to_vec().into()), ..Input::default() }
}

fn made_like(making: ObjectOrigin, mut input: Input) -> (Input, Option<String>) {
    if making.is_slim_lto {
        input.kind = Some(FileKind::LtoObject as i32);
    }
    (input, making.producer)
}

fn making_of<'a, R: ReadRef<'a>>(object: R) -> ObjectOrigin {
    ObjectOrigin { is_slim_lto: compilers::is_slim_lto(object), producer: compilers::producer(object) }
}

/// An output whose digest is not made yet.
#[derive(Debug)]
pub struct OutputFacts {
    /// The output for the record, without its digest.
    pub output: Output,
    /// The notes in the output.
    pub notes: Notes,
    /// The libraries that the output needs; `None` where that is not known.
    pub needed: Option<NeededLibraries>,
    /// The metadata of the file when it was read.
    pub metadata: Metadata,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    /// A small output, held in memory.
    Whole(Vec<u8>),
    /// An output of more than [`OUTPUT_WHOLE_BYTES_MAX`].
    Large(File),
}

impl OutputFacts {
    /// The output with its digests.
    pub fn hashed(self) -> std::io::Result<Output> {
        let (digest, size, loaded) = match self.contents {
            Contents::Whole(bytes) => {
                (sha256_of(&bytes), bytes.len() as u64, loaded_parts::of_bytes(&bytes).ok())
            }
            Contents::Large(mut file) => {
                file.rewind()?;
                let (digest, size) = sha256(&file)?;
                (digest, size, loaded_parts::of_file(&file).ok())
            }
        };
        let loaded = loaded.map(|parts| LoadedParts {
            code_sha256: Some(parts.code.to_vec().into()),
            data_sha256: Some(parts.data.to_vec().into()),
            linkage_sha256: Some(parts.linkage.to_vec().into()),
            run_path: Some(parts.run_path.into()),
        });
        Ok(Output { sha256: Some(digest.to_vec().into()), size: Some(size), loaded, ..self.output })
    }
}

/// Reads an output, but does not hash it yet.
pub fn output(path: &Path) -> std::io::Result<OutputFacts> {
    let OpenedFile { head, file, .. } = OpenedFile::open(path)?;
    let metadata = file.metadata()?;
    let (notes, needed, contents);
    if metadata.len() <= OUTPUT_WHOLE_BYTES_MAX {
        let bytes = small_file::rest(&file, metadata.len() as usize)?;
        notes = notes_in(MemoryFile(&bytes)).unwrap_or_default();
        needed = NeededLibraries::in_bytes(MemoryFile(&bytes));
        contents = Contents::Whole(bytes);
    } else {
        notes = self::notes(&file).unwrap_or_default();
        needed = NeededLibraries::of(&file);
        contents = Contents::Large(file);
    }
    let machine = match head {
        Head::Elf(identity) => Some(machine_name(identity.machine, identity.is_64)),
        _ => None,
    };
    let output = Output {
        path: Some(path.as_os_str().as_bytes().to_vec().into()),
        sha256: None,
        size: Some(metadata.len()),
        kind: Some(if notes.is_pie { FileKind::Executable } else { kind(head, false) } as i32),
        build_id: notes.build_id.clone().map(Into::into),
        machine,
        loaded: None,
    };
    Ok(OutputFacts { output, notes, needed, metadata, contents })
}

/// The notes in a file's PT_NOTE segments, which a process that loads the file will see.
pub fn notes(file: &File) -> object::Result<Notes> {
    notes_in(&ReadCache::new(file))
}

/// The notes of a file of which these are the first bytes, if all of its PT_NOTE segments are in
/// them. The rest of what [`Notes`] tells is not known.
fn notes_at_start(start: &[u8]) -> Option<Notes> {
    let are_here = match object::FileKind::parse(start).ok()? {
        object::FileKind::Elf32 => are_notes_within::<elf::FileHeader32<Endianness>>(start),
        object::FileKind::Elf64 => are_notes_within::<elf::FileHeader64<Endianness>>(start),
        _ => None,
    };
    notes_in(MemoryFile(start)).ok().filter(|_| are_here == Some(true))
}

fn are_notes_within<Elf: FileHeader<Endian = Endianness>>(start: &[u8]) -> Option<bool> {
    let header = Elf::parse(start).ok()?;
    let endian = header.endian().ok()?;
    let mut segments = header.program_headers(endian, start).ok()?.iter();
    let is_within = |segment: &Elf::ProgramHeader| segment.data(endian, start).is_ok();
    Some(segments.all(|segment| segment.p_type(endian) != elf::PT_NOTE || is_within(segment)))
}

/// The offset in an ELF file of this signature in one of its notes.
pub fn signature_offset(file: &mut File, signature: &[u8; 16]) -> Option<u64> {
    let data = ReadCache::new(file);
    match object::FileKind::parse(&data).ok()? {
        object::FileKind::Elf32 => {
            offset_in_notes(elf::FileHeader32::<Endianness>::parse(&data).ok()?, &data, signature)
        }
        object::FileKind::Elf64 => {
            offset_in_notes(elf::FileHeader64::<Endianness>::parse(&data).ok()?, &data, signature)
        }
        _ => None,
    }
}

fn offset_in_notes<'a, Elf, R>(header: &Elf, data: R, signature: &[u8; 16]) -> Option<u64>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?.iter();
    segments.filter(|segment| segment.p_type(endian) == elf::PT_NOTE).find_map(|segment| {
        if segment.p_filesz(endian).into() > NOTES_BYTES_MAX {
            return None;
        }
        let bytes = segment.data(endian, data).ok()?;
        let at = bytes.windows(signature.len()).position(|bytes| bytes == signature)?;
        Some(segment.p_offset(endian).into() + at as u64)
    })
}

fn notes_in<'a>(data: impl ReadRef<'a>) -> object::Result<Notes> {
    match object::FileKind::parse(data)? {
        object::FileKind::Elf32 => {
            let header = elf::FileHeader32::<Endianness>::parse(data)?;
            Ok(notes_of(header, header.endian()?, data))
        }
        object::FileKind::Elf64 => {
            let header = elf::FileHeader64::<Endianness>::parse(data)?;
            Ok(notes_of(header, header.endian()?, data))
        }
        _ => Ok(Notes::default()),
    }
}

fn notes_of<'a, Elf, R>(header: &Elf, endian: Endianness, data: R) -> Notes
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let order = match endian {
        Endianness::Little => ByteOrder::Little,
        Endianness::Big => ByteOrder::Big,
    };
    let mut notes = Notes::default();
    for segment in header.program_headers(endian, data).unwrap_or_default() {
        if let Ok(Some(entries)) = segment.dynamic(endian, data) {
            notes.is_pie |= entries.iter().any(|entry| {
                entry.d_tag(endian) == elf::DT_FLAGS_1 && entry.d_val(endian).into() & elf::DF_1_PIE.0 != 0
            });
        }
        if segment.p_type(endian) != elf::PT_NOTE || segment.p_filesz(endian).into() > NOTES_BYTES_MAX {
            continue;
        }
        let Ok(bytes) = segment.data(endian, data) else { continue };
        let alignment = segment.p_align(endian).into();
        notes
            .signatures
            .extend(ogrt_note::notes(bytes, order, alignment).map(|note| *note.signature.as_bytes()));
        let build_id = ogrt_note::build_id(bytes, order, alignment).map(<[u8]>::to_vec);
        notes.build_id = notes.build_id.take().or(build_id);
    }
    notes
}

fn kind(head: Head, is_script: bool) -> FileKind {
    const ET_EXEC: u16 = 2;
    match head {
        _ if is_script => FileKind::LinkerScript,
        Head::Elf(identity) if identity.is_relocatable() => FileKind::Object,
        Head::Elf(identity) if identity.file_type == ET_EXEC => FileKind::Executable,
        Head::Elf(_) => FileKind::SharedLibrary,
        Head::Archive(_) | Head::ThinArchive => FileKind::Archive,
        Head::Bitcode => FileKind::LtoObject,
        Head::Other | Head::Foreign => FileKind::Unknown,
    }
}

/// The machine as `uname -m` calls it, or the number in `e_machine`.
fn machine_name(machine: u16, is_64: bool) -> String {
    let name = match (elf::Machine(machine), is_64) {
        (elf::EM_X86_64, _) => "x86_64",
        (elf::EM_386, _) => "i386",
        (elf::EM_AARCH64, _) => "aarch64",
        (elf::EM_ARM, _) => "arm",
        (elf::EM_RISCV, true) => "riscv64",
        (elf::EM_RISCV, false) => "riscv32",
        (elf::EM_PPC64, _) => "ppc64",
        (elf::EM_PPC, _) => "ppc",
        (elf::EM_S390, _) => "s390x",
        (elf::EM_LOONGARCH, _) => "loongarch64",
        (elf::EM_MIPS, _) => "mips",
        _ => return format!("e_machine {machine}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_at_the_start_are_those_of_the_whole_file() {
        let file = File::open("/proc/self/exe").unwrap();
        let told = notes(&file).unwrap();
        assert!(told.build_id.is_some(), "{told:?}");
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let from = |len: usize| notes_at_start(&whole[..len]);
        let mut complete = 0;
        for len in [0, 16, 64, 100, 500, 700, 900, 1024, 2048, 4096, whole.len()] {
            if let Some(here) = from(len) {
                assert_eq!((&here.build_id, &here.signatures), (&told.build_id, &told.signatures), "{len}");
                complete += 1;
            }
        }
        assert!(from(100).is_none() && complete > 0, "{complete}");
    }
}
