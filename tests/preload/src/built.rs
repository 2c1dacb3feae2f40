//! The library, built as `cargo xtask` builds it, once for all tests of a run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("preload")
}

/// Path of `libogrt.so`.
pub fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../preload/Cargo.toml");
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(target())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "libogrt.so does not build");
        target().join("release/libogrt.so").canonicalize().unwrap_or_default()
    })
}

/// A shared object that does nothing, to compare with: what loading any library costs is not ours. Made in
/// `folder`.
pub fn empty_library(folder: &Path) -> PathBuf {
    let path = folder.join("libempty.so");
    let source = folder.join("empty.c");
    let built = fs::write(&source, "").is_ok()
        && Command::new("gcc")
            .args(["-shared", "-fPIC", "-nostdlib", "-Wl,-z,noseparate-code,-z,norelro", "-o"])
            .args([&path, &source])
            .status()
            .is_ok_and(|status| status.success());
    assert!(built, "gcc does not make {}", path.display());
    path
}
