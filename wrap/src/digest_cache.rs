//! Digests remembered by (device, inode, size, mtime, ctime), so that the C library is hashed once and not for
//! every link.
//!
//! One file of fixed size, a table of slots; a file's slot follows from its device and inode, and a later file
//! in the same slot replaces the earlier. A slot carries a checksum over itself: one that was torn by two writers
//! or a crash is as good as empty, so there is no lock. A file changed within the last seconds is not remembered,
//! since it could change again without its times showing it. Small files are hashed faster than looked up.
//!
//! The table lies in `$XDG_CACHE_HOME/ogrt` or `$HOME/.cache/ogrt`, and must be ours. Where there is no such
//! place everything is hashed.

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Smaller files are not worth a slot.
const REMEMBERED_BYTES_MIN: u64 = 32 * 1024;

/// A file must be this old to be remembered: coarser than any file system's clock.
const SETTLED: Duration = Duration::from_secs(3);

const SLOTS: u64 = 8192;
const KEY_LEN: usize = 48;
const SLOT_LEN: usize = KEY_LEN + 32 + 16;

/// The table, open.
#[derive(Debug)]
pub struct DigestCache {
    table: Option<File>,
}

impl DigestCache {
    /// Opens the user's table, or remembers nothing.
    pub fn open() -> DigestCache {
        DigestCache { table: open_table() }
    }

    /// What is remembered of the file with this metadata.
    pub fn get(&self, metadata: &Metadata) -> Option<[u8; 32]> {
        let table = self.table.as_ref()?;
        if metadata.len() < REMEMBERED_BYTES_MIN {
            return None;
        }
        let key = key(metadata);
        let mut slot = [0; SLOT_LEN];
        table.read_exact_at(&mut slot, offset(metadata)).ok()?;
        let (content, check) = slot.split_at(KEY_LEN + 32);
        let (stored, digest) = content.split_at(KEY_LEN);
        (stored == key && check == checksum(content)).then(|| digest.try_into().ok())?
    }

    /// Remembers a digest. That it could not is no loss.
    pub fn put(&self, metadata: &Metadata, digest: &[u8; 32]) {
        let Some(table) = self.table.as_ref() else { return };
        if metadata.len() < REMEMBERED_BYTES_MIN || !is_settled(metadata) {
            return;
        }
        let mut slot = Vec::with_capacity(SLOT_LEN);
        slot.extend(key(metadata));
        slot.extend(digest);
        let check = checksum(&slot);
        slot.extend(check);
        let _ = table.write_all_at(&slot, offset(metadata));
    }
}

/// `$XDG_CACHE_HOME/ogrt` or `$HOME/.cache/ogrt`, made if it is missing; only if it is ours alone to write.
pub fn cache_dir() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .filter(|base| base.is_absolute())?;
    let dir = base.join("ogrt");
    let metadata = match std::fs::metadata(&dir) {
        Ok(metadata) => metadata,
        Err(_) => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok()?;
            std::fs::metadata(&dir).ok()?
        }
    };
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    (metadata.is_dir() && is_ours).then_some(dir)
}

fn open_table() -> Option<File> {
    let path = cache_dir()?.join("digests-1");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).ok().map(File::from)
}

fn key(metadata: &Metadata) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    let time_ns = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest) as u64;
    let fields = [
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        time_ns(metadata.mtime(), metadata.mtime_nsec()),
        time_ns(metadata.ctime(), metadata.ctime_nsec()),
        1,
    ];
    for (place, field) in key.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_ne_bytes());
    }
    key
}

fn offset(metadata: &Metadata) -> u64 {
    let mixed = (metadata.ino() ^ metadata.dev().rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) % SLOTS * SLOT_LEN as u64
}

fn checksum(content: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(content).into();
    let mut check = [0; 16];
    check.copy_from_slice(&digest[..16]);
    check
}

fn is_settled(metadata: &Metadata) -> bool {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(metadata.ctime().max(0) as u64);
    changed.elapsed().is_ok_and(|age| age > SETTLED)
}
