//! Learned files in the server's own database.
//!
//! ```text
//! learned  'e' length of the build-id, build-id, path -> names, as JSON
//!          'p' path, NUL, entry                       -> nothing
//!          'n' software or package, NUL, entry        -> nothing
//! ```

use super::{
    file::{FileNames, LearnedFile, entry_key, read_key},
    sketches::{SketchTable, SketchWrites},
};
use crate::{database::LearnedStore, registry::RegistryError};

/// Most keys that one list looks at.
const LOOKED_AT_MAX: usize = 100_000;

const ENTRY: u8 = b'e';
const BY_PATH: u8 = b'p';
const BY_NAME: u8 = b'n';

type Result<T> = std::result::Result<T, RegistryError>;

/// See the module.
pub struct FileTable {
    pub store: LearnedStore,
}

/// What a list of learned files is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct FileFilter {
    pub build_id: Option<Vec<u8>>,
    pub path: Option<Vec<u8>>,
    /// The name of software or of a package.
    pub name: Option<String>,
    /// Files behind the one of this key, which is where the page before ended.
    pub after: Option<Vec<u8>>,
    pub limit: usize,
}

/// A page of learned files.
#[derive(Debug, Default)]
pub struct FilePage {
    pub files: Vec<LearnedFile>,
    /// The key of the last one, if there may be more behind it.
    pub next: Option<Vec<u8>>,
}

impl FileTable {
    /// The names of an entry.
    pub fn get(&self, entry: &[u8]) -> Result<Option<FileNames>> {
        let value = self.store.files.get([&[ENTRY], entry].concat())?;
        value.map(|value| read_names(&value)).transpose()
    }

    /// The number of entries.
    pub fn count(&self) -> Result<u64> {
        Ok(self.store.count.get()?)
    }

    /// The entries of a build-id: the path and the names of each, at most `limit`.
    pub fn of_build_id(&self, build_id: &[u8], limit: usize) -> Result<Vec<LearnedFile>> {
        let begin = [&[ENTRY], &entry_key(build_id, &[])[..]].concat();
        let entries = self.store.files.prefix(begin).take(limit);
        entries
            .map(|entry| {
                let (key, value) = entry.into_inner()?;
                learned_file(&key[1..], &value)
            })
            .collect()
    }

    /// Writes entries, in one write with the place up to which they follow the shared ones.
    pub fn put(&self, files: &[LearnedFile], followed_until: Option<u64>) -> Result<()> {
        let store = &self.store;
        let (mut writes, mut count) = (store.database.writes(), store.count.get()?);
        let mut fresh = std::collections::BTreeSet::new();
        let sketches = SketchTable { store: store.clone() };
        let mut sketch_writes = SketchWrites::default();
        for file in files {
            let entry = file.key();
            match self.get(&entry)? {
                Some(before) => {
                    name_keys(&before, &entry).into_iter().for_each(|key| writes.remove(&store.files, key));
                }
                None => count += u64::from(fresh.insert(entry.clone())),
            }
            name_keys(&file.names, &entry).into_iter().for_each(|key| writes.insert(&store.files, key, []));
            if !file.path.is_empty() {
                writes.insert(&store.files, index_key(BY_PATH, &file.path, &entry), []);
            }
            let value = serde_json::to_vec(&file.names).unwrap_or_default();
            writes.insert(&store.files, [&[ENTRY], &entry[..]].concat(), value);
            sketches.put(file, &mut sketch_writes, &mut writes)?;
        }
        writes.set(&store.count, count);
        if let Some(until) = followed_until {
            writes.set(&store.followed_until, until);
        }
        writes.commit()?;
        Ok(store.database.sync()?)
    }

    /// A page of the files that fit, in the order of their keys.
    pub fn list(&self, filter: &FileFilter) -> Result<FilePage> {
        let begin = match (&filter.build_id, &filter.path, &filter.name) {
            (Some(build_id), ..) => [&[ENTRY], &entry_key(build_id, &[])[..]].concat(),
            (None, Some(path), _) => index_key(BY_PATH, path, &[]),
            (None, None, Some(name)) => index_key(BY_NAME, name.as_bytes(), &[]),
            (None, None, None) => vec![ENTRY],
        };
        // What the index finds by stands in front of the entry.
        let skip = if begin[0] == ENTRY { 1 } else { begin.len() };
        let from = match &filter.after {
            // The first key behind it.
            Some(after) => [&begin[..skip], after, &[0]].concat(),
            None => begin.clone(),
        };
        let (mut page, mut last) = (FilePage::default(), None);
        for (looked_at, key) in self.store.files.range(from..).enumerate() {
            let key = key.key()?;
            if !key.starts_with(&begin) {
                return Ok(page);
            }
            if page.files.len() >= filter.limit || looked_at >= LOOKED_AT_MAX {
                page.next = last;
                return Ok(page);
            }
            let entry = &key[skip..];
            last = Some(entry.to_vec());
            let Some(value) = self.store.files.get([&[ENTRY], entry].concat())? else { continue };
            let file = learned_file(entry, &value)?;
            if filter.fits(&file) {
                page.files.push(file);
            }
        }
        Ok(page)
    }
}

