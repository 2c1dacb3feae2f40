//! Counts in memory, between one write and the next.
//!
//! An event that was counted before costs two hashes and one lookup: all that tells counts apart is the key, as 128
//! bits of a hash whose secret is new in each run, so that nobody can choose two that fall together. Texts stand here
//! once each, however many counts name them. Both are bounded, in bytes: beyond that it is time to write.

use super::{
    ImageNumber,
    hash_key::{Mark, Marks},
    program::Seen,
    program_numbers::Images,
    rows::Count,
    tally::Tally,
};
use bytes::BufMut;
use std::collections::HashMap;

/// Counts in memory, at most: as many as fit into a table of 2^17 places, 10 MB.
const COUNTS_MAX: usize = (1 << 17) / 8 * 7;

/// Bytes of the texts that they name, at most, with what a map takes for each.
const NAMES_BYTES_MAX: usize = 4 << 20;
const NAME_OVERHEAD: usize = 64;

/// See the module.
pub struct Gathered {
    /// The first batch of the queue that is not in here.
    pub next: u64,
    /// Numbers of images.
    pub images: Images,
    counts: HashMap<Mark, Counted>,
    names: Names,
    marks: Marks,
}

struct Counted {
    image: ImageNumber,
    user: Name,
    host: Name,
    job: Name,
    count: Count,
}

impl Gathered {
    /// Nothing yet, from this batch on.
    pub fn new(next: u64) -> Self {
        let marks = Marks::default();
        Gathered { next, images: Images::default(), counts: HashMap::new(), names: Names::default(), marks }
    }

    /// Is it time to write?
    pub fn is_full(&self) -> bool {
        self.counts.len() >= COUNTS_MAX || self.names.bytes >= NAMES_BYTES_MAX
    }

    /// What the event's count is found by.
    pub fn mark(&mut self, seen: &Seen<'_>) -> Mark {
        self.marks.of(|bytes| {
            seen.write_image(bytes);
            bytes.put_u8(u8::from(seen.is_proved) | u8::from(seen.uid.is_some()) << 1);
            bytes.put_u32(seen.uid.unwrap_or_default());
            for text in [seen.username, seen.host, seen.job] {
                bytes.put_u16(text.len() as u16);
                bytes.put_slice(text);
            }
        })
    }

    /// Counts one process more; false when it is the first under this mark.
    pub fn add(&mut self, mark: Mark, seen: &Seen<'_>) -> bool {
        let Some(known) = self.counts.get_mut(&mark) else { return false };
        known.count.add(&Count::one(seen.is_end, seen.time_ns));
        true
    }

    /// Counts the first.
    pub fn add_first(&mut self, mark: Mark, image: ImageNumber, user: &[u8], seen: &Seen<'_>) {
        let [user, host, job] = [user, seen.host, seen.job].map(|text| self.names.name(text));
        let count = Count::one(seen.is_end, seen.time_ns);
        self.counts.insert(mark, Counted { image, user, host, job, count });
    }

    /// All of it, in the order of images.
    pub fn tallies(&self) -> impl Iterator<Item = Tally<'_>> {
        let names = self.names.by_number();
        let mut counts: Vec<&Counted> = self.counts.values().collect();
        counts.sort_unstable_by_key(|counted| counted.image);
        let text = move |name: Name| names.get(name as usize).copied().unwrap_or_default();
        counts.into_iter().map(move |counted| Tally {
            image: counted.image,
            user: text(counted.user),
            host: text(counted.host),
            job: text(counted.job),
            count: counted.count,
        })
    }

    /// All of it is on disk now.
    pub fn written(&mut self) {
        self.counts.clear();
        self.names = Names::default();
    }

    /// Back to what is on disk: begins anew with this batch.
    pub fn start_over(&mut self, next: u64) {
        self.written();
        self.images.forget();
        self.next = next;
    }
}

/// Number of a text.
type Name = u32;

/// Texts, each once.
#[derive(Default)]
struct Names {
    numbers: HashMap<Box<[u8]>, Name>,
    bytes: usize,
}

impl Names {
    fn name(&mut self, text: &[u8]) -> Name {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let fresh = self.numbers.len() as Name;
        self.bytes += text.len() + NAME_OVERHEAD;
        self.numbers.insert(text.into(), fresh);
        fresh
    }

    fn by_number(&self) -> Vec<&[u8]> {
        let mut names = vec![&[][..]; self.numbers.len()];
        for (text, number) in &self.numbers {
            names[*number as usize] = text;
        }
        names
    }
}
