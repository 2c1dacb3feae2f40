//! The real tool: the next program of that name that is not one of ours.
//!
//! "Ours" is decided by device and inode, so that symlinks, hard links and masquerade under other names are all
//! recognised. A script that stands in front of the tool (ccache's, EasyBuild's RPATH wrapper) is somebody's
//! intention and is called like any tool; when such a script finds us again by PATH, the depth guard makes us
//! step over scripts, and in the end give up instead of going round for ever.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Called this deep, scripts are stepped over.
const DEPTH_WITHOUT_SCRIPTS: u32 = 4;

/// Called this deep, nothing is run any more.
const DEPTH_MAX: u32 = 12;

/// Why the real tool could not be named.
#[derive(Debug, thiserror::Error)]
pub enum FindToolError {
    /// No candidate in any directory.
    #[error("no {name} but ours in {searched}")]
    NotFound {
        /// The name looked for.
        name: String,
        /// Where.
        searched: String,
    },
    /// We were called by what we call.
    #[error("{variable}={depth}: the tools on PATH call each other")]
    TooDeep {
        /// The guard variable.
        variable: &'static str,
        /// Its value.
        depth: u32,
    },
}

/// Recognises our own programs, and counts how deep in each other they run.
#[derive(Debug)]
pub struct Finder {
    ours: Vec<(u64, u64)>,
    depth_variable: &'static str,
    depth: u32,
}

impl Finder {
    /// For this running program; `depth_variable` names its guard.
    pub fn new(depth_variable: &'static str) -> Finder {
        let ours = std::fs::metadata("/proc/self/exe").ok().as_ref().map(identity).into_iter().collect();
        let depth =
            std::env::var(depth_variable).ok().and_then(|depth| depth.parse().ok()).unwrap_or_default();
        Finder { ours, depth_variable, depth }
    }

    /// The same, where `/proc` tells nothing: what `argv[0]` leads to is ours as well.
    pub fn also_ours(mut self, argv0: &OsStr) -> Finder {
        if Path::new(argv0).components().count() > 1 {
            self.ours.extend(std::fs::metadata(argv0).ok().as_ref().map(identity));
        }
        self
    }

    /// The guard variable and its value for what we run.
    pub fn guard(&self) -> (&'static str, OsString) {
        (self.depth_variable, OsString::from((self.depth + 1).to_string()))
    }

    /// The first program of one of these names, directories first, that is not ours.
    pub fn find(&self, names: &[&OsStr], dirs: &[PathBuf]) -> Result<PathBuf, FindToolError> {
        if self.depth > DEPTH_MAX {
            return Err(FindToolError::TooDeep { variable: self.depth_variable, depth: self.depth });
        }
        names
            .iter()
            .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
            .find(|path| self.accepts(path))
            .ok_or_else(|| FindToolError::NotFound {
                name: names.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", "),
                searched: dirs.iter().map(|dir| dir.to_string_lossy()).collect::<Vec<_>>().join(":"),
            })
    }

    /// This file can be run and is not one of ours.
    pub fn accepts(&self, path: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else { return false };
        metadata.is_file()
            && metadata.permissions().mode() & 0o111 != 0
            && !self.ours.contains(&identity(&metadata))
            && (self.depth < DEPTH_WITHOUT_SCRIPTS || !is_script(path))
    }
}

/// The directories of a PATH-like variable; an empty entry is the working directory, as execvp has it.
pub fn dirs_of(variable: &str) -> Vec<PathBuf> {
    let Some(value) = std::env::var_os(variable) else { return Vec::new() };
    std::env::split_paths(&value)
        .map(|dir| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir })
        .collect()
}

/// The file starts with `#!`; what cannot be read does not.
pub fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start == b"#!"
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
