//! Events of several batches, by job and sender: what is written together becomes one value.

use crate::{
    fair_shares::{ShareHolder, Shares},
    job_key::{cluster_key, job_key},
    join::{BatchReader, DocumentBatch, EventDocument},
};
use anyhow::Result;
use bytes::BufMut;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Batches that are written together.
pub struct WriteBatches {
    /// The batch where the next write begins.
    pub to: u64,
    /// Some of them were dropped by the full queue before.
    pub is_dropped: bool,
    batches: Vec<Arc<DocumentBatch>>,
}

/// The events of a job, of one cluster and sender.
pub struct Group {
    /// Groups are numbered as their first events came.
    pub number: u32,
    /// The time of receipt of the first event.
    pub received_ns: i64,
    pub events: u32,
    pub entries: Vec<u8>,
}

/// The keys of a job and of its cluster, and the number of the sender.
type GroupKey<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>, usize);

/// All groups, and the senders by their numbers. Several numbers may be one sender.
pub struct Groups<'a> {
    pub by_job: BTreeMap<GroupKey<'a>, Group>,
    pub senders: Vec<ShareHolder>,
}

impl WriteBatches {
    /// Reads batches from `next` on, until they have so many bytes.
    pub fn read(reader: &BatchReader, next: u64, end: u64, bytes_max: usize) -> Result<Self> {
        let (mut batches, mut bytes, mut to): (Vec<Arc<DocumentBatch>>, usize, u64) = (Vec::new(), 0, next);
        let mut is_dropped = false;
        while to < end && bytes < bytes_max {
            match reader.read(to)? {
                Some(batch) => {
                    bytes += batch.size();
                    batches.push(batch);
                }
                None => is_dropped = true,
            }
            to += 1;
        }
        Ok(WriteBatches { to, is_dropped, batches })
    }

    /// Their events in groups.
    pub fn groups(&self, shares: &Shares) -> Groups<'_> {
        let mut senders: Vec<ShareHolder> = Vec::new();
        let mut numbers: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut by_job = BTreeMap::new();
        let mut name = Vec::new();
        for batch in &self.batches {
            for event in &batch.events {
                write_sender(batch, event, &mut name);
                let sender = match numbers.get(&name) {
                    Some(known) => *known,
                    None => {
                        numbers.insert(name.clone(), senders.len());
                        senders.push(shares.holder(holder(batch, event)));
                        senders.len() - 1
                    }
                };
                let cluster = cluster_key(&event.cluster);
                let key = (job_key(&event.job_id), cluster, sender);
                let number = by_job.len() as u32;
                let group = by_job.entry(key).or_insert_with(|| Group {
                    number,
                    received_ns: event.received_ns,
                    events: 0,
                    entries: Vec::new(),
                });
                group.events += 1;
                group.entries.extend_from_slice(batch.entry(event));
            }
        }
        Groups { by_job, senders }
    }
}

/// Writes what tells senders apart over what was there.
fn write_sender(batch: &DocumentBatch, event: &EventDocument, name: &mut Vec<u8>) {
    name.clear();
    match event.proved_uid {
        Some(uid) => {
            name.put_u32(uid);
            name.put_slice(batch.relay(event).unwrap_or_default());
        }
        None => {
            let (user, host) = batch.claims(event);
            // No relay's name begins with it.
            name.put_u32(0);
            name.put_u8(0);
            name.put_u64(user.len() as u64);
            name.put_slice(user);
            name.put_slice(host);
        }
    }
}

fn holder(batch: &DocumentBatch, event: &EventDocument) -> ShareHolder {
    match event.proved_uid {
        Some(uid) => ShareHolder::uid_by(batch.relay(event), uid),
        None => {
            let (user, host) = batch.claims(event);
            ShareHolder::claimed(user, host)
        }
    }
}
