//! A build record as JSON, as the HTTP API gives it: signatures as UUID text, digests as
//! hexadecimal, paths as text (bytes that are not UTF-8 become U+FFFD), times in nanoseconds of
//! Unix time.

use crate::{BuildMetadata, BuildRecord, Builder, FileKind, Input, LoadedParts, Output, Tool, hex};
use ogrt_note::Signature;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole build record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildJson {
    /// The signature as UUID text.
    pub signature: String,
    /// The metadata of the note.
    pub metadata: MetadataJson,
    /// Start of the link, nanoseconds of Unix time.
    pub time_ns: i64,
    /// Duration of the link in nanoseconds.
    pub duration_ns: u64,
    /// Host on which it was linked.
    pub hostname: String,
    /// User who linked it.
    pub uid: Option<u32>,
    /// That user's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `kernel` where the kernel proved the user, else `claimed`.
    pub identity: String,
    /// The uid that the record claims, where the proved one is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_uid: Option<u32>,
    /// The name that the record claims, where the proved user has another one, or none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_username: Option<String>,
    /// Who registered it: the name of a token or of a client certificate, or `uid N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
    /// What tells who registered it: `token`, `certificate` or `kernel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_with: Option<String>,
    /// Names of the relays that it came through, with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Working directory of the link.
    pub working_directory: String,
    /// argv of the compiler driver; empty when the linker was called directly.
    pub driver_command: Vec<String>,
    /// argv of the real linker.
    pub linker_command: Vec<String>,
    /// The compiler driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<ToolJson>,
    /// The linker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linker: Option<ToolJson>,
    /// Distinct compilers found in the inputs.
    pub compilers: Vec<CompilerJson>,
    /// Files that were linked.
    pub inputs: Vec<FileJson>,
    /// The file that the link made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<FileJson>,
    /// Environment modules loaded at the link.
    pub loaded_modules: Vec<String>,
    /// Variables OGRT_META_* for which `metadata` has no field, without the prefix.
    pub extra: BTreeMap<String, String>,
    /// Commit of the source directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// Name and version of the wrapper.
    pub client: String,
    /// Equal builds share this signature.
    pub reproducible: bool,
    /// The output carries the signature in a note.
    #[serde(default = "marked_unless_told")]
    pub marked: bool,
    /// The reason why the output has no note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmarked_reason: Option<String>,
    /// Time of the registration, nanoseconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_ns: Option<i64>,
    /// Each link that made this build, the first one first; empty unless a reproducible build was
    /// made more than once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<LinkJson>,
}

/// One of several links that made the same build: who, when, where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkJson {
    /// Start of the link, nanoseconds of Unix time.
    pub time_ns: i64,
    /// Duration of the link in nanoseconds.
    pub duration_ns: u64,
    /// Host on which it was linked.
    pub hostname: String,
    /// User who linked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// That user's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `kernel` where the kernel proved the user, else `claimed`.
    pub identity: String,
    /// The uid that the record claims, where the proved one is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_uid: Option<u32>,
    /// The name that the record claims, where the proved user has another one, or none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_username: Option<String>,
    /// Who registered it: the name of a token or of a client certificate, or `uid N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
    /// What tells who registered it: `token`, `certificate` or `kernel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_with: Option<String>,
    /// Names of the relays that it came through, with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Working directory of the link.
    pub working_directory: String,
    /// Name and version of the wrapper.
    pub client: String,
}

/// The metadata of the note; empty fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataJson {
    /// Name of the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version of the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// EasyBuild's version suffix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_suffix: Option<String>,
    /// Toolchain, for example `foss-2024a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// The package manager, for example `easybuild` or `spack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_manager: Option<String>,
    /// Its name for the package, for example an easyconfig file or a Spack hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_id: Option<String>,
    /// Name of the module that provides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// User name or uid of the person who built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// Time of the build, seconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// The compiler, for example `gcc 12.2.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
}

/// A build in a few words, as it stands in a process's document under `build`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildSummary {
    /// The signature as UUID text.
    pub signature: String,
    /// `record` when the registry knows the build, `note` when only the note is known.
    pub source: String,
    /// The metadata of the record, else of the note.
    #[serde(flatten)]
    pub metadata: MetadataJson,
    /// Host on which it was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of the user who linked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// That user's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// `kernel` where the kernel proved the user, `claimed` where the record alone says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// SHA-256 of the output when it was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_sha256: Option<String>,
}

