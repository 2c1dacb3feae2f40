//! Installations: what package managers put where, to be found by prefix, by module and by the builds in it.
//!
//! Each registration is kept, because a prefix may be built anew while jobs that ran the old one are still asked
//! about; the newest of a prefix is the one that is there. One keyspace holds them under their time, and below three
//! other tags the same times under what they are found by.

use super::{
    RegistryError,
    error::{OrDamaged, Result},
};
use crate::database::InstallationStore;
use ogrt_note::Signature;
use ogrt_proto::Installation;
use prost::Message;
use sha2::{Digest, Sha256};

/// Most signatures of one installation. The largest that are known have some ten thousand files.
const SIGNATURES_MAX: usize = 200_000;

/// Longest prefix or module name, so that a key stays one that the database takes.
const NAME_BYTES_MAX: usize = 4096;

/// Most that one listing looks at.
const LOOKED_AT_MAX: usize = 100_000;

const BY_TIME: u8 = b't';
const BY_PREFIX: u8 = b'p';
const BY_MODULE: u8 = b'm';
const BY_SIGNATURE: u8 = b's';

/// Time and digest: what names a registration.
const ID_LEN: usize = 16;

/// See the module.
pub struct Installations {
    store: InstallationStore,
}

/// Which ones. Of several conditions the narrowest is looked up, and the others are held against what it finds.
#[derive(Clone, Debug, Default)]
pub struct InstallationFilter {
    /// In exactly this directory.
    pub prefix: Option<Vec<u8>>,
    /// That load under this name.
    pub module: Option<String>,
    /// In which some file has this signature.
    pub signature: Option<Signature>,
    /// Older than that with this name: where the page before ended.
    pub before: Option<InstallationId>,
    /// Most of them in the answer.
    pub limit: usize,
}

/// What names a registration; of two the later has the greater.
pub type InstallationId = [u8; ID_LEN];

/// Some of those that fit, and where the next page goes on.
#[derive(Debug, Default)]
pub struct InstallationPage {
    /// The newest first.
    pub installations: Vec<Installation>,
    /// There may be more behind this one.
    pub next: Option<InstallationId>,
}

/// Why an installation is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RefusedInstallation {
    #[error("the body is no Installation")]
    Malformed,
    #[error("an installation has a prefix that is an absolute path of at most {NAME_BYTES_MAX} bytes")]
    Prefix,
    #[error("the module's name is longer than {NAME_BYTES_MAX} bytes")]
    Module,
    #[error("more than {SIGNATURES_MAX} signatures in one installation")]
    TooMany,
}

impl Installations {
    /// Keeps them in `store`.
    pub fn new(store: InstallationStore) -> Self {
        Installations { store }
    }

    /// What a client sent, if it can be kept.
    pub fn read(body: &[u8]) -> Result<Installation, RefusedInstallation> {
        let installation = Installation::decode(body).map_err(|_| RefusedInstallation::Malformed)?;
        let prefix = installation.prefix();
        if !prefix.starts_with(b"/") || prefix.len() > NAME_BYTES_MAX || prefix.contains(&0) {
            return Err(RefusedInstallation::Prefix);
        }
        let module = module_of(&installation).unwrap_or_default();
        if module.len() > NAME_BYTES_MAX || module.contains('\0') {
            return Err(RefusedInstallation::Module);
        }
        if installation.files.iter().map(|file| file.signatures.len()).sum::<usize>() > SIGNATURES_MAX {
            return Err(RefusedInstallation::TooMany);
        }
        Ok(installation)
    }

    /// Keeps one; it is durable when this returns. The same one again changes nothing.
    pub fn register(&self, installation: &Installation) -> Result<()> {
        let bytes = installation.encode_to_vec();
        let id = id_of(installation.time_ns(), &bytes);
        let mut batch = self.store.database.writes();
        let space = &self.store.installations;
        batch.insert(space, key(BY_PREFIX, installation.prefix(), &id), []);
        if let Some(module) = module_of(installation) {
            batch.insert(space, key(BY_MODULE, module.as_bytes(), &id), []);
        }
        for signature in signatures_of(installation) {
            batch.insert(space, key(BY_SIGNATURE, signature.as_bytes(), &id), []);
        }
        batch.insert(space, key(BY_TIME, &[], &id), bytes);
        batch.commit()?;
        Ok(self.store.database.sync()?)
    }

    /// Those that fit, the newest first.
    pub fn list(&self, filter: &InstallationFilter) -> Result<InstallationPage> {
        let start = match (&filter.signature, &filter.prefix, &filter.module) {
            (Some(signature), _, _) => key(BY_SIGNATURE, signature.as_bytes(), &[]),
            (None, Some(prefix), _) => key(BY_PREFIX, prefix, &[]),
            (None, None, Some(module)) => key(BY_MODULE, module.as_bytes(), &[]),
            (None, None, None) => key(BY_TIME, &[], &[]),
        };
        let mut page = InstallationPage::default();
        // Ids end the keys, and none is longer than these bytes.
        let end = [&start[..], &filter.before.unwrap_or([0xFF; ID_LEN])].concat();
        for (looked_at, entry) in self.store.installations.range(start..end).rev().enumerate() {
            let entry = entry.key()?;
            let damaged = |why| RegistryError::damaged("the index of installations", why);
            let id = entry.last_chunk::<ID_LEN>().ok_or_else(|| damaged("a key is too short"))?;
            if page.installations.len() >= filter.limit || looked_at >= LOOKED_AT_MAX {
                return Ok(page);
            }
            page.next = Some(*id);
            let value = self.store.installations.get(key(BY_TIME, &[], id))?;
            let value = value.ok_or_else(|| damaged("an installation that it names is missing"))?;
            let installation = Installation::decode(&*value).or_damaged(|| "an installation")?;
            if filter.accepts(&installation) {
                page.installations.push(installation);
            }
        }
        page.next = None;
        Ok(page)
    }
}

impl InstallationFilter {
    fn accepts(&self, installation: &Installation) -> bool {
        self.prefix.as_deref().is_none_or(|prefix| prefix == installation.prefix())
            && self.module.as_deref().is_none_or(|module| module_of(installation) == Some(module))
    }
}

fn module_of(installation: &Installation) -> Option<&str> {
    installation.metadata.as_ref()?.module.as_deref().filter(|module| !module.is_empty())
}

fn signatures_of(installation: &Installation) -> impl Iterator<Item = Signature> {
    installation
        .files
        .iter()
        .flat_map(|file| &file.signatures)
        .filter_map(|bytes| Signature::from_slice(bytes))
}

/// Tag, what it is found by, NUL, id. A NUL ends paths and names; signatures all have one length.
fn key(tag: u8, found_by: &[u8], id: &[u8]) -> Vec<u8> {
    let end: &[u8] = if tag == BY_TIME { &[] } else { &[0] };
    [&[tag], found_by, end, id].concat()
}

fn id_of(time_ns: i64, bytes: &[u8]) -> [u8; ID_LEN] {
    let mut id = [0; ID_LEN];
    id[..8].copy_from_slice(&u64::try_from(time_ns).unwrap_or(0).to_be_bytes());
    id[8..].copy_from_slice(&Sha256::digest(bytes)[..8]);
    id
}
