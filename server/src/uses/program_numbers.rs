//! Numbers of images: those seen lately from memory, the others from disk, new ones given.
//!
//! A new image is on disk before a count that names it: [`Images::write`] comes first. One that was written and then
//! not counted, because of a crash, is found again by its digest when its events come again.

use super::{
    IMAGES, ImageNumber, NEXT_IMAGE,
    hash_key::{Mark, Marks},
    program::Seen,
};
use crate::{
    database::{Store, number},
    registry::Recent,
};
use anyhow::Result;
use ogrt_note::Signature;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Images in one generation of those remembered: as many as fit into a table of 2^17 places, 3.3 MB.
const RECENT: usize = (1 << 17) / 8 * 7;

/// New images that wait to be written together, by number and by bytes.
const FRESH_MAX: usize = 1000;
const FRESH_BYTES_MAX: usize = 1 << 20;

/// See the module.
pub struct Images {
    recent: Recent<Mark, ImageNumber>,
    marks: Marks,
    fresh: HashMap<[u8; 16], Fresh>,
    fresh_bytes: usize,
    /// Images on disk and fresh, and the number of the next; read when first needed.
    numbers: Option<(u64, ImageNumber)>,
}

struct Fresh {
    number: ImageNumber,
    bytes: Box<[u8]>,
    signatures: Vec<(Signature, bool)>,
}

impl Default for Images {
    fn default() -> Self {
        Images {
            recent: Recent::new(RECENT),
            marks: Marks::default(),
            fresh: HashMap::new(),
            fresh_bytes: 0,
            numbers: None,
        }
    }
}

impl Images {
    /// The number of the event's image; `None` when there are too many to take another.
    pub fn number(
        &mut self,
        store: &Store,
        seen: &Seen<'_>,
        programs_max: u64,
    ) -> Result<Option<ImageNumber>> {
        let mark = self.marks.of(|bytes| seen.write_image(bytes));
        if let Some(image) = self.recent.get(&mark) {
            return Ok(Some(*image));
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(self.marks.bytes())[..16]);
        let known = match self.fresh.get(&digest) {
            Some(fresh) => Some(fresh.number),
            None => store.image_numbers.get(digest)?.map(|known| number(&known)),
        };
        let image = match known {
            Some(known) => known,
            None => match self.add(store, digest, seen, programs_max)? {
                Some(fresh) => fresh,
                None => return Ok(None),
            },
        };
        self.recent.insert(mark, image);
        Ok(Some(image))
    }

    fn add(
        &mut self,
        store: &Store,
        digest: [u8; 16],
        seen: &Seen<'_>,
        programs_max: u64,
    ) -> Result<Option<ImageNumber>> {
        if self.fresh.len() >= FRESH_MAX || self.fresh_bytes >= FRESH_BYTES_MAX {
            self.write(store)?;
        }
        let (images, next) = match self.numbers {
            Some(numbers) => numbers,
            None => (store.total(IMAGES)?, store.total(NEXT_IMAGE)?),
        };
        if images >= programs_max {
            return Ok(None);
        }
        self.numbers = Some((images + 1, next + 1));
        let programs = seen.program.iter().map(|signature| (*signature, true));
        let signatures = programs.chain(seen.libraries.iter().map(|signature| (*signature, false)));
        let fresh =
            Fresh { number: next, bytes: self.marks.bytes().into(), signatures: signatures.collect() };
        self.fresh_bytes += fresh.bytes.len();
        self.fresh.insert(digest, fresh);
        Ok(Some(next))
    }

    /// Writes those that are new.
    pub fn write(&mut self, store: &Store) -> Result<()> {
        let Some((images, next)) = self.numbers else { return Ok(()) };
        let mut writes = store.batch();
        for (digest, fresh) in &self.fresh {
            let image = fresh.number;
            writes.insert(&store.image_numbers, *digest, image.to_be_bytes());
            writes.insert(&store.images, image.to_be_bytes(), fresh.bytes.as_ref());
            for (signature, is_program) in &fresh.signatures {
                let key = [&signature.as_bytes()[..], &image.to_be_bytes()].concat();
                writes.insert(&store.images_with, key, [u8::from(*is_program)]);
            }
        }
        writes.insert(&store.totals, IMAGES, images.to_be_bytes());
        writes.insert(&store.totals, NEXT_IMAGE, next.to_be_bytes());
        writes.commit()?;
        self.fresh.clear();
        self.fresh_bytes = 0;
        self.numbers = None;
        Ok(())
    }

    /// None is remembered any more, because some were removed from the disk, or were never written.
    pub fn forget(&mut self) {
        *self = Images::default();
    }
}
