//! Which builds contain something, however deep: a walk from a part to all that it was linked into.
//!
//! The walk goes level by level, each level in the order of numbers, so that neighbours on disk are
//! read together. Most builds are programs that are linked into nothing: a bit in memory says so,
//! and they cost nothing. The walk is bounded in depth and in number, and says when a bound ended
//! it.

use super::{Embedded, Number, catalog::Signatures, postings};
use crate::registry::{CONTAINING_MAX, ContainingBuilds, Part, error::Result, found_by, visited::VisitedSet};
use ogrt_note::Signature;

/// A walk's result.
pub struct Walk {
    /// The builds where it began, as far as they are registered.
    pub itself: Vec<Number>,
    /// Builds that contain the part, with their depth; the nearest first, then the newest.
    pub builds: Vec<(Number, u32)>,
    /// A bound ended the walk: there are more builds.
    pub is_cut: bool,
    /// The part is a build, came out of one, or went into one.
    pub is_known: bool,
}

/// Walks from the part, to at most `builds_max` builds.
pub fn walk(registry: &Embedded, part: Part, depth_max: u32, builds_max: usize) -> Result<Walk> {
    let store = &registry.store;
    let mut itself: Vec<Number> = Vec::new();
    match part {
        Part::Signature(signature) => itself.extend(registry.number_of(signature)?),
        Part::Digest(digest) => {
            itself = registry.found_by(&found_by::output_digest(&digest))?;
        }
    }
    let mut visited = VisitedSet::default();
    for number in &itself {
        visited.insert(*number);
    }
    let mut found: Vec<(Number, u32)> = Vec::new();
    let mut is_cut = false;
    let mut level: Vec<Number> = Vec::new();
    let mut take = |level: &mut Vec<Number>, already: usize, number: Number| {
        if visited.insert(number) {
            match already + level.len() < builds_max {
                true => level.push(number),
                false => is_cut = true,
            }
        }
        !is_cut
    };
    let _ = registry.found_by(&part.as_input())?.into_iter().all(|number| take(&mut level, 0, number));
    for number in itself.iter().filter(|number| registry.is_library(**number)) {
        postings::each(&store.linked, &number.to_be_bytes(), |number| take(&mut level, 0, number))?;
    }
    let mut depth = 1;
    while !level.is_empty() && depth <= depth_max {
        level.sort_unstable();
        found.extend(level.iter().rev().map(|number| (*number, depth)));
        let mut next = Vec::new();
        for number in level.iter().filter(|number| registry.is_library(**number)) {
            postings::each(&store.linked, &number.to_be_bytes(), |dependent| {
                take(&mut next, found.len(), dependent)
            })?;
        }
        level = next;
        depth += 1;
    }
    let is_known = !itself.is_empty() || !found.is_empty();
    // An answer is cut by the depth that we ever follow, not by the depth that was asked for.
    let is_cut = is_cut || (!level.is_empty() && depth_max >= crate::registry::DEPTH_MAX);
    Ok(Walk { itself, builds: found, is_cut, is_known })
}

/// The builds that contain the part, by signature.
pub fn containing(registry: &Embedded, part: Part, depth_max: u32) -> Result<ContainingBuilds> {
    let walk = walk(registry, part, depth_max, CONTAINING_MAX)?;
    let mut signatures = Signatures::of(&registry.store);
    let mut builds: Vec<(Signature, u32)> = Vec::with_capacity(walk.builds.len());
    for (number, depth) in walk.builds {
        builds.extend(signatures.get(number)?.map(|signature| (signature, depth)));
    }
    let itself = match part {
        // The question's own signature is part of the answer, even if nobody registered it.
        Part::Signature(signature) => vec![signature],
        Part::Digest(_) => {
            let found = walk.itself.iter().map(|number| signatures.get(*number));
            found.filter_map(Result::transpose).collect::<Result<_>>()?
        }
    };
    Ok(ContainingBuilds { itself, builds, is_cut: walk.is_cut, is_known: walk.is_known })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        database::{RegistryStore, Store},
        metrics::Metrics,
        registry::{Registry, Summaries},
    };
    use ogrt_proto::{BuildRecord, Input};
    use prost::Message;
    use std::sync::Arc;

    /// Forty builds with one object in all of them, each linked into the next.
    fn chain(store: RegistryStore) -> Embedded {
        let (summaries, _) = Summaries::new(16, None);
        let registry = Embedded::open(store, Arc::new(summaries), Arc::new(Metrics::default())).unwrap();
        let record = |byte: u8| BuildRecord {
            signature: Some(vec![byte; 16].into()),
            inputs: vec![Input {
                sha256: Some(vec![0xFE; 32].into()),
                signatures: vec![vec![byte - 1; 16].into()],
                ..Input::default()
            }],
            ..BuildRecord::default()
        };
        let records: Vec<_> = (1..=40).map(|byte| record(byte).encode_to_vec().into()).collect();
        registry.register(&records).unwrap();
        registry
    }

    #[test]
    fn a_walk_ends_at_its_bound_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let registry = chain(Store::open(directory.path()).unwrap().registry());
        let everywhere = Part::Digest([0xFE; 32]);
        let first = Part::Signature(Signature::from_bytes([1; 16]));
        for (part, all) in [(everywhere, 40), (first, 39)] {
            for builds_max in [1, 2, 38, 39, 40, 41, 1000] {
                let walk = walk(&registry, part, 64, builds_max).unwrap();
                assert_eq!((walk.builds.len(), walk.is_cut), (all.min(builds_max), builds_max < all));
            }
        }
        let walk = walk(&registry, first, 10, 1000).unwrap();
        assert_eq!((walk.builds.len(), walk.is_cut), (10, false), "no deeper than was asked for");
    }
}
