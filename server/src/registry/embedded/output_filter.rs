//! A Bloom filter of the outputs in a run of the index.
//!
//! Each library that is linked for the first time is looked for among the outputs of all builds,
//! and each program that starts among their build-ids. At most one run has it, so all others are
//! left out by their filter, in memory: 20 bits for each build, and one look in a hundred at a run
//! that does not have it. A term is uniform already, so its bytes are the hashes.

use crate::registry::found_by::{self, Term};
use std::sync::Arc;

/// Bits for each build, which has at most two terms of outputs.
const BITS_OF_BUILD: u64 = 20;

/// Bits that each term sets: the best number for ten bits a term.
const BITS_OF_TERM: u64 = 7;

/// The terms of outputs in a run. Clones share the bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFilter(Arc<[u8]>);

impl OutputFilter {
    /// A filter with room for this many builds, which holds nothing.
    pub fn of(builds: u32) -> Self {
        OutputFilter(vec![0; (u64::from(builds) * BITS_OF_BUILD).div_ceil(8) as usize].into())
    }

    /// The filter with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        OutputFilter(bytes.into())
    }

    /// The filter's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a term, if it is one of an output.
    pub fn add(&mut self, term: &Term) {
        if found_by::is_of_output(term) {
            let (places, bits) = (places(term, self.0.len()), Arc::make_mut(&mut self.0));
            places.for_each(|(byte, bit)| bits[byte] |= bit);
        }
    }

    /// True if the run may have the term: always, except for an output that it does not have.
    pub fn may_have(&self, term: &Term) -> bool {
        !found_by::is_of_output(term) || places(term, self.0.len()).all(|(byte, bit)| self.0[byte] & bit != 0)
    }
}

/// The bits of a term in a filter of this many bytes, each as its byte and its value there.
fn places(term: &Term, bytes: usize) -> impl Iterator<Item = (usize, u8)> + use<> {
    let half = |at: usize| term[at..].first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
    // The first byte is the term's kind. An even step could come back to the same bits.
    let (start, step, bits) = (half(1), half(9) | 1, bytes as u64 * 8);
    (0..BITS_OF_TERM).filter(move |_| bits > 0).map(move |turn| {
        let bit = start.wrapping_add(step.wrapping_mul(turn)) % bits;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Term {
        use sha2::Digest;
        found_by::output_digest(&sha2::Sha256::digest(number.to_be_bytes()))
    }

    #[test]
    fn what_was_added_is_there_and_of_the_rest_one_in_a_hundred() {
        const BUILDS: u32 = 20_000;
        let mut filter = OutputFilter::of(BUILDS);
        for number in 0..u64::from(BUILDS) {
            filter.add(&digest(number));
            filter.add(&found_by::output_build_id(&number.to_be_bytes()));
        }
        let filter = OutputFilter::from_bytes(filter.as_bytes());
        assert!((0..u64::from(BUILDS)).all(|number| filter.may_have(&digest(number))));
        assert!(
            (0..u64::from(BUILDS))
                .all(|number| filter.may_have(&found_by::output_build_id(&number.to_be_bytes())))
        );
        let wrong = (0..100_000).filter(|number| filter.may_have(&digest(1 << 32 | number))).count();
        assert!(wrong < 1500, "{wrong} of 100,000");
    }

    #[test]
    fn other_terms_and_runs_without_a_filter_are_never_left_out() {
        assert!(OutputFilter::of(10).may_have(&found_by::name("zlib")));
        assert!(!OutputFilter::of(10).may_have(&digest(1)));
        assert!(OutputFilter::from_bytes(&[]).may_have(&digest(1)));
    }
}
