//! Counts in memory, between one write and the next.
//!
//! An event costs two lookups: its image, among those that were seen lately, and its count. They are taken apart
//! into the rows of users, hosts and jobs when they are written.

use super::{
    IMAGES, ImageNumber, NEXT_IMAGE,
    image::Seen,
    rows::{self, About, Count},
};
use crate::{
    database::{Store, number},
    registry::Recent,
};
use anyhow::Result;
use bytes::{Buf, BufMut};
use fjall::OwnedWriteBatch;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Counts in memory, at most; more are written at once.
const COUNTS_MAX: usize = 150_000;

/// Images that are remembered.
const IMAGES_RECENT: usize = 65_536;

/// See the module.
pub struct Gathered {
    /// The first batch of the queue that is not in here.
    pub next: u64,
    counts: HashMap<Box<[u8]>, Count>,
    images: Recent<Box<[u8]>, ImageNumber>,
    fresh: HashMap<[u8; 16], Fresh>,
    /// Images on disk, and the number of the next; read when first needed.
    numbers: Option<(u64, ImageNumber)>,
    image_bytes: Vec<u8>,
    key: Vec<u8>,
}

struct Fresh {
    number: ImageNumber,
    bytes: Box<[u8]>,
    signatures: Vec<[u8; 17]>,
}

impl Gathered {
    /// Nothing yet, from this batch on.
    pub fn new(next: u64) -> Self {
        Gathered {
            next,
            counts: HashMap::new(),
            images: Recent::new(IMAGES_RECENT),
            fresh: HashMap::new(),
            numbers: None,
            image_bytes: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Is it time to write?
    pub fn is_full(&self) -> bool {
        self.counts.len() >= COUNTS_MAX
    }

    /// The number of the event's image; `None` when there are too many to take another.
    pub fn image(&mut self, store: &Store, seen: &Seen<'_>, images_max: u64) -> Result<Option<ImageNumber>> {
        self.image_bytes.clear();
        seen.write_image(&mut self.image_bytes);
        if let Some(image) = self.images.get(self.image_bytes.as_slice()) {
            return Ok(Some(*image));
        }
        let bytes: Box<[u8]> = self.image_bytes.as_slice().into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(&bytes)[..16]);
        let known = match self.fresh.get(&digest) {
            Some(fresh) => Some(fresh.number),
            None => store.image_numbers.get(digest)?.map(|known| number(&known)),
        };
        let image = match known {
            Some(known) => known,
            None => {
                let (images, next) = match self.numbers {
                    Some(numbers) => numbers,
                    None => (store.total(IMAGES)?, store.total(NEXT_IMAGE)?),
                };
                if images >= images_max {
                    return Ok(None);
                }
                self.numbers = Some((images + 1, next + 1));
                let programs = seen.program.iter().map(|signature| (signature, 1));
                let libraries = seen.libraries.iter().map(|signature| (signature, 0));
                let signatures = programs
                    .chain(libraries)
                    .map(|(signature, is_program)| {
                        let mut key = [is_program; 17];
                        key[..16].copy_from_slice(signature.as_bytes());
                        key
                    })
                    .collect();
                self.fresh.insert(digest, Fresh { number: next, bytes: bytes.clone(), signatures });
                next
            }
        };
        self.images.insert(bytes, image);
        Ok(Some(image))
    }

    /// Counts one process.
    pub fn add(&mut self, image: ImageNumber, user: &[u8], seen: &Seen<'_>) {
        self.key.clear();
        self.key.put_u64(image);
        for text in [user, seen.host, seen.job] {
            self.key.put_u16(text.len() as u16);
            self.key.put_slice(text);
        }
        let one = Count::one(seen.is_end, seen.time_ns);
        match self.counts.get_mut(self.key.as_slice()) {
            Some(count) => count.add(&one),
            None => drop(self.counts.insert(self.key.as_slice().into(), one)),
        }
    }

    /// The rows that this makes, in the order of their keys, each with the user to note in it.
    pub fn rows(&self) -> BTreeMap<Vec<u8>, (Count, Vec<u8>)> {
        let mut rows: BTreeMap<Vec<u8>, (Count, Vec<u8>)> = BTreeMap::new();
        for (key, count) in &self.counts {
            let mut rest = key.as_ref();
            let Ok(image) = rest.try_get_u64() else { continue };
            let mut text = || -> &[u8] {
                let len = usize::from(rest.try_get_u16().unwrap_or_default());
                let (text, after) = rest.split_at_checked(len).unwrap_or_default();
                rest = after;
                text
            };
            let (user, host, job) = (text(), text(), text());
            rows.entry(rows::key(About::User, image, user)).or_default().0.add(count);
            if !host.is_empty() {
                rows.entry(rows::key(About::Host, image, host)).or_default().0.add(count);
            }
            if !job.is_empty() {
                let row = rows.entry(rows::key(About::Job, image, job)).or_default();
                row.0.add(count);
                if !user.is_empty() {
                    row.1 = user.to_vec();
                }
            }
        }
        rows
    }

    /// Writes the images that were new; how many there are then.
    pub fn write_images(&self, store: &Store, writes: &mut OwnedWriteBatch) -> Result<u64> {
        for (digest, fresh) in &self.fresh {
            let image = fresh.number;
            writes.insert(&store.image_numbers, *digest, image.to_be_bytes());
            writes.insert(&store.images, image.to_be_bytes(), fresh.bytes.as_ref());
            for signature in &fresh.signatures {
                let key = [&signature[..16], &image.to_be_bytes()].concat();
                writes.insert(&store.images_with, key, [signature[16]]);
            }
        }
        match self.numbers {
            Some((images, next)) => {
                writes.insert(&store.totals, IMAGES, images.to_be_bytes());
                writes.insert(&store.totals, NEXT_IMAGE, next.to_be_bytes());
                Ok(images)
            }
            None => Ok(store.total(IMAGES)?),
        }
    }

    /// All of it is on disk now.
    pub fn written(&mut self) {
        self.counts.clear();
        self.fresh.clear();
        self.numbers = None;
    }

    /// Images were removed from the disk: none is remembered.
    pub fn forget_images(&mut self) {
        self.images = Recent::new(IMAGES_RECENT);
    }
}
