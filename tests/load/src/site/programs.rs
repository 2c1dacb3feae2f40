//! The files of a site: each code in each version, and what it loads.

use super::{
    people,
    software::{CODES, COMMANDS, Code, LIBRARIES, Library, Origin, SHELL},
};
use bytes::Bytes;
use ogrt_proto::{Note, ProcessInfo, SharedObject, field_numbers::process_info};
use prost::Message;
use sha2::{Digest, Sha256};

/// Users who have a copy of what nobody registered.
const OWNERS: usize = 10;

/// The user who gives hostile names: mallory.
const HOSTILE_OWNER: usize = 11;

/// A file of a library.
#[derive(Debug)]
pub struct LibraryFile {
    /// The library.
    pub library: &'static Library,
    /// Its version.
    pub version: &'static str,
    /// Path of the file.
    pub path: String,
    /// Its GNU build-id.
    pub build_id: Bytes,
    /// Signature of its build, where it is registered.
    pub signature: Option<Bytes>,
}

/// A program: a code in one version, and of one user where each has a copy.
#[derive(Debug)]
pub struct Program {
    /// The code.
    pub code: &'static Code,
    /// Its version.
    pub version: &'static str,
    /// The number of the user who built it or copied it.
    pub owner: Option<usize>,
    /// It is the oldest of several versions.
    pub is_old: bool,
    /// Path of the executable.
    pub path: String,
    /// Its GNU build-id; empty of Vendor's.
    pub build_id: Bytes,
    /// Signature of its build, where it is registered.
    pub signature: Option<Bytes>,
    /// The libraries that it loads, by their indices.
    pub libraries: Vec<usize>,
    /// The program, its build-id and its note, as its start and its end tell them.
    pub facts: ProcessInfo,
    /// What it loads, as its start tells.
    pub objects: Vec<SharedObject>,
    /// The digest of all this, by which an end finds it.
    pub digest: Bytes,
}

impl Origin {
    /// Its builds are registered.
    pub fn is_registered(self) -> bool {
        matches!(self, Origin::EasyBuild | Origin::Spack | Origin::Home)
    }

    /// Its files are learned.
    pub fn is_learned(self) -> bool {
        matches!(self, Origin::Dpkg | Origin::Conda | Origin::Vendor)
    }
}

impl Program {
    /// The name that answers give it; empty of what nobody knows.
    pub fn software(&self) -> &'static str {
        if self.is_known() { self.code.name } else { "" }
    }

    /// The version that goes with the name.
    pub fn known_version(&self) -> &'static str {
        if self.is_known() { self.version } else { "" }
    }

    /// It is registered or learned.
    pub fn is_known(&self) -> bool {
        self.code.origin.is_registered() || self.code.origin.is_learned()
    }

    /// Environment modules that are loaded where it is the main program of a job.
    pub fn modules(&self) -> Vec<String> {
        match self.code.origin {
            Origin::EasyBuild => {
                vec![self.toolchain().to_owned(), format!("{}/{}", self.code.name, self.version)]
            }
            Origin::Vendor => vec![format!("{}/{}", self.code.name.replace(' ', "-"), self.version)],
            Origin::Spack | Origin::Home => vec!["GCC/13.2.0".into(), "OpenMPI/4.1.6".into()],
            Origin::Conda => vec!["Miniconda3/24.7.1".into()],
            Origin::Dpkg | Origin::Unknown | Origin::Hostile => Vec::new(),
        }
    }

    /// The toolchain of EasyBuild.
    pub fn toolchain(&self) -> &'static str {
        if self.is_old { "foss/2022b" } else { "foss/2023b" }
    }
}

impl LibraryFile {
    /// The name that answers give it: the software, and of what nobody knows the file's name.
    pub fn name(&self) -> &'static str {
        let origin = self.library.origin;
        if origin.is_registered() || origin.is_learned() { self.library.name } else { self.library.soname }
    }
}

/// Bytes that follow from a text.
pub fn digest_of(text: &str) -> Bytes {
    Sha256::digest(text).to_vec().into()
}

fn build_id(path: &str, version: &str) -> Bytes {
    digest_of(&format!("build-id {path} {version}")).slice(..20)
}

/// A signature (UUIDv7) that follows from the path and the version.
pub fn signature(path: &str, version: &str) -> Bytes {
    let mut bytes = digest_of(&format!("signature {path} {version}"))[..16].to_vec();
    bytes[..3].copy_from_slice(&[0x01, 0x92, 0x5A]);
    bytes[6] = 0x70 | bytes[6] & 0x0F;
    bytes[8] = 0x80 | bytes[8] & 0x3F;
    bytes.into()
}

