//! The two libraries that take the name `libogrt.so` in turn: ours, and one that does nothing.

use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Both libraries, built.
#[derive(Debug)]
pub struct Libraries {
    /// The `libogrt.so` that is shipped.
    pub ours: PathBuf,
    /// A library that does nothing. As an audit library it asks to be unloaded.
    pub empty: PathBuf,
}

impl Libraries {
    /// Builds ours by its own call of cargo, as `cargo xtask` does, and the empty one in `folder`.
    pub fn build(folder: &Path) -> Result<Libraries> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), PathBuf::from)
            .join("preload");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--manifest-path"])
            .arg(root.join("preload/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status()
            .context("cargo")?;
        ensure!(status.success(), "preload does not build");
        let source = folder.join("empty.c");
        fs::write(&source, "unsigned la_version(unsigned version) { (void)version; return 0; }\n")?;
        let empty = folder.join("libempty.so");
        let status = Command::new("gcc")
            .args(["-shared", "-fPIC", "-nostdlib", "-o"])
            .arg(&empty)
            .arg(&source)
            .status()?;
        ensure!(status.success(), "gcc does not build {}", source.display());
        Ok(Libraries { ours: target.join("release/libogrt.so"), empty })
    }
}
