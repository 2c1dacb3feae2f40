//! Digests remembered by (device, inode, size, mtime, ctime), so that the C library is hashed once
//! and not for every link, and with them the compilers that made the files, so that of a large
//! program only what was compiled again is read.
//!
//! One file of fixed size, a table of slots; a file's slot follows from its device and inode, and a
//! later file in the same slot replaces the earlier. A slot carries a checksum over itself: one
//! that was torn by two writers or a crash is as good as empty, so there is no lock. A file changed
//! within the last seconds is not remembered, since it could change again without its times showing
//! it. Small files are hashed faster than looked up. A slot names the compiler by a digest of its
//! text, which lies in a file of its own: there are few.
//!
//! The table lies in `$XDG_CACHE_HOME/ogrt` or `$HOME/.cache/ogrt`, and must be ours. Where there
//! is no such directory every file is hashed.

use crate::cache_dir::cache_dir;
use crate::record::compilers::ObjectOrigin;
use ogrt_proto::hex;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// Smaller files have no slot: they are hashed faster than looked up.
const REMEMBERED_BYTES_MIN: u64 = 32 * 1024;

/// A file must be older than this to be remembered. It is more than one step of any file system's
/// clock.
const SETTLED: Duration = Duration::from_secs(3);

const SLOTS: u64 = 8192;
const KEY_LEN: usize = 48;
const DIGEST_LEN: usize = 32;
const NAME_LEN: usize = 16;
/// Two bytes, and the name of the file with the compiler's text.
const MAKING_LEN: usize = 2 + NAME_LEN;
const CONTENT_LEN: usize = KEY_LEN + DIGEST_LEN + MAKING_LEN;
const SLOT_LEN: usize = CONTENT_LEN + 16;

/// What the cache holds about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// The SHA-256 of the file.
    pub digest: [u8; 32],
    /// The origin of the file; `None` if it was not looked for.
    pub making: Option<ObjectOrigin>,
}

/// The open table.
#[derive(Debug)]
pub struct DigestCache {
    dir: Option<PathBuf>,
    table: Option<File>,
    texts: Mutex<HashMap<[u8; NAME_LEN], Option<String>>>,
}

impl DigestCache {
    /// Opens the user's table. Where that fails, nothing is remembered.
    pub fn open() -> DigestCache {
        let dir = cache_dir().map(Path::to_owned);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = |dir: &PathBuf| {
            rustix::fs::open(dir.join("digests-2"), flags, Mode::RUSR | Mode::WUSR).ok().map(File::from)
        };
        DigestCache { table: dir.as_ref().and_then(open), dir, texts: Mutex::default() }
    }

    /// The entry of the file with this metadata.
    pub fn get(&self, metadata: &Metadata) -> Option<CacheEntry> {
        let table = self.table.as_ref()?;
        if metadata.len() < REMEMBERED_BYTES_MIN {
            return None;
        }
        let mut slot = [0; SLOT_LEN];
        table.read_exact_at(&mut slot, offset(metadata)).ok()?;
        let (content, check) = slot.split_at(CONTENT_LEN);
        let (stored, rest) = content.split_at(KEY_LEN);
        let (digest, making) = rest.split_at(DIGEST_LEN);
        if stored != key(metadata) || check != checksum(content) {
            return None;
        }
        Some(CacheEntry { digest: digest.try_into().ok()?, making: self.making(making) })
    }

    /// Remembers a file. If that fails, the file is hashed again next time.
    pub fn put(&self, metadata: &Metadata, digest: &[u8; 32], making: Option<&ObjectOrigin>) {
        let Some(table) = self.table.as_ref() else { return };
        if metadata.len() < REMEMBERED_BYTES_MIN || !is_settled(metadata) {
            return;
        }
        let mut slot = Vec::with_capacity(SLOT_LEN);
        slot.extend(key(metadata));
        slot.extend(digest);
        slot.extend(self.encoded(making));
        let check = checksum(&slot);
        slot.extend(check);
        let _ = table.write_all_at(&slot, offset(metadata));
    }

