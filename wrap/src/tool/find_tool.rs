//! The real tool: the next program of that name that is not one of ours.
//!
//! "Ours" is decided by device and inode, so that symlinks, hard links and masquerade under other
//! names are all recognised. A program that stands before the tool under the same name (ccache,
//! EasyBuild's RPATH wrapper) is meant to be there, and is called like any tool. It may find us
//! again by PATH: programs that we have called already are then skipped. Where no other is left, we
//! give up in the end instead of calling each other for ever.

use crate::environment;
use crate::small_file;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The most tools that may call each other and us.
const DEPTH_MAX: usize = 12;

/// Why the real tool was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindToolError {
    /// No directory holds a candidate.
    #[error(
        "{searched} holds no program named {name} except OGRT's own: install it, or put its directory on PATH"
    )]
    NotFound {
        /// The name, or the names.
        name: String,
        /// The directories.
        searched: String,
    },
    /// We are called by what we call.
    #[error("{depth} compiler or linker wrappers on PATH call each other: take one of them off PATH")]
    TooDeep {
        /// The number of calls.
        depth: usize,
    },
}

/// The search for the real tool: it knows our own programs, and the tools that they have called in
/// each other so far.
#[derive(Debug)]
pub struct Finder {
    ours: Vec<(u64, u64)>,
    variable: &'static str,
    called: Vec<PathBuf>,
}

impl Finder {
    /// The search of this running program. The environment variable `variable` lists what was
    /// called.
    pub fn new(variable: &'static str) -> Finder {
        let ours = std::fs::metadata("/proc/self/exe").ok().as_ref().map(identity).into_iter().collect();
        Finder { ours, variable, called: dirs_of(variable) }
    }

    /// The same search where there is no `/proc`: the file that `argv[0]` names is ours as well.
    pub fn also_ours(mut self, argv0: &OsStr) -> Finder {
        if self.ours.is_empty() {
            let named = named_by(argv0);
            self.ours.extend(named.and_then(|path| std::fs::metadata(path).ok()).as_ref().map(identity));
        }
        self
    }

    /// The variable and its value for the tool at `path`.
    pub fn guard(&self, path: &Path) -> (&'static str, OsString) {
        let called = self.called.iter().map(PathBuf::as_path).chain([path]);
        // A path with a colon in it counts as two, which does no harm.
        (self.variable, called.map(Path::as_os_str).collect::<Vec<_>>().join(OsStr::new(":")))
    }

    /// The first program of one of these names, directories first, that is not ours.
    pub fn find(&self, names: &[&OsStr], dirs: &[PathBuf]) -> Result<PathBuf, FindToolError> {
        let candidates = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
        self.first(candidates)?.ok_or_else(|| FindToolError::NotFound {
            name: names.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", "),
            searched: dirs.iter().map(|dir| dir.to_string_lossy()).collect::<Vec<_>>().join(":"),
        })
    }

    /// The program of this name that comes after us on PATH, or else any that is not ours. `argv0`
    /// is how we were called.
    pub fn find_behind_us(&self, name: &OsStr, argv0: &OsStr) -> Result<PathBuf, FindToolError> {
        let dirs = dirs_of("PATH");
        let named = Path::new(argv0).parent().filter(|dir| !dir.as_os_str().is_empty());
        let is_ours = |dir: &PathBuf| std::fs::metadata(dir.join(name)).is_ok_and(|file| self.is_ours(&file));
        let at = dirs.iter().position(|dir| named.is_none_or(|named| named == dir) && is_ours(dir));
        let behind = dirs.iter().skip(at.map_or(0, |at| at + 1));
        let candidates: Vec<PathBuf> = behind.chain(&dirs).cloned().collect();
        self.find(&[name], &candidates)
    }

    /// The first candidate that can be run, is not ours and was not called already; else the first
    /// that was called.
    pub fn first(&self, candidates: impl Iterator<Item = PathBuf>) -> Result<Option<PathBuf>, FindToolError> {
        if self.called.len() > DEPTH_MAX {
            return Err(FindToolError::TooDeep { depth: self.called.len() });
        }
        let mut again = None;
        for path in candidates.filter(|path| self.accepts(path)) {
            if !self.called.contains(&path) {
                return Ok(Some(path));
            }
            again.get_or_insert(path);
        }
        Ok(again)
    }

    /// The file can be run and is not one of ours.
    pub fn accepts(&self, path: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else { return false };
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 && !self.is_ours(&metadata)
    }

    fn is_ours(&self, metadata: &Metadata) -> bool {
        self.ours.contains(&identity(metadata))
    }
}

/// The real path of this program. Where there is no `/proc`, `argv[0]` names it.
pub fn our_program(argv0: &OsStr) -> Option<PathBuf> {
    let named = || std::fs::canonicalize(named_by(argv0)?).ok();
    std::fs::read_link("/proc/self/exe").ok().or_else(named)
}

/// The file that was run as `argv0`: a path, or a program on PATH.
fn named_by(argv0: &OsStr) -> Option<PathBuf> {
    if Path::new(argv0).components().count() > 1 {
        return Some(argv0.into());
    }
    dirs_of("PATH").into_iter().map(|dir| dir.join(argv0)).find(|path| path.is_file())
}

/// The directories of a PATH-like variable; an empty entry is the working directory, as execvp has
/// it.
pub fn dirs_of(variable: &str) -> Vec<PathBuf> {
    let Some(value) = environment::var(variable) else { return Vec::new() };
    std::env::split_paths(value)
        .map(|dir| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir })
        .collect()
}

/// The file starts with `#!`. A file that cannot be read does not.
pub fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    small_file::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"#!"
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
