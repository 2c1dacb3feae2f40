//! The directory of what is remembered from one link to the next.
//!
//! Others must not be able to write into it: what lies there is believed.

use crate::environment;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// `$XDG_CACHE_HOME/ogrt` or `$HOME/.cache/ogrt`, created if it is missing. `None` where others may
/// write into it.
pub fn cache_dir() -> Option<PathBuf> {
    let base = environment::var("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| environment::var("HOME").map(|home| Path::new(home).join(".cache")))
        .filter(|base| base.is_absolute())?;
    let dir = base.join("ogrt");
    let metadata = match std::fs::metadata(&dir) {
        Ok(metadata) => metadata,
        Err(_) => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok()?;
            std::fs::metadata(&dir).ok()?
        }
    };
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    (metadata.is_dir() && is_ours).then_some(dir)
}
