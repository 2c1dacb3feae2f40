//! Keys of what is kept of jobs.
//!
//! ```text
//! jobs     0x8000 | length of the job's key, key, sequence, index, cluster -> entries, compressed
//! jobs     0x4000 | length of the job's key, key, cluster -> time: a part of the job was deleted
//! job_log  0xFF, length of the sender, sender, sequence -> time, bytes, keys of values
//! ```
//! Before there were clusters, a value's key was the job's key with its length in front, and the
//! sequence; and the log's key was the sequence alone. Both are still read.

use crate::fair_shares::ShareHolder;
use bytes::BufMut;

/// The mark of a value's key that has a cluster, on the length in front.
const WITH_CLUSTER: u16 = 0x8000;

/// The mark of a key that says that something is lost.
const LOSS: u16 = 0x4000;

/// The first byte of a key of the log that has a sender: no sequence begins so.
pub const WITH_SENDER: u8 = 0xFF;

/// What the log's keys of a sender begin with.
pub fn log_prefix(sender: &ShareHolder) -> Vec<u8> {
    let name = sender.as_bytes();
    [&[WITH_SENDER, name.len() as u8], name].concat()
}

/// The key of the log for what a sender sent in one write.
pub fn log_key(sender: &ShareHolder, sequence: u64) -> Vec<u8> {
    [&log_prefix(sender)[..], &sequence.to_be_bytes()].concat()
}

/// What the keys of a job begin with. The length stands in front, so that no job's values lie among
/// another's.
pub fn value_prefix(job: &[u8]) -> Vec<u8> {
    [&(WITH_CLUSTER | job.len() as u16).to_be_bytes(), job].concat()
}

/// What the keys of a job begin with where nobody knew of clusters.
pub fn old_value_prefix(job: &[u8]) -> Vec<u8> {
    [&(job.len() as u16).to_be_bytes(), job].concat()
}

/// The key of a value; the index tells those of one write apart.
pub fn value_key(job: &[u8], cluster: &[u8], sequence: u64, index: u32) -> Vec<u8> {
    let mut key = value_prefix(job);
    key.put_u64(sequence);
    key.put_u32(index);
    key.put_slice(cluster);
    key
}

/// What the keys begin with that say that something of a job is lost.
pub fn loss_prefix(job: &[u8]) -> Vec<u8> {
    [&(LOSS | job.len() as u16).to_be_bytes(), job].concat()
}

/// The key that says that something of a job is lost.
pub fn loss_key(job: &[u8], cluster: &[u8]) -> Vec<u8> {
    [&loss_prefix(job)[..], cluster].concat()
}

/// The beginning of all such keys, and their end.
pub fn losses_begin() -> Vec<u8> {
    LOSS.to_be_bytes().to_vec()
}

pub fn losses_end() -> Vec<u8> {
    WITH_CLUSTER.to_be_bytes().to_vec()
}

/// The job in a key of any kind.
pub fn job_of(key: &[u8]) -> Option<&[u8]> {
    let (len, rest) = key.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*len) & !(WITH_CLUSTER | LOSS)))
}

/// The cluster in the key of one of the job's values.
pub fn cluster_of<'a>(key: &'a [u8], job: &[u8]) -> &'a [u8] {
    if key.first().is_none_or(|byte| byte & 0x80 == 0) {
        return b"";
    }
    key.get(2 + job.len() + 12..).unwrap_or_default()
}
