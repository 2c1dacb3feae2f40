//! `ogrt export --format omnibor`: an OmniBOR input manifest.
//!
//! Source: omnibor/spec `spec/SPEC.md` 0.2, section 6.3: a header line, then the ids of the inputs
//! in lexical order. An id is SHA-256 over a git blob's header and the content, so it does not
//! follow from the SHA-256 that every record has: it is recorded on request (OGRT_OMNIBOR=1), or
//! made now from a file that still has the recorded digest.

use ogrt_proto::{FileJson, hex};
use ogrt_wrap::record::digest;
use std::{collections::BTreeSet, fs, path::Path};

/// Each input with its id; `None` where it was not recorded and the file is not as it was.
pub fn identify(inputs: &[FileJson]) -> Vec<(&FileJson, Option<String>)> {
    inputs.iter().map(|input| (input, input.gitoid.clone().or_else(|| from_file(input)))).collect()
}

/// The manifest of the inputs that have an id.
pub fn text(inputs: &[(&FileJson, Option<String>)]) -> String {
    let ids: BTreeSet<&str> = inputs.iter().filter_map(|(_, id)| id.as_deref()).collect();
    let mut manifest = String::from("gitoid:blob:sha256\n");
    for id in ids {
        manifest += id;
        manifest.push('\n');
    }
    manifest
}

fn from_file(input: &FileJson) -> Option<String> {
    let path = Path::new(&input.path);
    let metadata = fs::metadata(path).ok().filter(|metadata| metadata.is_file() && path.is_absolute())?;
    if metadata.len() != input.size || input.sha256.is_empty() {
        return None;
    }
    let (sha256, gitoid) = digest::sha256_and_gitoid(&fs::File::open(path).ok()?, input.size).ok()?;
    (hex(&sha256) == input.sha256).then(|| hex(&gitoid))
}
