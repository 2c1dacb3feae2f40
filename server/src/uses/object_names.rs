//! What a loaded file is known by from outside: its build-id and its path.

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

    /// The keys that it is found by, but for its digest.
    pub fn keys(&self, object: ObjectNumber) -> Vec<Vec<u8>> {
        let number = object.to_be_bytes();
        let mut keys = Vec::new();
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

/// The name of a file, from its path.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
