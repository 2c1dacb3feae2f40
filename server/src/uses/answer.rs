//! Who ran something, directly or through something that contains it.
//!
//! The registry says what contains it; the programs that have any of these builds say who ran them.
//! A process is one program, so it counts once however many of its libraries contain what was asked
//! for.

use super::{
    ProgramNumber, Uses, UsesError,
    rows::{About, Count},
};
use crate::{
    database::number,
    registry::{ContainingBuilds, DEPTH_MAX, ListedBuild, Part},
};
use ogrt_note::Signature;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Largest number of rows that one answer looks at.
const ROWS_MAX: usize = 5_000_000;

/// Signatures that are looked up one by one; more are found by a walk over all programs.
const ONE_BY_ONE_MAX: usize = 4096;

/// Who ran what, and when?
#[derive(Clone, Copy, Debug)]
pub struct UsesQuestion {
    /// The build or file that is asked about.
    pub part: Part,
    /// Begin of the time that narrows the lists, in Unix nanoseconds.
    pub since_ns: Option<i64>,
    /// End of that time.
    pub until_ns: Option<i64>,
    /// Largest number of elements in each list.
    pub limit: usize,
}

/// The answer; docs/api.md explains each key.
#[derive(Debug, Serialize)]
pub struct UsesAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<ListedBuild>,
    direct: Totals,
    total: Totals,
    users: Vec<UserUse>,
    hosts: Vec<HostUse>,
    jobs: Vec<JobUse>,
    through: Vec<ThroughUse>,
    #[serde(skip)]
    pub is_cut: bool,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    #[serde(flatten)]
    count: CountJson,
    jobs: usize,
    users: usize,
    hosts: usize,
}

/// A count with its JSON keys.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CountJson {
    processes: u64,
    loaded_later: u64,
    first_ns: i64,
    last_ns: i64,
}

#[derive(Debug, Serialize)]
struct UserUse {
    user: String,
    jobs: usize,
    #[serde(flatten)]
    count: CountJson,
}

#[derive(Debug, Serialize)]
struct HostUse {
    hostname: String,
    #[serde(flatten)]
    count: CountJson,
}

#[derive(Debug, Serialize)]
struct JobUse {
    job_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(flatten)]
    count: CountJson,
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

impl From<Count> for CountJson {
    fn from(count: Count) -> Self {
        let Count { processes, later, first_ns, last_ns } = count;
        CountJson { processes, loaded_later: later, first_ns, last_ns }
    }
}

/// Bytes as text; those that are not UTF-8 become U+FFFD.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A build that ran: how often, and through which programs.
struct BuildUse {
    signature: Signature,
    depth: u32,
    count: Count,
    programs: Vec<ProgramNumber>,
}

/// Rows of several programs, added up.
#[derive(Default)]
struct Sum {
    count: Count,
    users: BTreeMap<Vec<u8>, Count>,
    hosts: BTreeMap<Vec<u8>, Count>,
    jobs: HashMap<Vec<u8>, (Count, Vec<u8>)>,
}

impl Uses {
    /// Who ran the part; `None` when nothing is known of it.
    pub fn answer(&self, question: UsesQuestion) -> Result<Option<UsesAnswer>, UsesError> {
        let ContainingBuilds { itself, builds, mut is_cut, is_known } =
            self.registry.containing(question.part, DEPTH_MAX)?;
        let mut left = ROWS_MAX;
        let mut direct = BTreeSet::new();
        for signature in &itself {
            direct.extend(self.programs_with(*signature)?);
        }
        if !is_known && direct.is_empty() {
            return Ok(None);
        }
        let mut through = self.used(builds)?;
        let mut all = direct.clone();
        for used in &mut through {
            for program in &used.programs {
                self.rows_of(About::User, *program, |_, count, _| used.count.add(&count))?;
                all.insert(*program);
            }
        }
        let direct = self.sum(&direct, &mut left)?;
        let total = self.sum(&all, &mut left)?;
        let is_within = |count: &Count| count.is_within(question.since_ns, question.until_ns);
        through.retain(|used| is_within(&used.count));
        through.sort_by_key(|used| (Reverse(used.count.processes + used.count.later), used.depth));
        through.truncate(question.limit);
        let signatures: Vec<Signature> =
            through.iter().map(|used| used.signature).chain(itself.first().copied()).collect();
        let mut listed = self.registry.listed(&signatures)?;
        let build = listed.split_off(through.len()).pop().flatten();
        let mut through_uses = Vec::new();
        for (used, build) in through.into_iter().zip(listed) {
            let jobs = self.sum(&used.programs.iter().copied().collect(), &mut left)?.jobs.len();
            let Some(build) = build else { continue };
            through_uses.push(ThroughUse { depth: used.depth, jobs, count: used.count.into(), build });
        }
        is_cut |= left == 0;
        Ok(Some(UsesAnswer {
            build,
            direct: direct.totals(),
            users: total.users(question.limit, is_within),
            hosts: total.hosts(question.limit, is_within),
            jobs: total.jobs(question.limit, is_within),
            total: total.totals(),
            through: through_uses,
            is_cut,
        }))
    }

