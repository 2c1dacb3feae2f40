//! An installation as JSON, as the HTTP API gives it, with the keys of a build record.

use crate::{Installation, InstalledFile, MetadataJson, Registrar};
use ogrt_note::Signature;
use serde::{Deserialize, Serialize};

/// What a package manager installed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstallationJson {
    /// Absolute path.
    pub prefix: String,
    /// What was installed.
    pub metadata: MetadataJson,
    /// Path of its module file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_file: Option<String>,
    /// Time of the registration, nanoseconds of Unix time.
    pub registered_ns: i64,
    /// Host on which it was registered.
    pub hostname: String,
    /// User who registered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// That user's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Who registered it: the token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
    /// How that is known: `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_with: Option<String>,
    /// Every linked ELF file in it.
    pub files: Vec<InstalledFileJson>,
    /// Name and version of the program that registered it.
    pub client: String,
}

/// A file of an installation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstalledFileJson {
    /// Path below the prefix.
    pub path: String,
    /// Signatures of its notes as UUID text; none in a file that was built without OGRT.
    pub signatures: Vec<String>,
}

impl From<&Installation> for InstallationJson {
    fn from(installation: &Installation) -> Self {
        let (by, with) = installation.registrar.as_ref().and_then(Registrar::name).unzip();
        InstallationJson {
            prefix: text(installation.prefix()),
            metadata: installation.metadata.as_ref().map(MetadataJson::from).unwrap_or_default(),
            module_file: installation.module_file.as_deref().map(text),
            registered_ns: installation.time_ns(),
            hostname: installation.hostname().into(),
            uid: installation.uid,
            username: installation.username.clone(),
            registered_by: by,
            registered_with: with.map(str::to_owned),
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
