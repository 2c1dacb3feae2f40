//! The smallest hashes of a set.

use crate::{everywhere, hash::Hash};

/// Most hashes that are kept.
pub const MINIMA_MAX: usize = 256;

/// The smallest hashes of a set: in order, each once. A set with fewer is kept whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minima(Vec<Hash>);

impl Minima {
    /// Takes in the hash of one more element.
    pub fn add(&mut self, hash: Hash) {
        if self.is_full() && self.0.last().is_some_and(|largest| hash >= *largest) {
            return;
        }
        if let Err(place) = self.0.binary_search(&hash)
            && !everywhere::contains(hash)
        {
            self.0.insert(place, hash);
            self.0.truncate(MINIMA_MAX);
        }
    }

    /// The hashes; `None` where they are too many or not in order.
    pub fn from_hashes(hashes: Vec<Hash>) -> Option<Self> {
        let is_sorted = hashes.is_sorted_by(|left, right| left < right);
        (hashes.len() <= MINIMA_MAX && is_sorted).then_some(Minima(hashes))
    }

    /// The hashes, in order.
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }

    /// The set may have more elements.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MINIMA_MAX
    }

    /// The hash up to which all of the set are known.
    pub fn known_until(&self) -> Hash {
        match self.is_full() {
            true => self.0.last().copied().unwrap_or(Hash::MAX),
            false => Hash::MAX,
        }
    }
}

impl Extend<Hash> for Minima {
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, hashes: T) {
        hashes.into_iter().for_each(|hash| self.add(hash));
    }
}
