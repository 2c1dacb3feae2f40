//! The key of a job's id, the same wherever a job is looked up: an id is any bytes, of any length.
//!
//! An id of ordinary length is its own key. A longer one is cut, and a digest of all of it stands
//! behind the cut: so two ids share a key only where SHA-256 collides
//! (`ids_that_begin_alike_have_keys_of_their_own`).

use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Bytes of the key of an id that was cut; no key of a whole id has as many.
pub const CUT_LEN: usize = 1024;

/// Bytes of the digest in it.
pub const DIGEST_LEN: usize = 32;

/// Bytes of the key of a cluster's name that was cut.
const CLUSTER_CUT_LEN: usize = 255;

/// The key of a job id.
pub fn job_key(job_id: &[u8]) -> Cow<'_, [u8]> {
    cut(job_id, CUT_LEN)
}

/// The key of a cluster's name.
pub fn cluster_key(cluster: &[u8]) -> Cow<'_, [u8]> {
    cut(cluster, CLUSTER_CUT_LEN)
}

fn cut(whole: &[u8], length: usize) -> Cow<'_, [u8]> {
    if whole.len() < length {
        return Cow::Borrowed(whole);
    }
    let mut key = whole[..length - DIGEST_LEN].to_vec();
    key.extend_from_slice(&Sha256::digest(whole));
    Cow::Owned(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_that_begin_alike_have_keys_of_their_own() {
        let long = |len: usize, last: u8| [vec![b'a'; len], vec![last]].concat();
        let mut ids = vec![b"".to_vec(), b"\xFF\xFE".to_vec(), long(1022, b'b'), long(1023, b'b')];
        ids.extend([b'b', b'c'].map(|last| long(1024, last)));
        ids.extend([b'b', b'c'].map(|last| long(100_000, last)));
        // Whoever knows how keys are made cannot write one as an id.
        ids.push(job_key(&long(1024, b'b')).into_owned());
        let keys: HashSet<Vec<u8>> = ids.iter().map(|id| job_key(id).into_owned()).collect();
        assert_eq!(keys.len(), ids.len());
        assert!(keys.iter().all(|key| key.len() <= CUT_LEN));
        assert_eq!(&*job_key(b"4711"), b"4711");
    }
}