/// A compiler driver or a linker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolJson {
    /// Its canonical path.
    pub path: String,
    /// The first line that it prints for `--version`.
    pub version: String,
}

/// A compiler that inputs name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompilerJson {
    /// The text of DW_AT_producer or of `.comment`.
    pub producer: String,
    /// Number of inputs that name it.
    pub inputs: u32,
}

/// An input or the output of a link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileJson {
    /// Its path as the linker resolved it.
    pub path: String,
    /// 64 hexadecimal digits; empty when it could not be read.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// `object`, `archive`, `shared_library`, `executable`, `linker_script`, `lto_object` or
    /// `unknown`.
    pub kind: String,
    /// Signatures of the notes found in it (inputs).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
    /// GNU build-id, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// ELF machine (output).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// OmniBOR's artifact id, hexadecimal, where OGRT_OMNIBOR=1 (inputs).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitoid: Option<String>,
    /// The linker read this shared library, and the output does not need it (inputs).
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dropped: bool,
    /// Digests of what is loaded (output).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded: Option<LoadedJson>,
}

/// Digests of what the loader brings into memory, hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadedJson {
    /// Digest of the executable sections.
    pub code_sha256: String,
    /// Digest of the other sections.
    pub data_sha256: String,
    /// Digest of what the loader reads.
    pub linkage_sha256: String,
    /// DT_RUNPATH, or DT_RPATH where there is none.
    pub run_path: String,
}

/// The words of answers for a [`crate::Registrar`].
#[derive(Default)]
struct Registration {
    by: Option<String>,
    with: Option<String>,
    via: Option<String>,
}

impl Registration {
    fn of(record: &BuildRecord) -> Self {
        let Some(registrar) = &record.registrar else { return Registration::default() };
        let (by, with) = registrar.name().unzip();
        Registration { by, with: with.map(str::to_owned), via: registrar.via.clone() }
    }
}

/// Records of links without a note say so.
fn marked_unless_told() -> bool {
    true
}

impl From<&BuildRecord> for BuildJson {
    fn from(record: &BuildRecord) -> Self {
        let texts = |items: &[bytes::Bytes]| items.iter().map(text).collect();
        let (builder, registration) = (Builder::of(record), Registration::of(record));
        BuildJson {
            signature: signature_text(record.signature.as_deref()),
            metadata: record.metadata.as_ref().map(MetadataJson::from).unwrap_or_default(),
            time_ns: record.time_ns(),
            duration_ns: record.duration_ns(),
            hostname: record.hostname().into(),
            identity: builder.identity().into(),
            uid: builder.uid,
            username: builder.username,
            claimed_uid: builder.claimed_uid,
            claimed_username: builder.claimed_username,
            registered_by: registration.by,
            registered_with: registration.with,
            via: registration.via,
            working_directory: record.working_directory.as_ref().map(text).unwrap_or_default(),
            driver_command: texts(&record.driver_command),
            linker_command: texts(&record.linker_command),
            driver: record.driver.as_ref().map(ToolJson::from),
            linker: record.linker.as_ref().map(ToolJson::from),
            compilers: record
                .compilers
                .iter()
                .map(|c| CompilerJson { producer: c.producer().into(), inputs: c.inputs() })
                .collect(),
            inputs: record.inputs.iter().map(FileJson::from).collect(),
            output: record.output.as_ref().map(FileJson::from),
            loaded_modules: record.loaded_modules.clone(),
            extra: record.extra.iter().map(|kv| (kv.key().into(), kv.value().into())).collect(),
            git_commit: record.source.as_ref().and_then(|source| source.git_commit.clone()),
            client: record.client().into(),
            reproducible: record.reproducible(),
            marked: record.marked.unwrap_or_else(marked_unless_told),
            unmarked_reason: record.unmarked_reason.clone(),
            registered_ns: None,
            builds: Vec::new(),
        }
    }
}

