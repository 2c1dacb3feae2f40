//! A learned file: its build-id, its path, and the names of its package.

use crate::registry::found_by::hexadecimal;
use base64::{Engine, engine::general_purpose::STANDARD};
use ogrt_sketch::Sketch;
use serde::{Deserialize, Serialize};

/// Longest path and build-id, in bytes: as uses keep them.
const PATH_MAX: usize = 4096;
const BUILD_ID_MAX: usize = 64;

/// Longest name, version or source, in bytes.
const NAME_MAX: usize = 255;

/// Most files of one batch.
const FILES_MAX: usize = 20_000;

/// A file that was learned. The build-id or the path may be empty, but not both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedFile {
    pub build_id: Vec<u8>,
    pub path: Vec<u8>,
    pub names: FileNames,
    /// What another version of it would resemble.
    pub sketch: Option<Sketch>,
}

/// The names of a file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct FileNames {
    /// What people call the software.
    pub software: String,
    #[serde(default)]
    pub version: String,
    /// The package that the file belongs to, where it has another name.
    #[serde(default)]
    pub package: String,
    /// The kind of package: dpkg, rpm, conda and so on.
    pub packager: String,
    /// The place where this was learned, for example the name of a node image.
    #[serde(default)]
    pub source: String,
    /// The time when this was first learned, Unix time in nanoseconds.
    #[serde(default)]
    pub learned_ns: i64,
}

/// They are the same, whenever they were learned.
impl PartialEq for FileNames {
    fn eq(&self, other: &Self) -> bool {
        let texts = |names: &Self| {
            let FileNames { software, version, package, packager, source, learned_ns: _ } = names.clone();
            [software, version, package, packager, source]
        };
        texts(self) == texts(other)
    }
}

impl Eq for FileNames {}

/// The body of a batch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    #[serde(default)]
    source: String,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    packager: String,
    software: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    package: String,
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    path: String,
    #[serde(default)]
    build_id: String,
    #[serde(default)]
    sketch: String,
}

/// Why a batch is refused.
#[derive(Debug, thiserror::Error)]
pub enum RefusedBatch {
    #[error("the body is not a list of packages as docs/api.md has it: {0}")]
    Malformed(serde_json::Error),
    #[error("a batch has {FILES_MAX} files at most: send several")]
    TooMany,
    #[error("{0:?}: names have 1 to {NAME_MAX} bytes without control characters; others may be empty")]
    Name(String),
    #[error("{0:?}: expected an absolute path of at most {PATH_MAX} bytes without NUL")]
    Path(String),
    #[error("{0:?}: expected the hexadecimal digits of a build-id")]
    BuildId(String),
    #[error("{0:?}: expected a sketch of this version in base64")]
    Sketch(String),
    #[error("a file of {0:?} has neither a path nor a build-id")]
    Nameless(String),
}

/// Reads what a client sent, and checks that it can be kept.
pub fn read_batch(body: &[u8], now_ns: i64) -> Result<Vec<LearnedFile>, RefusedBatch> {
    let batch: Batch = serde_json::from_slice(body).map_err(RefusedBatch::Malformed)?;
    if batch.packages.iter().map(|package| package.files.len()).sum::<usize>() > FILES_MAX {
        return Err(RefusedBatch::TooMany);
    }
    check_name(&batch.source, true)?;
    let mut files = Vec::new();
    for package in batch.packages {
        let Package { packager, software, version, package, files: listed } = package;
        [&packager, &software].into_iter().try_for_each(|name| check_name(name, false))?;
        [&version, &package].into_iter().try_for_each(|name| check_name(name, true))?;
        let source = batch.source.clone();
        let names = FileNames { software, version, package, packager, source, learned_ns: now_ns };
        for file in listed {
            files.push(file.read(&names)?);
        }
    }
    Ok(files)
}

impl File {
    fn read(self, names: &FileNames) -> Result<LearnedFile, RefusedBatch> {
        let File { path, build_id, sketch } = self;
        if path.is_empty() && build_id.is_empty() {
            return Err(RefusedBatch::Nameless(names.software.clone()));
        }
        let is_path = path.starts_with('/') && path.len() <= PATH_MAX && !path.contains('\0');
        if !path.is_empty() && !is_path {
            return Err(RefusedBatch::Path(path));
        }
        let bytes = hexadecimal(&build_id).filter(|bytes| bytes.len() <= BUILD_ID_MAX);
        let bytes = bytes.ok_or(RefusedBatch::BuildId(build_id))?;
        let sketch = match sketch.is_empty() {
            true => None,
            false => Some(read_sketch(&sketch)?),
        };
        Ok(LearnedFile { build_id: bytes, path: path.into_bytes(), names: names.clone(), sketch })
    }
}

/// Reads a sketch in base64.
pub fn read_sketch(text: &str) -> Result<Sketch, RefusedBatch> {
    let bytes = STANDARD.decode(text).ok();
    bytes.and_then(|bytes| Sketch::decode(&bytes)).ok_or_else(|| RefusedBatch::Sketch(text.to_owned()))
}

fn check_name(name: &str, may_be_empty: bool) -> Result<(), RefusedBatch> {
    let is_empty = name.is_empty() && !may_be_empty;
    match is_empty || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        true => Err(RefusedBatch::Name(name.to_owned())),
        false => Ok(()),
    }
}

impl LearnedFile {
    /// The key of its entry.
    pub fn key(&self) -> Vec<u8> {
        entry_key(&self.build_id, &self.path)
    }
}

/// The key of an entry: all of a build-id stand together.
pub fn entry_key(build_id: &[u8], path: &[u8]) -> Vec<u8> {
    [&[build_id.len() as u8], build_id, path].concat()
}

/// The build-id and the path of an entry.
pub fn read_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = key.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(software: &str, path: &str, build_id: &str) -> String {
        serde_json::json!({ "packages": [{ "packager": "dpkg", "software": software,
            "files": [{ "path": path, "build_id": build_id }] }] })
        .to_string()
    }

    #[test]
    fn a_batch_is_read_and_what_cannot_be_kept_is_refused() {
        let read = |text: &str| read_batch(text.as_bytes(), 7);
        let files = read(&batch("coreutils", "/usr/bin/ls", "ab01")).unwrap();
        assert_eq!(
            (files[0].build_id.as_slice(), files[0].path.as_slice()),
            (&[0xAB, 1][..], &b"/usr/bin/ls"[..])
        );
        assert_eq!(read_key(&files[0].key()), Some((&[0xAB, 1][..], &b"/usr/bin/ls"[..])));
        assert_eq!(files[0].names.learned_ns, 7);
        let long = "x".repeat(256);
        for (software, path, build_id) in [
            ("", "/a", ""),
            ("a\nb", "/a", ""),
            (&long[..], "/a", ""),
            ("a", "", ""),
            ("a", "usr/bin/ls", ""),
            ("a", "/a\0b", ""),
            ("a", &format!("/{}", "x".repeat(PATH_MAX)), ""),
            ("a", "/a", "abc"),
            ("a", "/a", &"ab".repeat(65)),
        ] {
            assert!(read(&batch(software, path, build_id)).is_err(), "{software:?} {path:?} {build_id:?}");
        }
        for text in ["", "{}", "[]", "{\"packages\": 1}", "{\"packages\": [], \"x\": 1}"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("{\"packages\": []}").unwrap().is_empty());
    }
}
