//! The signature of a link: random, or computed where builds have to be reproducible.

use ogrt_note::Signature;
use rustix::rand::GetRandomFlags;
use sha2::{Digest, Sha256};
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

/// The signature in the note of a reproducible link until its output is there.
pub const UNSEALED: [u8; 16] = *b"\x0f\x67\xb2\x91\x4d\xc3\x8e\x5a\xb1\x72\xe6\x0d\x39\xa4\xc8\x5f";

/// The signature that equal outputs share (UUIDv8), made from the output's SHA-256 while its note
/// is unsealed.
pub fn of_output(digest: &[u8; 32]) -> Signature {
    let hash: [u8; 32] =
        Sha256::new().chain_update(b"ogrt output 1\0").chain_update(digest).finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Signature::from_bytes(*Uuid::new_v8(bytes).as_bytes())
}
