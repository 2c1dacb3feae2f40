//! One file described: digest, size, kind, and what an ELF file says of itself.
//!
//! Files are never mapped, and large ones never held whole: an input may be gigabytes, and may be replaced while
//! we look. What cannot be read is left out of the description, which is then shorter, and never wrong.

use crate::compilers;
use crate::digest::{gitoid_of, sha256, sha256_and_gitoid, sha256_of};
use crate::digest_cache::DigestCache;
use crate::elf_identity::Head;
use crate::loaded_parts;
use crate::resolve_inputs::ResolvedInput;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use ogrt_note::ByteOrder;
use ogrt_proto::{FileKind, Input, LoadedParts, Output};
use std::fs::File;
use std::io::Seek;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Larger files are not held in memory.
const WHOLE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Larger PT_NOTE segments are not read.
const NOTES_BYTES_MAX: u64 = 1024 * 1024;

/// What the notes of a linked file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Our watermarks.
    pub signatures: Vec<[u8; 16]>,
    /// GNU build-id.
    pub build_id: Option<Vec<u8>>,
}

/// An input as the record has it, with OmniBOR's id if wanted, and the compiler that made it.
pub fn input(file: &ResolvedInput, cache: &DigestCache, gitoids: bool) -> (Input, Option<String>) {
    let mut input = Input {
        path: Some(file.path.as_os_str().as_bytes().to_vec().into()),
        kind: Some(kind(file.head, file.is_script) as i32),
        ..Input::default()
    };
    let producer = look_into(file, cache, gitoids, &mut input).ok().flatten();
    (input, producer)
}

fn look_into(
    file: &ResolvedInput,
    cache: &DigestCache,
    gitoids: bool,
    input: &mut Input,
) -> std::io::Result<Option<String>> {
    let mut opened = File::open(&file.path)?;
    let metadata = opened.metadata()?;
    input.size = Some(metadata.len());
    if metadata.len() <= WHOLE_BYTES_MAX
        && matches!(file.head, Head::Elf(identity) if identity.is_relocatable())
    {
        // The many: read once, and both hashed and looked into from memory.
        let bytes = std::fs::read(&file.path)?;
        input.sha256 = Some(sha256_of(&bytes).to_vec().into());
        input.gitoid = gitoids.then(|| gitoid_of(&bytes).to_vec().into());
        return Ok(compilers::producer(&*bytes));
    }
    let digest = match cache.get(&metadata) {
        Some(digest) => digest,
        None => {
            let (digest, _) = sha256(&mut opened)?;
            cache.put(&metadata, &digest);
            digest
        }
    };
    input.sha256 = Some(digest.to_vec().into());
    if gitoids {
        opened.rewind()?;
        let both = sha256_and_gitoid(&mut opened, metadata.len()).ok();
        input.gitoid = both.map(|(_, gitoid)| gitoid.to_vec().into());
    }
    Ok(match file.head {
        Head::Elf(identity) if identity.is_relocatable() => compilers::producer(&ReadCache::new(opened)),
        Head::Elf(_) => {
            let notes = notes(&mut opened).unwrap_or_default();
            input.signatures = notes.signatures.iter().map(|s| s.to_vec().into()).collect();
            input.build_id = notes.build_id.map(Into::into);
            None
        }
        Head::Archive(Some(member)) if member.size <= WHOLE_BYTES_MAX => {
            let mut bytes = vec![0; member.size as usize];
            opened.read_exact_at(&mut bytes, member.offset)?;
            compilers::producer(&*bytes)
        }
        _ => None,
    })
}

/// The output as the record has it, and its notes.
pub fn output(path: &Path) -> std::io::Result<(Output, Notes)> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::Unsupported.into());
    }
    let head = crate::elf_identity::head(path)?;
    let mut file = File::open(path)?;
    let (notes, digest, size, loaded);
    if file.metadata()?.len() <= WHOLE_BYTES_MAX {
        // The many: read once.
        let bytes = std::fs::read(path)?;
        notes = notes_in(&*bytes).unwrap_or_default();
        (digest, size) = (sha256_of(&bytes), bytes.len() as u64);
        loaded = loaded_parts::of_bytes(&bytes).ok();
    } else {
        notes = self::notes(&mut file).unwrap_or_default();
        file.rewind()?;
        let second = File::open(path)?;
        // Both digests take as long as the disk or the processor; beside each other no longer than one.
        let (whole, parts) = std::thread::scope(|scope| {
            let beside = std::thread::Builder::new().spawn_scoped(scope, || loaded_parts::of_file(&second));
            (sha256(&mut file), beside.ok().and_then(|thread| thread.join().ok()?.ok()))
        });
        (digest, size) = whole?;
        loaded = parts;
    }
    let machine = match head {
        Head::Elf(identity) => Some(machine_name(identity.machine, identity.is_64)),
        _ => None,
    };
    let output = Output {
        path: Some(path.as_os_str().as_bytes().to_vec().into()),
        sha256: Some(digest.to_vec().into()),
        size: Some(size),
        kind: Some(kind(head, false) as i32),
        build_id: notes.build_id.clone().map(Into::into),
        machine,
        loaded: loaded.map(|parts| LoadedParts {
            code_sha256: Some(parts.code.to_vec().into()),
            data_sha256: Some(parts.data.to_vec().into()),
            linkage_sha256: Some(parts.linkage.to_vec().into()),
            run_path: Some(parts.run_path.into()),
        }),
    };
    Ok((output, notes))
}

/// The notes in a file's PT_NOTE segments: what a process that loads it will see.
pub fn notes(file: &mut File) -> object::Result<Notes> {
    notes_in(&ReadCache::new(file))
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
        if segment.p_type(endian) != elf::PT_NOTE || segment.p_filesz(endian).into() > NOTES_BYTES_MAX {
            continue;
        }
        let Ok(bytes) = segment.data(endian, data) else { continue };
        let alignment = segment.p_align(endian).into();
        notes
            .signatures
            .extend(ogrt_note::watermarks(bytes, order, alignment).map(|w| *w.signature.as_bytes()));
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
        Head::Other => FileKind::Unknown,
    }
}

/// The machine as `uname -m` calls it, or `e_machine` in figures.
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
