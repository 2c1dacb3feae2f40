//! Installations: what package managers installed where, found by prefix, by module and by
//! signature.
//!
//! Each registration is kept: a prefix may be built again while people still ask about jobs that
//! ran the old one. The newest registration of a prefix is the one that is installed. One keyspace
//! holds them by time, and three indexes by what they are found by. The embedded registry keeps
//! them here; with PostgreSQL they wait here until they are in its table
//! (`postgres/installations.rs`).

use super::{
    PAGE_BYTES_MAX, RegistryError,
    error::{OrDamaged, Result},
};
use crate::database::InstallationStore;
use ogrt_note::Signature;
use ogrt_proto::Installation;
use prost::Message;
use sha2::{Digest, Sha256};

/// Most signatures of one installation. The largest known ones have some ten thousand files.
const SIGNATURES_MAX: usize = 200_000;

/// Longest prefix or module name: the database bounds the length of a key.
const NAME_BYTES_MAX: usize = 4096;

/// Most installations that one listing looks at.
const LOOKED_AT_MAX: usize = 100_000;

const BY_TIME: u8 = b't';
const BY_PREFIX: u8 = b'p';
const BY_MODULE: u8 = b'm';
const BY_SIGNATURE: u8 = b's';

/// Length of an [`InstallationId`]: time and digest.
const ID_LEN: usize = 16;

/// See the module.
pub struct Installations {
    store: InstallationStore,
}

/// The conditions of a list of installations. The narrowest condition is looked up, and the others
/// are checked on what it finds.
#[derive(Clone, Debug, Default)]
pub struct InstallationFilter {
    /// Installations in exactly this directory.
    pub prefix: Option<Vec<u8>>,
    /// Installations of the module with this name.
    pub module: Option<String>,
    /// Installations with this signature in one of their files.
    pub signature: Option<Signature>,
    /// Installations older than this one, which is where the page before ended.
    pub before: Option<InstallationId>,
    /// Most installations in the answer.
    pub limit: usize,
}

/// The id of a registration; a later one has a greater id.
pub type InstallationId = [u8; ID_LEN];

/// A page of installations.
#[derive(Debug, Default)]
pub struct InstallationPage {
    /// The newest first.
    pub installations: Vec<Installation>,
    /// The last one of this page, if there may be more after it.
    pub next: Option<InstallationId>,
}

/// Why an installation is refused.
#[derive(Debug, thiserror::Error)]
pub enum RefusedInstallation {
    #[error("the body is not a protobuf Installation")]
    Malformed,
    #[error("the prefix must be an absolute path of at most {NAME_BYTES_MAX} bytes without NUL")]
    Prefix,
    #[error("the module's name must have at most {NAME_BYTES_MAX} bytes and no NUL")]
    Module,
    #[error("the installation has more than {SIGNATURES_MAX} signatures: register its parts one by one")]
    TooMany,
}

