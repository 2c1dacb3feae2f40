//! What an unknown program resembles: learned files whose sketches share the most with its own.
//!
//! What several softwares share (a library that each of them contains, the code that a generator
//! writes) says nothing of one of them, so it does not count. docs/identify.md has measured how
//! often an answer is right.

use super::{SoftwareName, SoftwareNames, names::KnownBy, sketches::Candidate};
use crate::registry::RegistryError;
use ogrt_proto::hex;
use ogrt_sketch::{Evidence, Hash, Sketch, compare};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Smallest score that is told: with it 98 of 100 answers were right for one half of the codes of
/// `tests/integration/tests/likeness.rs`. The test measures the other half.
const SCORE_MIN: f64 = 0.4;

/// Fewest hashes that a resemblance rests on.
const SHARED_MIN: usize = 10;

/// Softwares that may share a hash that counts.
const SOFTWARE_MAX: usize = 3;

/// Learned software that a program resembles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Resemblance {
    pub software: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub package: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub packager: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The same key as a name has.
    pub known_by: KnownBy,
    /// The share of names and texts that both have, from 0 to 1, to two digits.
    pub score: f64,
    /// The learned file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub build_id: String,
}

impl SoftwareNames {
    /// The softwares that a program resembles, the best first, each once.
    pub fn resemblances(&self, sketch: &Sketch, limit: usize) -> Result<Vec<Resemblance>, RegistryError> {
        let mut candidates = Vec::new();
        for candidate in self.learned.sketches.candidates(sketch)? {
            if let Some(name) = self.learned_name(&candidate.build_id, &candidate.path)? {
                candidates.push((candidate, name));
            }
        }
        let owners = owners(&candidates);
        let counts = |kind, hash| owners.get(&(kind, hash)).is_none_or(|owners| owners.len() <= SOFTWARE_MAX);
        let mut best: BTreeMap<String, Resemblance> = BTreeMap::new();
        for (candidate, name) in &candidates {
            let Some(score) = score(sketch, &candidate.sketch, counts) else { continue };
            let known = best.get(&name.software).map_or(0.0, |known| known.score);
            if score >= SCORE_MIN && score > known {
                best.insert(name.software.clone(), resemblance(candidate, name, score));
            }
        }
        let mut best: Vec<Resemblance> = best.into_values().collect();
        best.sort_by(|left, right| right.score.total_cmp(&left.score));
        best.truncate(limit);
        best.iter_mut().for_each(|one| one.score = (one.score * 100.0).round() / 100.0);
        Ok(best)
    }

    /// The sketch of a program that ran, if somebody has made it.
    pub fn sketch_of_program(&self, build_id: &[u8]) -> Result<Option<Sketch>, RegistryError> {
        self.learned.sketches.of_program(build_id)
    }
}

/// The softwares that have each hash, as far as they are told apart.
fn owners(candidates: &[(Candidate, SoftwareName)]) -> HashMap<(Evidence, Hash), Vec<&str>> {
    let mut owners: HashMap<(Evidence, Hash), Vec<&str>> = HashMap::new();
    for (candidate, name) in candidates {
        for kind in Evidence::ALL {
            for hash in candidate.sketch.minima(kind).hashes() {
                let owners = owners.entry((kind, *hash)).or_default();
                if owners.len() <= SOFTWARE_MAX
                    && !owners.iter().any(|owner| owner.eq_ignore_ascii_case(&name.software))
                {
                    owners.push(&name.software);
                }
            }
        }
    }
    owners
}

/// The share of what two files have, of the kinds that both have.
fn score(left: &Sketch, right: &Sketch, counts: impl Fn(Evidence, Hash) -> bool) -> Option<f64> {
    let (mut shared, mut all) = (0, 0);
    for kind in Evidence::ALL {
        let (left, right) = (left.minima(kind), right.minima(kind));
        if !left.hashes().is_empty() && !right.hashes().is_empty() {
            let shares = compare(left, right, |hash| counts(kind, hash));
            shared += shares.shared;
            all += shares.all;
        }
    }
    (shared >= SHARED_MIN).then(|| shared as f64 / all as f64)
}

fn resemblance(candidate: &Candidate, name: &SoftwareName, score: f64) -> Resemblance {
    let SoftwareName { software, version, package, packager, source, .. } = name.clone();
    let path = String::from_utf8_lossy(&candidate.path).into_owned();
    let (known_by, build_id) = (KnownBy::Likeness, hex(&candidate.build_id));
    Resemblance { software, version, package, packager, source, known_by, score, path, build_id }
}
