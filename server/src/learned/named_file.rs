//! A file with its name, as answers list it.

use super::{SoftwareName, SoftwareNames};
use crate::registry::RegistryError;
use ogrt_proto::hex;
use serde::Serialize;

/// See the module.
#[derive(Debug, Serialize)]
pub struct NamedFile {
    #[serde(skip_serializing_if = "String::is_empty")]
    build_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(flatten)]
    name: SoftwareName,
}

impl NamedFile {
    /// Looks a file up; `None` where nothing explains it.
    pub fn find(names: &SoftwareNames, build_id: &[u8], path: &[u8]) -> Result<Option<Self>, RegistryError> {
        let named = |name| {
            let path = String::from_utf8_lossy(path).into_owned();
            NamedFile { build_id: hex(build_id), path, name }
        };
        Ok(names.name(build_id, path)?.map(named))
    }
}
