//! The directory of what is remembered from one link to the next.
//!
//! Others must not be able to write into it: what lies there is believed.

use crate::environment;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `$XDG_CACHE_HOME/ogrt` or `$HOME/.cache/ogrt`, created if it is missing. `None` where others may
/// write into it. It is looked at once: a link asks for it several times.
pub fn cache_dir() -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    DIR.get_or_init(look).as_deref()
}

fn look() -> Option<PathBuf> {
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
