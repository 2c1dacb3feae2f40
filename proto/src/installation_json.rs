//! An installation as JSON, as the HTTP API gives it; in the same terms as a build record.

use crate::{Installation, InstalledFile, MetadataJson};
use ogrt_note::Signature;
use serde::{Deserialize, Serialize};

/// What a package manager installed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstallationJson {
    /// Where it is.
    pub prefix: String,
    /// Who installed what.
    pub metadata: MetadataJson,
    /// Path of the module file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_file: Option<String>,
    /// When it was registered, nanoseconds of Unix time.
    pub time_ns: i64,
    /// Where it was registered.
    pub hostname: String,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Their name, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Every linked ELF file in it.
    pub files: Vec<InstalledFileJson>,
    /// Name and version of the program that registered it.
    pub client: String,
}

/// A file of an installation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstalledFileJson {
    /// Below the prefix.
    pub path: String,
    /// UUID text; none in a file that was built without us.
    pub signatures: Vec<String>,
}

impl From<&Installation> for InstallationJson {
    fn from(installation: &Installation) -> Self {
        InstallationJson {
            prefix: text(installation.prefix()),
            metadata: installation.metadata.as_ref().map(MetadataJson::from).unwrap_or_default(),
            module_file: installation.module_file.as_deref().map(text),
            time_ns: installation.time_ns(),
            hostname: installation.hostname().into(),
            uid: installation.uid,
            username: installation.username.clone(),
            files: installation.files.iter().map(InstalledFileJson::from).collect(),
            client: installation.client().into(),
        }
    }
}

impl From<&InstalledFile> for InstalledFileJson {
    fn from(file: &InstalledFile) -> Self {
        let signatures = file.signatures.iter().filter_map(|bytes| Signature::from_slice(bytes));
        InstalledFileJson {
            path: text(file.path()),
            signatures: signatures.map(|signature| signature.to_string()).collect(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