impl FileFilter {
    fn fits(&self, file: &LearnedFile) -> bool {
        self.path.as_ref().is_none_or(|path| *path == file.path)
            && self
                .name
                .as_ref()
                .is_none_or(|name| *name == file.names.software || *name == file.names.package)
    }
}

fn index_key(tag: u8, found_by: &[u8], entry: &[u8]) -> Vec<u8> {
    [&[tag], found_by, &[0], entry].concat()
}

/// The keys that an entry is found by for its names.
fn name_keys(names: &FileNames, entry: &[u8]) -> Vec<Vec<u8>> {
    let all = [&names.software, &names.package];
    let all = all.into_iter().filter(|name| !name.is_empty());
    all.map(|name| index_key(BY_NAME, name.as_bytes(), entry)).collect()
}

fn read_names(value: &[u8]) -> Result<FileNames> {
    serde_json::from_slice(value).map_err(|why| RegistryError::damaged("a learned file", why))
}

fn learned_file(entry: &[u8], value: &[u8]) -> Result<LearnedFile> {
    let (build_id, path) =
        read_key(entry).ok_or_else(|| RegistryError::damaged("a learned file", "its key is cut"))?;
    let (build_id, path) = (build_id.to_vec(), path.to_vec());
    Ok(LearnedFile { build_id, path, names: read_names(value)?, sketch: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;

    fn file(build_id: &[u8], path: &str, software: &str, version: &str) -> LearnedFile {
        let names = FileNames {
            software: software.into(),
            version: version.into(),
            package: format!("{software}-bin"),
            packager: "dpkg".into(),
            ..FileNames::default()
        };
        LearnedFile { build_id: build_id.to_vec(), path: path.into(), names, sketch: None }
    }

    #[test]
    fn files_are_found_by_build_id_path_and_name_in_pages() {
        let directory = tempfile::tempdir().unwrap();
        let table = FileTable { store: Store::open(directory.path()).unwrap().learned() };
        let mut files = vec![
            file(&[1], "/usr/bin/ls", "coreutils", "9.1"),
            file(&[1], "/opt/copy/ls", "coreutils", "9.1"),
            file(&[1, 2], "/usr/bin/ls", "coreutils", "9.4"),
            file(&[], "/usr/bin/ldd", "glibc", "2.36"),
        ];
        table.put(&files, None).unwrap();
        table.put(&files[..1], None).unwrap();
        assert_eq!(table.count().unwrap(), 4);
        let list = |filter: FileFilter| {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = table.list(&FileFilter { limit: 1, after, ..filter.clone() }).unwrap();
                found.extend(page.files);
                after = page.next;
                if after.is_none() {
                    found.sort_by_key(LearnedFile::key);
                    return found;
                }
            }
        };
        files.sort_by_key(LearnedFile::key);
        let by = |fits: &dyn Fn(&LearnedFile) -> bool| -> Vec<LearnedFile> {
            files.iter().filter(|file| fits(file)).cloned().collect()
        };
        assert_eq!(list(FileFilter::default()), files);
        let filter = FileFilter { build_id: Some(vec![1]), ..FileFilter::default() };
        assert_eq!(list(filter), by(&|file| file.build_id == [1]));
        let filter = FileFilter { path: Some("/usr/bin/ls".into()), ..FileFilter::default() };
        assert_eq!(list(filter), by(&|file| file.path == b"/usr/bin/ls"));
        for name in ["coreutils", "coreutils-bin"] {
            let filter = FileFilter { name: Some(name.into()), ..FileFilter::default() };
            assert_eq!(list(filter), by(&|file| file.names.software == "coreutils"));
        }
        // What has another name now is not found by the one of before.
        table.put(&[file(&[1], "/usr/bin/ls", "uutils", "0.1")], None).unwrap();
        let filter = FileFilter { name: Some("uutils".into()), ..FileFilter::default() };
        assert_eq!(list(filter).len(), 1);
        let filter = FileFilter { name: Some("coreutils".into()), ..FileFilter::default() };
        assert_eq!((list(filter).len(), table.count().unwrap()), (2, 4));
        assert_eq!(table.of_build_id(&[1], 10).unwrap().len(), 2);
        assert_eq!(table.of_build_id(&[2], 10).unwrap().len(), 0);
    }
}
