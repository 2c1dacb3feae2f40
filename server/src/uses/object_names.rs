//! What a loaded file is known by from outside: its build-id and its path.
//!
//! A package of a language, such as a Python module, stands beside files, under a path that no file
//! has: `NUL language NUL name NUL version`.

/// Longest name of a package, of its language and of its version.
const PACKAGE_NAME_MAX: usize = 255;

/// The number of an object.
pub type ObjectNumber = u64;

/// The build-id and the path of an object; one of them may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName<'a> {
    pub build_id: &'a [u8],
    pub path: &'a [u8],
}

impl<'a> ObjectName<'a> {
    /// Its bytes on disk.
    pub fn bytes(&self) -> Vec<u8> {
        [&[self.build_id.len() as u8], self.build_id, self.path].concat()
    }

    /// Reads what was written.
    pub fn read(bytes: &'a [u8]) -> Option<ObjectName<'a>> {
        let (len, rest) = bytes.split_first()?;
        let (build_id, path) = rest.split_at_checked(usize::from(*len))?;
        Some(ObjectName { build_id, path })
    }

    /// The language and the name of a package; `None` where it is a file.
    pub fn package(&self) -> Option<(&'a [u8], &'a [u8])> {
        let mut parts = self.path.strip_prefix(b"\0")?.split(|byte| *byte == 0);
        Some((parts.next()?, parts.next()?))
    }

    /// The version of a package, where it is known.
    pub fn version(&self) -> Option<&'a [u8]> {
        self.path.strip_prefix(b"\0")?.split(|byte| *byte == 0).nth(2).filter(|version| !version.is_empty())
    }

    /// The keys that it is found by, but for its digest.
    pub fn keys(&self, object: ObjectNumber) -> Vec<Vec<u8>> {
        let number = object.to_be_bytes();
        let mut keys = Vec::new();
        if let Some((language, name)) = self.package() {
            keys.push([&package_prefix(name)[..], language, b"\0", &number].concat());
            return keys;
        }
        if !self.build_id.is_empty() {
            keys.push([&build_id_prefix(self.build_id)[..], &number].concat());
        }
        if !self.path.is_empty() {
            keys.push([b"p", self.path, &number].concat());
            keys.push([b"n", file_name(self.path), &number].concat());
        }
        keys
    }
}

/// What the keys of a build-id begin with.
pub fn build_id_prefix(build_id: &[u8]) -> Vec<u8> {
    [&[b'b', build_id.len() as u8], build_id].concat()
}

/// What the keys of a package begin with.
pub fn package_prefix(name: &[u8]) -> Vec<u8> {
    [b"k", name, b"\0"].concat()
}

/// The path of a package; `None` where its name is empty, too long, or no text.
pub fn package_path(language: &[u8], name: &[u8], version: &[u8]) -> Option<Vec<u8>> {
    let is_good = |text: &[u8]| text.len() <= PACKAGE_NAME_MAX && !text.contains(&0);
    let is_package = !name.is_empty() && [language, name, version].into_iter().all(is_good);
    is_package.then(|| [b"\0", language, b"\0", name, b"\0", version].concat())
}

/// The path of a file as somebody tells it; empty where it would be that of a package.
pub fn file_path(path: &[u8]) -> &[u8] {
    if path.starts_with(b"\0") { &[] } else { path }
}

/// The name of a file, from its path.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
