//! How much two sketches share.

use crate::{hash::Hash, minima::Minima};

/// What two sets share, as far as both are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Hashes that both have.
    pub shared: usize,
    /// Hashes that one or both have.
    pub all: usize,
}

impl Shares {
    /// The share, from 0 to 1.
    pub fn share(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.shared as f64 / self.all as f64 }
    }
}

/// Compares two sets, without what does not count.
pub fn compare(left: &Minima, right: &Minima, counts: impl Fn(Hash) -> bool) -> Shares {
    let until = left.known_until().min(right.known_until());
    let known = |minima: &Minima| -> Vec<Hash> {
        minima.hashes().iter().copied().filter(|hash| *hash <= until && counts(*hash)).collect()
    };
    let (left, right) = (known(left), known(right));
    let shared = left.iter().filter(|hash| right.binary_search(hash).is_ok()).count();
    Shares { shared, all: left.len() + right.len() - shared }
}
