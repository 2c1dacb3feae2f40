//! Programs that ran with no signature, or with one that nobody registered: by build-id and path,
//! or by job.
//!
//! Whether a signature is registered is asked when the answer is made, so a record that came late
//! is a record. The same holds for what is learned of a file: programs that it explains are only
//! counted, unless somebody asks for them.

use super::{
    ProgramNumber, Uses, UsesError,
    program::Program,
    rows::Count,
    sum::{Budget, CountJson, JobName, JobUse, Narrowing, Sum, text},
};
use crate::{
    database::number,
    job_name,
    learned::{Resemblance, SoftwareName},
};
use ogrt_note::Signature;
use ogrt_proto::hex;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
};

/// Users, jobs and programs that are named in one element.
const NAMED_MAX: usize = 100;

/// Sketches that are compared for one page: each may take ten milliseconds. A page with more ends
/// early.
const COMPARED_MAX: usize = 100;

/// A question for programs that nobody registered.
#[derive(Clone, Debug, Default)]
pub struct UnregisteredQuestion {
    /// What of it is asked for.
    pub narrowing: Narrowing,
    /// The beginning of their paths.
    pub under: String,
    /// Also programs that are explained by what was learned.
    pub with_explained: bool,
    /// Tells what programs resemble.
    pub with_likeness: bool,
    /// First element of the page.
    pub from: usize,
    /// Elements of a page.
    pub limit: usize,
}

/// A page.
pub struct UnregisteredPage<T> {
    /// The latest first.
    pub elements: Vec<T>,
    /// The first element of the next page, if there is one.
    pub next: Option<usize>,
    /// Some counts hold processes from outside the time that was asked for.
    pub is_rounded: bool,
    /// The number of programs that are left out since they are explained.
    pub explained: usize,
    /// More was to look at than may be.
    pub is_cut: bool,
}

/// A program.
#[derive(Debug, Serialize)]
pub struct UnregisteredProgram {
    #[serde(flatten)]
    name: ProgramName,
    #[serde(flatten)]
    count: CountJson,
    jobs: usize,
    users: Vec<String>,
    hosts: usize,
    job_ids: Vec<String>,
}

/// The path, the build-id and the signature of a program.
#[derive(Clone, Debug, Serialize)]
struct ProgramName {
    binpath: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    build_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(flatten)]
    known: Option<SoftwareName>,
    /// What it resembles, where nothing explains it. It is never counted as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    resembles: Option<Resemblance>,
}

/// A job that ran some.
#[derive(Debug, Serialize)]
pub struct UnregisteredJob {
    #[serde(flatten)]
    job: JobUse,
    programs: Vec<JobProgram>,
}

#[derive(Debug, Serialize)]
struct JobProgram {
    #[serde(flatten)]
    name: ProgramName,
    processes: u64,
}

/// Programs whose executables have one path and build-id.
struct Group {
    signature: Option<Signature>,
    known: Option<SoftwareName>,
    programs: Vec<ProgramNumber>,
    count: Count,
}

/// All of them, and the number of those that are left out.
struct Groups {
    groups: BTreeMap<GroupKey, Group>,
    explained: usize,
}

/// Build-id and path.
type GroupKey = (Vec<u8>, Vec<u8>);

impl Uses {
    /// The programs that nobody registered.
    pub fn unregistered(
        &self,
        question: &UnregisteredQuestion,
    ) -> Result<UnregisteredPage<UnregisteredProgram>, UsesError> {
        let missing = self.missing(&question.narrowing.user, question.narrowing.since_ns)?;
        let mut budget = Budget::new(missing.is_any(), missing);
        let Groups { groups, explained } = self.groups(question, &mut budget)?;
        let mut groups: Vec<(GroupKey, Group)> = groups.into_iter().collect();
        groups.sort_by_key(|(_, group)| Reverse(group.count.last_ns));
        let of_all = groups.len();
        let (mut elements, mut is_rounded, mut compared) = (Vec::new(), false, 0);
        for (key, group) in groups.into_iter().skip(question.from).take(question.limit) {
            if compared >= COMPARED_MAX {
                break;
            }
            let mut sum = Sum::default();
            for program in &group.programs {
                self.add_program(*program, &question.narrowing, &mut budget, &mut sum)?;
            }
            is_rounded |= sum.is_rounded;
            let last = |(name, count): (&Vec<u8>, &Count)| (name.clone(), count.last_ns);
            let users = sum.users.iter().map(last).collect();
            let job = |((_, job), users): (&JobName, &BTreeMap<Vec<u8>, Count>)| {
                (job.clone(), users.values().map(|count| count.last_ns).max().unwrap_or_default())
            };
            let jobs = sum.jobs.iter().map(job).collect();
            elements.push(UnregisteredProgram {
                name: self.program_name(&key, &group, question.with_likeness, &mut compared)?,
                count: sum.count.into(),
                jobs: sum.jobs.len(),
                users: latest(users, text),
                hosts: sum.hosts.len(),
                job_ids: latest(jobs, |job| job_name::of_key(job).into_owned()),
            });
        }
        let next = next(question, elements.len(), of_all);
        Ok(UnregisteredPage { elements, next, is_rounded, explained, is_cut: budget.is_cut })
    }

