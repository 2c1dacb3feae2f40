//! `ogrt register`: tells the registry what a package manager has installed.
//!
//! What `ogrt-ld` registers is one build each; this ties the builds of one prefix to its module.
//! Every linked ELF file below the prefix is looked at, symlinks are not followed, and a file
//! without a note is named, because that is what a site wants to know of an installation. The name
//! of the software comes from OGRT_META_*, as for the wrappers.

use crate::{
    api_client::ApiClient,
    elf_notes::{self, ElfError},
    exit_status::{ExitStatus, complain, print, print_line},
};
use anyhow::{Context, Result, ensure};
use clap::Args;
use ogrt_proto::{BuildMetadata, Installation, InstalledFile};
use ogrt_wrap::note::metadata;
use serde_json::json;
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The number of files without a note that are named; `--json` names all.
const NAMED_MAX: usize = 20;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt register --prefix /sw/zlib/1.3.1 --module zlib/1.3.1\n\
\x20 ogrt register --prefix /sw/zlib/1.3.1 --dry-run            # only show which files have no note";

/// Register an installation: its prefix, its module, and the builds found in it.
///
/// OGRT_META_NAME, OGRT_META_VERSION and so on say what is installed.
///
/// Exit status: 0 registered; 1 registered, but a linked file has no note; 2 error, not registered.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct RegisterCommand {
    /// The directory of the installation.
    #[arg(long, value_name = "DIR")]
    prefix: PathBuf,

    /// The name under which its module is loaded; default: OGRT_META_MODULE.
    #[arg(long, value_name = "NAME")]
    module: Option<String>,

    /// The path of the module file.
    #[arg(long, value_name = "FILE")]
    module_file: Option<PathBuf>,

    /// Find the files, and register nothing.
    #[arg(long)]
    dry_run: bool,

    /// Print JSON. On an error it has a `problem`.
    #[arg(long)]
    json: bool,
}

impl RegisterCommand {
    /// Walks the prefix, registers it, and names the files without a note.
    pub fn run(self) -> Result<ExitStatus> {
        let prefix = self.prefix.canonicalize().with_context(|| self.prefix.display().to_string())?;
        ensure!(prefix.is_dir(), "{}: not a directory", prefix.display());
        let files = linked_files(&prefix);
        let unmarked: Vec<&Path> =
            files.iter().filter(|file| file.signatures.is_empty()).map(|file| file.path.as_path()).collect();

        let problem = if self.dry_run { None } else { self.register(&prefix, &files).err() };
        if self.json {
            let document = json!({
                "prefix": prefix.to_string_lossy(),
                "files": files.len(),
                "unmarked": unmarked.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
                "registered": problem.is_none() && !self.dry_run,
                "problem": problem.as_ref().map(|problem| format!("{problem:#}")),
            });
            print(format!("{document}\n"))?;
        } else {
            for path in unmarked.iter().take(NAMED_MAX) {
                complain(format_args!("{}: no OGRT note", prefix.join(path).display()));
            }
            if unmarked.len() > NAMED_MAX {
                complain(format_args!(
                    "{} more files have no OGRT note; --json names all",
                    unmarked.len() - NAMED_MAX
                ));
            }
            if problem.is_none() {
                let done = if self.dry_run { "found" } else { "registered" };
                print_line(format_args!(
                    "{}: {} linked files {done}, {} without a note",
                    prefix.display(),
                    files.len(),
                    unmarked.len()
                ))?;
            }
        }
        match problem {
            Some(_) if self.json => Ok(ExitStatus::Error),
            Some(problem) => Err(problem.context(format!("{}: not registered", prefix.display()))),
            None if unmarked.is_empty() => Ok(ExitStatus::Yes),
            None => Ok(ExitStatus::No),
        }
    }

    fn register(&self, prefix: &Path, files: &[LinkedFile]) -> Result<()> {
        let mut what: BuildMetadata = metadata::for_note(true, 0, None);
        if self.module.is_some() {
            what.module.clone_from(&self.module);
        }
        let module_file = self.module_file.as_ref().map(std::path::absolute).transpose()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec().into();
        let installation = Installation {
            prefix: Some(bytes(prefix)),
            metadata: Some(what),
            module_file: module_file.as_deref().map(bytes),
            time_ns: Some(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)),
            hostname: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
            uid: Some(rustix::process::getuid().as_raw()),
            username: metadata::user_name(),
            files: files
                .iter()
                .map(|file| InstalledFile {
                    path: Some(bytes(&file.path)),
                    signatures: file.signatures.clone(),
                })
                .collect(),
            client: Some(concat!("ogrt ", env!("CARGO_PKG_VERSION")).to_owned()),
            registrar: None,
        };
        ApiClient::from_environment()?.register(&installation)
    }
}

/// An executable or shared object, with its path below the prefix.
struct LinkedFile {
    path: PathBuf,
    signatures: Vec<bytes::Bytes>,
}

/// Finds every linked file below `prefix`, sorted. What cannot be read is named and skipped.
fn linked_files(prefix: &Path) -> Vec<LinkedFile> {
    let mut found = Vec::new();
    let mut folders = vec![prefix.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                complain(format_args!("{}: {error}", folder.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            // A symlink has a kind of its own, so it is not followed.
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                match elf_notes::read(&path) {
                    Ok(notes) if notes.is_linked => {
                        let signature = |note: &elf_notes::BuildNote| {
                            bytes::Bytes::copy_from_slice(note.signature.as_bytes())
                        };
                        let below = path.strip_prefix(prefix).unwrap_or(&path).to_owned();
                        let signatures = notes.build_notes.iter().map(signature).collect();
                        found.push(LinkedFile { path: below, signatures });
                    }
                    // Object files are only parts, and the rest is not ELF.
                    Ok(_) | Err(ElfError::NotElf | ElfError::NotAFile) => {}
                    Err(error) => complain(format_args!("{}: {error}", path.display())),
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}