/// The directory of a version.
fn prefix(origin: Origin, name: &str, version: &str, is_old: bool, owner: &str) -> String {
    match origin {
        Origin::EasyBuild if is_old => format!("/apps/software/{name}/{version}-foss-2022b"),
        Origin::EasyBuild => format!("/apps/software/{name}/{version}-foss-2023b"),
        Origin::Spack => {
            let hash = ogrt_proto::hex(&digest_of(&format!("{name}{version}"))[..4]);
            format!("/opt/spack/linux-debian12-x86_64_v3/gcc-13.2.0/{name}-{version}-{hash}")
        }
        Origin::Home => {
            let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            format!("/home/{owner}/{plain}-{}", version.trim_matches(|c: char| !c.is_ascii_digit()))
        }
        Origin::Dpkg => "/usr".into(),
        Origin::Conda => format!("/opt/conda/envs/{name}-{version}"),
        Origin::Vendor => format!("/opt/{}/{version}", name.replace(' ', "")),
        Origin::Unknown | Origin::Hostile => format!("/home/{owner}"),
    }
}

/// All files of libraries.
pub fn libraries() -> Vec<LibraryFile> {
    let mut files = Vec::new();
    for library in LIBRARIES {
        for (index, version) in library.versions.iter().enumerate() {
            let is_old = index + 1 < library.versions.len();
            let folder = prefix(library.origin, library.name, version, is_old, "ann");
            let path = match library.origin {
                Origin::Dpkg if is_old => format!("/srv/image/usr/lib/x86_64-linux-gnu/{}", library.soname),
                Origin::Dpkg => format!("/usr/lib/x86_64-linux-gnu/{}", library.soname),
                _ => format!("{folder}/lib/{}", library.soname),
            };
            files.push(LibraryFile {
                library,
                version,
                build_id: build_id(&path, version),
                signature: library.origin.is_registered().then(|| signature(&path, version)),
                path,
            });
        }
    }
    files
}

/// All programs: first the main programs of jobs, then what scripts call, and the shell at the end.
pub fn programs(libraries: &[LibraryFile], users: usize) -> Vec<Program> {
    let mut programs = Vec::new();
    for (number, code) in CODES.iter().chain(COMMANDS).chain([SHELL]).enumerate() {
        let owners = match code.origin {
            Origin::Unknown => (0..OWNERS.min(users)).map(Some).collect(),
            Origin::Hostile => vec![Some(HOSTILE_OWNER.min(users - 1))],
            Origin::Home => vec![Some(number % OWNERS.min(users))],
            _ => vec![None],
        };
        for owner in owners {
            for index in 0..code.versions.len() {
                programs.push(program(code, index, owner, libraries));
            }
        }
    }
    programs
}

fn program(code: &'static Code, index: usize, owner: Option<usize>, libraries: &[LibraryFile]) -> Program {
    let (version, is_old) = (code.versions[index], index + 1 < code.versions.len());
    let user = owner.map(people::user).unwrap_or_default();
    let folder = prefix(code.origin, code.name, version, is_old, &user);
    let name = code.program.replace("{long}", &format!("{}run", "very-long/".repeat(400)));
    let path = format!("{folder}/{name}");
    let build_id = if code.origin == Origin::Vendor { Bytes::new() } else { build_id(&path, version) };
    let signature = code.origin.is_registered().then(|| signature(&path, version));
    let loaded: Vec<usize> = code.libraries.iter().map(|key| version_of(libraries, key, is_old)).collect();
    let facts = ProcessInfo {
        binpath: Some(path.clone().into()),
        build_id: Some(build_id.clone()).filter(|id| !id.is_empty()),
        notes: signature.iter().cloned().map(note).collect(),
        ..ProcessInfo::default()
    };
    let object = |index: &usize| {
        let file = &libraries[*index];
        SharedObject {
            path: Some(file.path.clone().into()),
            build_id: Some(file.build_id.clone()),
            notes: file.signature.iter().cloned().map(note).collect(),
            ..SharedObject::default()
        }
    };
    let objects: Vec<SharedObject> = loaded.iter().map(object).collect();
    let digest = digest(&facts, &objects);
    Program {
        code,
        version,
        owner,
        is_old,
        path,
        build_id,
        signature,
        libraries: loaded,
        facts,
        objects,
        digest,
    }
}

/// The file of a library that a program has loaded: an old program an old one.
fn version_of(libraries: &[LibraryFile], key: &str, is_old: bool) -> usize {
    let is_it = |file: &LibraryFile| file.library.key == key;
    let (first, last) = (libraries.iter().position(is_it), libraries.iter().rposition(is_it));
    if is_old { first } else { last }.expect("a library of the list")
}

fn note(signature: Bytes) -> Note {
    Note { signature: Some(signature), version: Some(2), ..Note::default() }
}

/// The digest of a program and what it has loaded, as a server makes it of a start.
fn digest(facts: &ProcessInfo, objects: &[SharedObject]) -> Bytes {
    let mut digest = Sha256::new();
    let mut add = |number: u32, bytes: &[u8]| {
        digest.update(number.to_be_bytes());
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    // In the order of their numbers.
    add(process_info::BINPATH, facts.binpath());
    objects.iter().for_each(|object| add(process_info::SHARED_OBJECTS, &object.encode_to_vec()));
    facts.build_id.iter().for_each(|build_id| add(process_info::BUILD_ID, build_id));
    facts.notes.iter().for_each(|note| add(process_info::NOTES, &note.encode_to_vec()));
    digest.finalize()[..16].to_vec().into()
}