    /// The bytes in a slot. The first is 0 if the file was not parsed, 1 without a compiler, 2 with
    /// one; the second is 1 for slim LTO.
    fn encoded(&self, making: Option<&ObjectOrigin>) -> [u8; MAKING_LEN] {
        let mut bytes = [0; MAKING_LEN];
        let Some(ObjectOrigin { is_slim_lto, producer }) = making else { return bytes };
        (bytes[0], bytes[1]) = (1, u8::from(*is_slim_lto));
        if let Some(text) = producer {
            let name = name_of(text);
            self.keep_text(name, text);
            bytes[0] = 2;
            bytes[2..].copy_from_slice(&name);
        }
        bytes
    }

    fn making(&self, bytes: &[u8]) -> Option<ObjectOrigin> {
        let producer = match bytes[0] {
            1 => None,
            2 => Some(self.text(bytes[2..].try_into().ok()?)?),
            _ => return None,
        };
        Some(ObjectOrigin { is_slim_lto: bytes[1] == 1, producer })
    }

    fn text(&self, name: [u8; NAME_LEN]) -> Option<String> {
        let mut texts = self.texts.lock().ok()?;
        let read = || std::fs::read_to_string(self.text_file(&name)?).ok().filter(|t| name_of(t) == name);
        texts.entry(name).or_insert_with(read).clone()
    }

    fn keep_text(&self, name: [u8; NAME_LEN], text: &str) {
        let (Ok(mut texts), Some(path)) = (self.texts.lock(), self.text_file(&name)) else { return };
        if texts.get(&name).is_some_and(Option::is_some) {
            return;
        }
        let dir = path.parent().map(std::fs::create_dir_all);
        // A text that was written only in part does not fit its name, and is not used.
        if dir.is_some_and(|made| made.is_ok()) && std::fs::write(&path, text).is_ok() {
            texts.insert(name, Some(text.to_owned()));
        }
    }

    fn text_file(&self, name: &[u8]) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join("producers-1").join(hex(name)))
    }
}

fn name_of(text: &str) -> [u8; NAME_LEN] {
    checksum(text.as_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn cache(dir: &std::path::Path) -> DigestCache {
        let table =
            File::options().read(true).write(true).create(true).truncate(false).open(dir.join("table"));
        DigestCache { dir: Some(dir.to_owned()), table: table.ok(), texts: Mutex::default() }
    }

    #[test]
    fn a_file_is_remembered_with_its_compiler() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![7; REMEMBERED_BYTES_MIN as usize]).unwrap();
        // The time of change cannot be set, so the test waits until the file is old enough.
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
        let metadata = std::fs::metadata(&path).unwrap();
        let gcc = ObjectOrigin { is_slim_lto: false, producer: Some("GNU C17 12.2.0 -O2".into()) };
        let unknown = ObjectOrigin { is_slim_lto: true, producer: None };
        for making in [None, Some(gcc.clone()), Some(unknown)] {
            cache(dir.path()).put(&metadata, &[9; 32], making.as_ref());
            let expected = CacheEntry { digest: [9; 32], making };
            assert_eq!(cache(dir.path()).get(&metadata), Some(expected));
        }
        // A text that was lost or damaged is looked for in the file again; the digest stays.
        cache(dir.path()).put(&metadata, &[9; 32], Some(&gcc));
        let text =
            std::fs::read_dir(dir.path().join("producers-1")).unwrap().flatten().next().unwrap().path();
        for damage in [Some("GNU C17 12"), None] {
            match damage {
                Some(text_now) => std::fs::write(&text, text_now).unwrap(),
                None => std::fs::remove_file(&text).unwrap(),
            }
            let expected = CacheEntry { digest: [9; 32], making: None };
            assert_eq!(cache(dir.path()).get(&metadata), Some(expected), "{damage:?}");
        }
        // Another time, another file.
        File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(cache(dir.path()).get(&std::fs::metadata(&path).unwrap()), None);
    }
}