    /// The jobs that ran such programs, one for each of their users.
    pub fn unregistered_by_job(
        &self,
        question: &UnregisteredQuestion,
    ) -> Result<UnregisteredPage<UnregisteredJob>, UsesError> {
        #[derive(Default)]
        struct Job {
            count: Count,
            programs: BTreeMap<GroupKey, u64>,
        }
        let missing = self.missing(&question.narrowing.user, question.narrowing.since_ns)?;
        let mut budget = Budget::new(missing.is_any(), missing);
        let Groups { groups, explained } = self.groups(question, &mut budget)?;
        let mut jobs: HashMap<(JobName, Vec<u8>), Job> = HashMap::new();
        let mut is_rounded = false;
        for (key, group) in &groups {
            let mut sum = Sum::default();
            for program in &group.programs {
                self.add_program(*program, &question.narrowing, &mut budget, &mut sum)?;
            }
            is_rounded |= sum.is_rounded;
            for (name, users) in sum.jobs {
                for (user, count) in users {
                    let job = jobs.entry((name.clone(), user)).or_default();
                    job.count.add(&count);
                    if job.programs.contains_key(key) || job.programs.len() < NAMED_MAX {
                        *job.programs.entry(key.clone()).or_default() += count.processes;
                    }
                }
            }
        }
        let mut jobs: Vec<_> = jobs.into_iter().collect();
        jobs.sort_by(|(a_name, a), (b_name, b)| {
            b.count.last_ns.cmp(&a.count.last_ns).then_with(|| a_name.cmp(b_name))
        });
        let (of_all, mut compared) = (jobs.len(), 0);
        let page = jobs.into_iter().skip(question.from).take(question.limit);
        let mut names: HashMap<GroupKey, ProgramName> = HashMap::new();
        let mut elements = Vec::new();
        for ((name, user), job) in page {
            if compared >= COMPARED_MAX {
                break;
            }
            let mut programs = Vec::new();
            for (key, processes) in job.programs {
                let Some(group) = groups.get(&key) else { continue };
                let name = match names.get(&key) {
                    Some(name) => name.clone(),
                    None => {
                        let name = self.program_name(&key, group, question.with_likeness, &mut compared)?;
                        names.entry(key).or_insert(name).clone()
                    }
                };
                programs.push(JobProgram { name, processes });
            }
            elements.push(UnregisteredJob { job: JobUse::new(&name, &user, job.count), programs });
        }
        let next = next(question, elements.len(), of_all);
        Ok(UnregisteredPage { elements, next, is_rounded, explained, is_cut: budget.is_cut })
    }

    /// Programs with an unregistered executable, by build-id and path.
    fn groups(&self, question: &UnregisteredQuestion, budget: &mut Budget) -> Result<Groups, UsesError> {
        self.names.catch_up();
        let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
        let mut explained: BTreeSet<GroupKey> = BTreeSet::new();
        let mut registered: HashMap<Signature, bool> = HashMap::new();
        for entry in self.store.programs.iter() {
            let (key, value) = entry.into_inner()?;
            let Some(Program { is_later: false, path, build_id, executable, .. }) = Program::read(&value)
            else {
                continue;
            };
            if !path.starts_with(question.under.as_bytes()) {
                continue;
            }
            let program = number(&key);
            let whole = self.whole(program)?;
            if question.narrowing.takes_none(&whole)
                || self.is_any_registered(&executable, &mut registered)?
            {
                continue;
            }
            let mut count = whole.count;
            if !question.narrowing.takes_all(&whole) {
                count = self.add_program(program, &question.narrowing, budget, &mut Sum::default())?;
            }
            let key = (build_id, path);
            if count.all() == 0 || explained.contains(&key) {
                continue;
            }
            let group = match groups.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let (build_id, path) = new.key();
                    let known = self.names.name(build_id, path)?;
                    if known.is_some() && !question.with_explained {
                        explained.insert(new.into_key());
                        continue;
                    }
                    let (signature, programs) = (executable.first().copied(), Vec::new());
                    new.insert(Group { signature, known, programs, count: Count::default() })
                }
            };
            group.programs.push(program);
            group.count.add(&count);
        }
        Ok(Groups { groups, explained: explained.len() })
    }

    /// Names a program, and counts the sketches that were compared for it.
    fn program_name(
        &self,
        key: &GroupKey,
        group: &Group,
        with_likeness: bool,
        compared: &mut usize,
    ) -> Result<ProgramName, UsesError> {
        let (build_id, path) = key;
        let mut resembles = None;
        if with_likeness
            && group.known.is_none()
            && let Some(sketch) = self.names.sketch_of_program(build_id)?
        {
            *compared += 1;
            resembles = self.names.resemblances(&sketch, 1)?.pop();
        }
        Ok(ProgramName {
            binpath: text(path),
            build_id: hex(build_id),
            signature: group.signature.map(|signature| signature.to_string()),
            known: group.known.clone(),
            resembles,
        })
    }

    fn is_any_registered(
        &self,
        executable: &[Signature],
        known: &mut HashMap<Signature, bool>,
    ) -> Result<bool, UsesError> {
        for signature in executable {
            let is_registered = match known.get(signature) {
                Some(is_registered) => *is_registered,
                None => {
                    let is_registered = self.registry.summary(*signature)?.is_some();
                    known.insert(*signature, is_registered);
                    is_registered
                }
            };
            if is_registered {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first element of the page behind one with this many elements, if there is one.
fn next(question: &UnregisteredQuestion, elements: usize, of_all: usize) -> Option<usize> {
    let next = question.from.saturating_add(elements);
    (of_all > next).then_some(next)
}

/// The names that were seen last.
fn latest(names: HashMap<Vec<u8>, i64>, shown: impl Fn(&[u8]) -> String) -> Vec<String> {
    let mut names: Vec<(Vec<u8>, i64)> = names.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    names.truncate(NAMED_MAX);
    names.into_iter().map(|(name, _)| shown(&name)).collect()
}
