//! The signature of a link: random, or computed where builds have to be reproducible.

use ogrt_note::Signature;
use rustix::rand::GetRandomFlags;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;
use uuid::Uuid;

/// A new random signature (UUIDv7: it sorts by time).
pub fn random() -> Signature {
    // One call for random bytes; uuid's own function makes four.
    let mut random = [0; 10];
    let uuid = match rustix::rand::getrandom(&mut random[..], GetRandomFlags::empty()) {
        Ok(10) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            uuid::Builder::from_unix_timestamp_millis(now.as_millis() as u64, &random).into_uuid()
        }
        _ => Uuid::now_v7(),
    };
    Signature::from_bytes(*uuid.as_bytes())
}

/// The signature that two equal links share (UUIDv8): SHA-256 of the inputs' digests in their
/// order, the link line without what depends on the directory, and the metadata.
///
/// Two kinds of arguments are left out of the line: those with a slash (paths of inputs,
/// directories, plugins and temporary files), and those that do not start with a dash (names of
/// inputs and of the output).
pub fn reproducible<'a>(
    input_digests: impl Iterator<Item = &'a [u8; 32]>,
    arguments: &[OsString],
    metadata: &[u8],
) -> Signature {
    let mut hash = Sha256::new();
    hash.update(b"ogrt link 1\0");
    for digest in input_digests {
        hash.update(digest);
    }
    hash.update(b"\0line\0");
    for argument in arguments {
        let bytes = argument.as_bytes();
        if bytes.starts_with(b"-") && !bytes.contains(&b'/') {
            hash.update(bytes);
            hash.update(b"\0");
        }
    }
    hash.update(b"\0metadata\0");
    hash.update(metadata);
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Signature::from_bytes(*Uuid::new_v8(bytes).as_bytes())
}
