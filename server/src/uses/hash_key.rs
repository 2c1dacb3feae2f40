//! A short key for long bytes: 128 bits of a hash whose secret is new in each run, so that nobody
//! can choose two texts that fall together.

use std::hash::{BuildHasher, RandomState};

/// The key of some bytes.
pub type HashKey = [u64; 2];

/// Makes keys.
#[derive(Default)]
pub struct HashKeys {
    secrets: [RandomState; 2],
    bytes: Vec<u8>,
}

impl HashKeys {
    /// The key of what `write` writes.
    pub fn of(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> HashKey {
        self.bytes.clear();
        write(&mut self.bytes);
        self.secrets.each_ref().map(|secret| secret.hash_one(&self.bytes))
    }
}