/// Decodes what a client sent, and checks that it can be kept.
pub fn read_installation(body: &[u8]) -> Result<Installation, RefusedInstallation> {
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

impl Installations {
    /// Keeps them in `store`.
    pub fn new(store: InstallationStore) -> Self {
        Installations { store }
    }

    /// Keeps an installation, durable when this returns. The same one again changes nothing.
    pub fn register(&self, installation: &Installation) -> Result<()> {
        let mut writes = self.store.database.writes();
        let space = &self.store.installations;
        let (id, bytes) = (id_of(installation), installation.encode_to_vec());
        for key in index_keys(installation, &id) {
            writes.insert(space, key, []);
        }
        writes.insert(space, key(BY_TIME, &[], &id), bytes);
        writes.commit()?;
        Ok(self.store.database.sync()?)
    }

    /// The oldest installations.
    pub fn oldest(&self, limit: usize) -> Result<Vec<Installation>> {
        let oldest = self.store.installations.prefix([BY_TIME]).take(limit);
        let decoded = oldest.map(|entry| {
            let (_, value) = entry.into_inner()?;
            Installation::decode(&*value).or_damaged(|| "an installation")
        });
        decoded.collect()
    }

    /// Deletes installations.
    pub fn remove(&self, installations: &[Installation]) -> Result<()> {
        let mut writes = self.store.database.writes();
        let space = &self.store.installations;
        for installation in installations {
            let id = id_of(installation);
            for key in index_keys(installation, &id) {
                writes.remove(space, key);
            }
            writes.remove(space, key(BY_TIME, &[], &id));
        }
        Ok(writes.commit()?)
    }

    /// A page of the installations that fit, the newest first.
    pub fn list(&self, filter: &InstallationFilter) -> Result<InstallationPage> {
        let start = match (&filter.signature, &filter.prefix, &filter.module) {
            (Some(signature), _, _) => key(BY_SIGNATURE, signature.as_bytes(), &[]),
            (None, Some(prefix), _) => key(BY_PREFIX, prefix, &[]),
            (None, None, Some(module)) => key(BY_MODULE, module.as_bytes(), &[]),
            (None, None, None) => key(BY_TIME, &[], &[]),
        };
        let (mut page, mut bytes) = (InstallationPage::default(), 0);
        // Ids end the keys, and none is longer than these bytes.
        let end = [&start[..], &filter.before.unwrap_or([0xFF; ID_LEN])].concat();
        for (looked_at, entry) in self.store.installations.range(start..end).rev().enumerate() {
            let entry = entry.key()?;
            let damaged = |why| RegistryError::damaged("the index of installations", why);
            let id = entry.last_chunk::<ID_LEN>().ok_or_else(|| damaged("a key is too short"))?;
            if page.installations.len() >= filter.limit || looked_at >= LOOKED_AT_MAX {
                return Ok(page);
            }
            let value = self.store.installations.get(key(BY_TIME, &[], id))?;
            let value = value.ok_or_else(|| damaged("an installation that it names is missing"))?;
            let installation = Installation::decode(&*value).or_damaged(|| "an installation")?;
            if filter.accepts(&installation) {
                bytes += value.len();
                if bytes > PAGE_BYTES_MAX && !page.installations.is_empty() {
                    return Ok(page);
                }
                page.installations.push(installation);
            }
            page.next = Some(*id);
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

/// The name of its module.
pub fn module_of(installation: &Installation) -> Option<&str> {
    installation.metadata.as_ref()?.module.as_deref().filter(|module| !module.is_empty())
}

/// The signatures of its files.
pub fn signatures_of(installation: &Installation) -> impl Iterator<Item = Signature> {
    installation
        .files
        .iter()
        .flat_map(|file| &file.signatures)
        .filter_map(|bytes| Signature::from_slice(bytes))
}

/// A key: the tag, what it is found by, NUL, id. Paths and names hold no NUL, and all signatures
/// have one length.
fn key(tag: u8, found_by: &[u8], id: &[u8]) -> Vec<u8> {
    let end: &[u8] = if tag == BY_TIME { &[] } else { &[0] };
    [&[tag], found_by, end, id].concat()
}

/// The keys by which an installation is found.
fn index_keys(installation: &Installation, id: &InstallationId) -> Vec<Vec<u8>> {
    let mut keys = vec![key(BY_PREFIX, installation.prefix(), id)];
    keys.extend(module_of(installation).map(|module| key(BY_MODULE, module.as_bytes(), id)));
    keys.extend(signatures_of(installation).map(|signature| key(BY_SIGNATURE, signature.as_bytes(), id)));
    keys
}

/// The id of an installation: time and digest.
pub fn id_of(installation: &Installation) -> InstallationId {
    let mut id = [0; ID_LEN];
    id[..8].copy_from_slice(&u64::try_from(installation.time_ns()).unwrap_or(0).to_be_bytes());
    id[8..].copy_from_slice(&Sha256::digest(installation.encode_to_vec())[..8]);
    id
}