impl From<&BuildRecord> for LinkJson {
    fn from(record: &BuildRecord) -> Self {
        let (builder, registration) = (Builder::of(record), Registration::of(record));
        LinkJson {
            time_ns: record.time_ns(),
            duration_ns: record.duration_ns(),
            hostname: record.hostname().into(),
            identity: builder.identity().into(),
            uid: builder.uid,
            username: builder.username,
            claimed_uid: builder.claimed_uid,
            claimed_username: builder.claimed_username,
            registered_by: registration.by,
            registered_with: registration.with,
            via: registration.via,
            working_directory: record.working_directory.as_ref().map(text).unwrap_or_default(),
            client: record.client().into(),
        }
    }
}

impl From<&BuildMetadata> for MetadataJson {
    fn from(metadata: &BuildMetadata) -> Self {
        let metadata = metadata.clone();
        MetadataJson {
            name: metadata.name,
            version: metadata.version,
            version_suffix: metadata.version_suffix,
            toolchain: metadata.toolchain,
            package_manager: metadata.package_manager,
            package_id: metadata.package_id,
            module: metadata.module,
            builder: metadata.builder,
            time: metadata.time,
            compiler: metadata.compiler,
        }
    }
}

impl From<&BuildRecord> for BuildSummary {
    fn from(record: &BuildRecord) -> Self {
        let builder = Builder::of(record);
        BuildSummary {
            signature: signature_text(record.signature.as_deref()),
            source: "record".into(),
            metadata: record.metadata.as_ref().map(MetadataJson::from).unwrap_or_default(),
            hostname: record.hostname.clone(),
            identity: Some(builder.identity().into()),
            username: builder.username,
            uid: builder.uid,
            output_sha256: record.output.as_ref().and_then(|o| o.sha256.as_deref()).map(hex),
        }
    }
}

impl BuildSummary {
    /// The summary by the note alone, for a signature that the registry does not know.
    pub fn from_note(signature: Signature, metadata: &BuildMetadata) -> Self {
        BuildSummary {
            signature: signature.to_string(),
            source: "note".into(),
            metadata: metadata.into(),
            ..BuildSummary::default()
        }
    }
}

impl From<&Tool> for ToolJson {
    fn from(tool: &Tool) -> Self {
        ToolJson { path: tool.path.as_ref().map(text).unwrap_or_default(), version: tool.version().into() }
    }
}

impl From<&Input> for FileJson {
    fn from(input: &Input) -> Self {
        FileJson {
            path: input.path.as_ref().map(text).unwrap_or_default(),
            sha256: input.sha256.as_deref().map(hex).unwrap_or_default(),
            size: input.size(),
            kind: kind_name(input.kind()).into(),
            signatures: input.signatures.iter().map(|s| signature_text(Some(s))).collect(),
            build_id: input.build_id.as_deref().map(hex),
            machine: None,
            gitoid: input.gitoid.as_deref().map(hex),
            dropped: input.dropped(),
            loaded: None,
        }
    }
}

impl From<&Output> for FileJson {
    fn from(output: &Output) -> Self {
        FileJson {
            path: output.path.as_ref().map(text).unwrap_or_default(),
            sha256: output.sha256.as_deref().map(hex).unwrap_or_default(),
            size: output.size(),
            kind: kind_name(output.kind()).into(),
            signatures: Vec::new(),
            build_id: output.build_id.as_deref().map(hex),
            machine: output.machine.clone(),
            gitoid: None,
            dropped: false,
            loaded: output.loaded.as_ref().map(LoadedJson::from),
        }
    }
}

impl From<&LoadedParts> for LoadedJson {
    fn from(parts: &LoadedParts) -> Self {
        LoadedJson {
            code_sha256: hex(parts.code_sha256()),
            data_sha256: hex(parts.data_sha256()),
            linkage_sha256: hex(parts.linkage_sha256()),
            run_path: parts.run_path.as_ref().map(text).unwrap_or_default(),
        }
    }
}

fn text(bytes: &bytes::Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signature_text(bytes: Option<&[u8]>) -> String {
    bytes.and_then(Signature::from_slice).map(|signature| signature.to_string()).unwrap_or_default()
}

fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Unknown => "unknown",
        FileKind::Object => "object",
        FileKind::Archive => "archive",
        FileKind::SharedLibrary => "shared_library",
        FileKind::Executable => "executable",
        FileKind::LinkerScript => "linker_script",
        FileKind::LtoObject => "lto_object",
    }
}