    /// The builds that some program has.
    fn used(&self, mut builds: Vec<(Signature, u32)>) -> fjall::Result<Vec<BuildUse>> {
        let mut used: Vec<BuildUse> = Vec::new();
        let new =
            |signature, depth, programs| BuildUse { signature, depth, count: Count::default(), programs };
        if builds.len() <= ONE_BY_ONE_MAX {
            for (signature, depth) in builds {
                let programs = self.programs_with(signature)?;
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
        Ok(used)
    }

    /// Adds up the rows of programs, at most `left` of them.
    fn sum(&self, programs: &BTreeSet<ProgramNumber>, left: &mut usize) -> fjall::Result<Sum> {
        let mut sum = Sum::default();
        for program in programs {
            if *left == 0 {
                break;
            }
            self.rows_of(About::User, *program, |user, count, _| {
                *left = left.saturating_sub(1);
                sum.count.add(&count);
                if !user.is_empty() {
                    sum.users.entry(user.to_vec()).or_default().add(&count);
                }
            })?;
            self.rows_of(About::Host, *program, |host, count, _| {
                *left = left.saturating_sub(1);
                sum.hosts.entry(host.to_vec()).or_default().add(&count);
            })?;
            self.rows_of(About::Job, *program, |job, count, user| {
                if *left == 0 {
                    return;
                }
                *left -= 1;
                let known = sum.jobs.entry(job.to_vec()).or_default();
                known.0.add(&count);
                if !user.is_empty() {
                    known.1 = user.to_vec();
                }
            })?;
        }
        Ok(sum)
    }
}

impl Sum {
    fn totals(&self) -> Totals {
        Totals {
            count: self.count.into(),
            jobs: self.jobs.len(),
            users: self.users.len(),
            hosts: self.hosts.len(),
        }
    }

    fn users(&self, limit: usize, is_within: impl Fn(&Count) -> bool) -> Vec<UserUse> {
        let mut jobs: HashMap<&[u8], usize> = HashMap::new();
        for (_, user) in self.jobs.values() {
            *jobs.entry(user).or_default() += 1;
        }
        let users = most(&self.users, limit, is_within).into_iter();
        users
            .map(|(user, count)| UserUse {
                user: text(user),
                jobs: jobs.get(user).copied().unwrap_or(0),
                count: count.into(),
            })
            .collect()
    }

    fn hosts(&self, limit: usize, is_within: impl Fn(&Count) -> bool) -> Vec<HostUse> {
        let hosts = most(&self.hosts, limit, is_within).into_iter();
        hosts.map(|(host, count)| HostUse { hostname: text(host), count: count.into() }).collect()
    }

    fn jobs(&self, limit: usize, is_within: impl Fn(&Count) -> bool) -> Vec<JobUse> {
        let mut jobs: Vec<_> = self.jobs.iter().filter(|(_, (count, _))| is_within(count)).collect();
        jobs.sort_unstable_by_key(|(job, (count, _))| (Reverse(count.last_ns), *job));
        jobs.truncate(limit);
        let job = |(job, (count, user)): (&Vec<u8>, &(Count, Vec<u8>))| JobUse {
            job_id: text(job),
            user: text(user),
            count: (*count).into(),
        };
        jobs.into_iter().map(job).collect()
    }
}

/// The entries with the most processes.
fn most(
    all: &BTreeMap<Vec<u8>, Count>,
    limit: usize,
    is_within: impl Fn(&Count) -> bool,
) -> Vec<(&[u8], Count)> {
    let mut within: Vec<(&[u8], Count)> =
        all.iter().filter(|(_, count)| is_within(count)).map(|(name, count)| (&name[..], *count)).collect();
    within.sort_by_key(|(_, count)| Reverse(count.processes + count.later));
    within.truncate(limit);
    within
}
