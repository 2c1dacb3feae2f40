//! Who ran something, directly or through something that contains it.
//!
//! The registry says what contains it; the programs that have any of these builds say who ran them.
//! A process is one program, so it counts once however many of its libraries contain what was asked
//! for.

use super::{
    ProgramNumber, Uses, UsesError,
    forgotten::is_mark,
    object_names::ObjectName,
    objects::{LoadedBy, ObjectQuestion},
    rows::Count,
    software::{NamedSoftware, SoftwareQuestion},
    sum::{Budget, CountJson, HostUse, JobUse, Narrowing, Sum, Totals, UserUse},
};
use crate::{
    database::number,
    learned::NamedFile,
    registry::{ContainingBuilds, DEPTH_MAX, ListedBuild, Part},
};
use ogrt_note::Signature;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Signatures that are looked up one by one; more are found by a walk over all programs.
const ONE_BY_ONE_MAX: usize = 4096;

/// Who ran what, and when?
#[derive(Clone, Debug, Default)]
pub struct UsesQuestion {
    /// The build or file that is asked about.
    pub part: Option<Part>,
    /// What was loaded, built by us or not.
    pub objects: ObjectQuestion,
    /// Software by its name: whoever ran any of it.
    pub software: Vec<SoftwareQuestion>,
    /// What of it is asked for.
    pub narrowing: Narrowing,
    /// Largest number of elements in each list.
    pub limit: usize,
}

/// The answer; docs/api.md explains each key.
#[derive(Debug, Serialize)]
pub struct UsesAnswer {
    counted_by: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<ListedBuild>,
    direct: Totals,
    total: Totals,
    users: Vec<UserUse>,
    hosts: Vec<HostUse>,
    jobs: Vec<JobUse>,
    through: Vec<ThroughUse>,
    /// What the files are that were asked for, where that was learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<NamedFile>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rounded: bool,
    #[serde(skip)]
    pub is_cut: bool,
}

#[derive(Debug, Serialize)]
struct ThroughUse {
    depth: u32,
    jobs: usize,
    #[serde(flatten)]
    count: CountJson,
    #[serde(flatten)]
    build: ListedBuild,
}

/// A build that ran: how often, and through which programs.
struct BuildUse {
    signature: Signature,
    depth: u32,
    count: Count,
    programs: Vec<ProgramNumber>,
}

impl Uses {
    /// Who ran it; `None` when nothing is known of it.
    pub fn answer(&self, question: &UsesQuestion) -> Result<Option<UsesAnswer>, UsesError> {
        let mut named = NamedSoftware::default();
        for software in &question.software {
            named.add(self.named_software(software)?);
        }
        let parts = question.part.into_iter().chain(named.builds.iter().copied().map(Part::Signature));
        let ContainingBuilds { itself, builds, is_cut, is_known } = self.containing(parts)?;
        let (is_cut, is_known) = (is_cut || named.is_cut, is_known || named.is_known);
        let missing = self.missing(&question.narrowing.user, question.narrowing.since_ns)?;
        let mut loaded = self.loaded_by(&question.objects, missing, |_| true)?;
        for objects in named.objects() {
            loaded.add(self.loaded_by(&objects, missing, |_| true)?);
        }
        for software in &question.software {
            let package =
                ObjectQuestion { package: Some(software.name.clone()), ..ObjectQuestion::default() };
            loaded.add(self.loaded_by(&package, missing, |name| software.fits_package(name))?);
        }
        let LoadedBy { programs: mut direct, objects, is_known: is_loaded, is_cut: is_loaded_cut } = loaded;
        let names = self.names_of(&objects, question.limit)?;
        for signature in &itself {
            direct.extend(self.programs_with(*signature)?);
        }
        let mut is_forgotten = false;
        for signature in &itself {
            is_forgotten |= self.last_forgotten(signature)?.is_some();
        }
        if !is_known && !is_loaded && !is_loaded_cut && !is_forgotten && direct.is_empty() {
            return Ok(None);
        }
        is_forgotten |= missing.is_unmarked() && direct.is_empty();
        let mut through = self.used(builds, &mut is_forgotten)?;
        let is_forgotten = is_forgotten && missing.is_any();
        let mut budget =
            Budget::new(is_cut || is_loaded_cut || is_forgotten || missing.is_anything(), missing);
        let mut all = direct.clone();
        all.extend(through.iter().flat_map(|used| &used.programs));
        let (mut total, mut alone) = (Sum::default(), HashMap::new());
        for program in &all {
            let count = self.add_program(*program, &question.narrowing, &mut budget, &mut total)?;
            alone.insert(*program, count);
        }
        let of_direct = match direct.len() == all.len() {
            true => total.totals(),
            false => self.sum(&direct, question, &mut budget)?.totals(),
        };
        for used in &mut through {
            used.programs.iter().filter_map(|program| alone.get(program)).for_each(|one| used.count.add(one));
        }
        through.retain(|used| used.count.all() > 0);
        through.sort_by_key(|used| (Reverse(used.count.all()), used.depth));
        through.truncate(question.limit);
        let signatures: Vec<Signature> =
            through.iter().map(|used| used.signature).chain(itself.first().copied()).collect();
        let mut listed = self.registry.listed(&signatures)?;
        let build = listed.split_off(through.len()).pop().flatten();
        let mut through_uses = Vec::new();
        for (used, build) in through.into_iter().zip(listed) {
            let programs = used.programs.iter().copied().collect();
            let jobs = self.sum(&programs, question, &mut budget)?.jobs.len();
            let Some(build) = build else { continue };
            through_uses.push(ThroughUse { depth: used.depth, jobs, count: used.count.into(), build });
        }
        let counted_by = match question.part {
            Some(Part::Signature(_)) => &["signature", "links"][..],
            Some(Part::Digest(_)) if itself.is_empty() => &["links"],
            Some(Part::Digest(_)) => &["signature", "links"],
            None if !question.software.is_empty() => &["name", "links"],
            None => &[],
        };
        Ok(Some(UsesAnswer {
            counted_by: counted_by.iter().copied().chain(question.objects.named()).collect(),
            build,
            direct: of_direct,
            users: total.user_uses(question.limit),
            hosts: total.host_uses(question.limit),
            jobs: total.job_uses(question.limit),
            rounded: total.is_rounded,
            total: total.totals(),
            through: through_uses,
            names,
            is_cut: budget.is_cut,
        }))
    }

