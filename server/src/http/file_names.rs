//! The names of the files that a page of a job's processes ran and loaded without a registered
//! build: each file once, by its build-id and its path.

use crate::{
    learned::{NamedFile, SoftwareNames},
    registry::{RegistryError, found_by::hexadecimal},
};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeSet};

/// Most files of one page that are looked up.
const FILES_MAX: usize = 50_000;

/// Build-id, in hexadecimal, and path.
type File = (String, String);

/// See the module.
#[derive(Default)]
pub struct FileNames {
    files: BTreeSet<File>,
    is_cut: bool,
}

/// The keys that are read of a process's document.
#[derive(Deserialize)]
struct Process<'a> {
    #[serde(borrow, default)]
    binpath: Cow<'a, str>,
    #[serde(borrow, default)]
    build_id: Cow<'a, str>,
    #[serde(borrow)]
    build: Option<Build<'a>>,
    #[serde(borrow, default)]
    shared_objects: Vec<Object<'a>>,
    #[serde(borrow)]
    end: Option<End<'a>>,
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow, default)]
    shared_objects: Vec<Object<'a>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    build_id: Cow<'a, str>,
    #[serde(borrow)]
    build: Option<Build<'a>>,
}

#[derive(Deserialize)]
struct Build<'a> {
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
}

impl FileNames {
    /// Takes the files of a process, by its document.
    pub fn take(&mut self, document: &[u8]) {
        // One that cannot be read has no names.
        let Ok(process) = serde_json::from_slice::<Process<'_>>(document) else { return };
        self.add(&process.build_id, &process.binpath, process.build.as_ref());
        let later = process.end.map(|end| end.shared_objects).unwrap_or_default();
        for object in process.shared_objects.iter().chain(&later) {
            self.add(&object.build_id, &object.path, object.build.as_ref());
        }
    }

    fn add(&mut self, build_id: &str, path: &str, build: Option<&Build<'_>>) {
        let is_registered = build.is_some_and(|build| build.source.as_deref() == Some("record"));
        if is_registered || (path.is_empty() && build_id.is_empty()) {
            return;
        }
        let file = (build_id.to_owned(), path.to_owned());
        match self.files.len() < FILES_MAX {
            true => drop(self.files.insert(file)),
            false => self.is_cut |= !self.files.contains(&file),
        }
    }

    /// The files that have a name; and true if some were not looked up.
    pub fn named(&self, names: &SoftwareNames) -> Result<(Vec<NamedFile>, bool), RegistryError> {
        let mut named = Vec::new();
        for (build_id, path) in &self.files {
            let bytes = hexadecimal(build_id).unwrap_or_default();
            named.extend(NamedFile::find(names, &bytes, path.as_bytes())?);
        }
        Ok((named, self.is_cut))
    }
}
