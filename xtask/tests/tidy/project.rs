//! The project's files, as all rules read them.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files of the project, relative to its folder. What cargo marks as a cache is none of it.
pub fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            if path.is_symlink() || matches!(name.to_str(), Some(".git" | "target" | "__pycache__")) {
                continue;
            }
            if path.is_dir() {
                if !path.join("CACHEDIR.TAG").exists() {
                    walk(&path, found);
                }
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    assert!(found.iter().any(|path| path == Path::new("xtask/tests/tidy/main.rs")), "{} files", found.len());
    found.sort();
    found
}

/// Path and text of each file whose name ends so.
pub fn with_extension(extension: &str) -> Vec<(PathBuf, String)> {
    let files = files().into_iter().filter(|path| path.extension() == Some(OsStr::new(extension)));
    files.map(|path| (path.clone(), fs::read_to_string(root().join(&path)).unwrap())).collect()
}

/// Fails with all offenders, a line each.
pub fn fail_if_any(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}