    /// The builds that contain any of these parts.
    fn containing(&self, parts: impl Iterator<Item = Part>) -> Result<ContainingBuilds, UsesError> {
        let mut all = ContainingBuilds::default();
        let mut depths: BTreeMap<Signature, u32> = BTreeMap::new();
        for (index, part) in parts.enumerate() {
            let of_part = self.registry.containing(part, DEPTH_MAX)?;
            if index == 0 {
                all = of_part;
                continue;
            }
            if index == 1 {
                depths.extend(std::mem::take(&mut all.builds));
            }
            for (signature, depth) in of_part.builds {
                depths.entry(signature).and_modify(|known| *known = depth.min(*known)).or_insert(depth);
            }
            all.itself.extend(of_part.itself);
            all.is_cut |= of_part.is_cut;
            all.is_known |= of_part.is_known;
        }
        if !depths.is_empty() {
            // A build of the software that contains another one of it is asked about itself.
            depths.retain(|signature, _| !all.itself.contains(signature));
            all.builds = depths.into_iter().collect();
            all.builds.sort_by_key(|(_, depth)| *depth);
        }
        Ok(all)
    }

    /// What these objects are, where it was learned.
    fn names_of(&self, objects: &[Vec<u8>], limit: usize) -> Result<Vec<NamedFile>, UsesError> {
        let mut named = Vec::new();
        if !objects.is_empty() {
            self.names.catch_up();
        }
        for object in objects.iter().filter_map(|bytes| ObjectName::read(bytes)) {
            if named.len() < limit && object.package().is_none() {
                named.extend(NamedFile::find(&self.names, object.build_id, object.path)?);
            }
        }
        Ok(named)
    }

    /// The builds that some program has; programs may have been forgotten.
    fn used(
        &self,
        mut builds: Vec<(Signature, u32)>,
        is_forgotten: &mut bool,
    ) -> fjall::Result<Vec<BuildUse>> {
        let mut used: Vec<BuildUse> = Vec::new();
        let new =
            |signature, depth, programs| BuildUse { signature, depth, count: Count::default(), programs };
        if builds.len() <= ONE_BY_ONE_MAX {
            for (signature, depth) in builds {
                let programs = self.programs_with(signature)?;
                *is_forgotten |= self.last_forgotten(&signature)?.is_some();
                if !programs.is_empty() {
                    used.push(new(signature, depth, programs));
                }
            }
            return Ok(used);
        }
        // Builds of one depth come in the order of registration, nearly that of signatures.
        builds.sort();
        let mut builds = builds.into_iter().peekable();
        for entry in self.store.programs_with.iter() {
            let key = entry.key()?;
            let Some(signature) = key.get(..16).and_then(Signature::from_slice) else { continue };
            let program = number(key.get(16..).unwrap_or_default());
            match used.last_mut() {
                Some(last) if last.signature == signature => last.programs.push(program),
                _ => {
                    while builds.next_if(|(before, _)| *before < signature).is_some() {}
                    let found = builds.next_if(|(found, _)| *found == signature);
                    used.extend(found.map(|(_, depth)| new(signature, depth, vec![program])));
                }
            }
        }
        for used in &mut used {
            *is_forgotten |= used.programs.iter().any(|program| is_mark(*program));
            used.programs.retain(|program| !is_mark(*program));
        }
        Ok(used)
    }

    fn sum(
        &self,
        programs: &BTreeSet<ProgramNumber>,
        question: &UsesQuestion,
        budget: &mut Budget,
    ) -> fjall::Result<Sum> {
        let mut sum = Sum::default();
        for program in programs {
            self.add_program(*program, &question.narrowing, budget, &mut sum)?;
        }
        Ok(sum)
    }
}
