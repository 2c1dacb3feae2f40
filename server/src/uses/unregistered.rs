//! Programs that ran with no signature, or with one that nobody registered: by build-id and path,
//! or by job.
//!
//! Whether a signature is registered is asked when the answer is made, so a record that came late
//! is a record.

use super::{
    ProgramNumber, Uses, UsesError,
    answer::{CountJson, text},
    program::Program,
    rows::{About, Count},
};
use crate::database::number;
use ogrt_note::Signature;
use ogrt_proto::hex;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Users, jobs and programs that are named in one element.
const NAMED_MAX: usize = 100;

/// Rows of jobs that one answer looks at, at most.
const ROWS_MAX: usize = 2_000_000;

/// A question for programs that nobody registered.
#[derive(Clone, Debug, Default)]
pub struct UnregisteredQuestion {
    /// The beginning of the time in which they ran, nanoseconds.
    pub since_ns: Option<i64>,
    /// The end of that time.
    pub until_ns: Option<i64>,
    /// The user who ran them; any where this is empty.
    pub user: String,
    /// The beginning of their paths.
    pub under: String,
    /// First element of the page.
    pub from: usize,
    /// Elements of a page.
    pub limit: usize,
}

/// A page.
pub struct UnregisteredPage<T> {
    /// The latest first.
    pub elements: Vec<T>,
    /// There are more after it.
    pub has_next: bool,
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
}

/// A job that ran some.
#[derive(Debug, Serialize)]
pub struct UnregisteredJob {
    job_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(flatten)]
    count: CountJson,
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
    programs: Vec<ProgramNumber>,
    count: Count,
}

/// Build-id and path.
type GroupKey = (Vec<u8>, Vec<u8>);

impl Uses {
    /// The programs that nobody registered.
    pub fn unregistered(
        &self,
        question: &UnregisteredQuestion,
    ) -> Result<UnregisteredPage<UnregisteredProgram>, UsesError> {
        let mut groups: Vec<(GroupKey, Group)> = self.groups(question)?.into_iter().collect();
        groups.sort_by_key(|(_, group)| Reverse(group.count.last_ns));
        let has_next = groups.len() > question.from.saturating_add(question.limit);
        let mut elements = Vec::new();
        let mut left = ROWS_MAX;
        for (key, group) in groups.into_iter().skip(question.from).take(question.limit) {
            elements.push(self.unregistered_program(question, &key, &group, &mut left)?);
        }
        Ok(UnregisteredPage { elements, has_next, is_cut: left == 0 })
    }

    fn unregistered_program(
        &self,
        question: &UnregisteredQuestion,
        key: &GroupKey,
        group: &Group,
        left: &mut usize,
    ) -> Result<UnregisteredProgram, UsesError> {
        let (mut users, mut jobs) = (HashMap::<Vec<u8>, i64>::new(), HashMap::<Vec<u8>, i64>::new());
        let mut hosts = BTreeSet::new();
        let is_within = |count: &Count| count.is_within(question.since_ns, question.until_ns);
        for program in &group.programs {
            self.rows_of(About::User, *program, |user, count, _| {
                if is_within(&count) && !user.is_empty() {
                    let last = users.entry(user.to_vec()).or_insert(count.last_ns);
                    *last = count.last_ns.max(*last);
                }
            })?;
            self.rows_of(About::Host, *program, |host, _, _| {
                hosts.insert(host.to_vec());
            })?;
            self.rows_of(About::Job, *program, |job, count, _| {
                if *left > 0 && is_within(&count) {
                    *left -= 1;
                    let last = jobs.entry(job.to_vec()).or_insert(count.last_ns);
                    *last = count.last_ns.max(*last);
                }
            })?;
        }
        Ok(UnregisteredProgram {
            name: name(key, group),
            count: group.count.into(),
            jobs: jobs.len(),
            users: latest(users),
            hosts: hosts.len(),
            job_ids: latest(jobs),
        })
    }

    /// The jobs that ran such programs.
    pub fn unregistered_by_job(
        &self,
        question: &UnregisteredQuestion,
    ) -> Result<UnregisteredPage<UnregisteredJob>, UsesError> {
        struct Job {
            count: Count,
            user: Vec<u8>,
            programs: BTreeMap<GroupKey, u64>,
        }
        let groups = self.groups(question)?;
        let mut jobs: HashMap<Vec<u8>, Job> = HashMap::new();
        let mut left = ROWS_MAX;
        for (key, group) in &groups {
            for program in &group.programs {
                self.rows_of(About::Job, *program, |job, count, user| {
                    let is_asked = count.is_within(question.since_ns, question.until_ns)
                        && (question.user.is_empty() || question.user.as_bytes() == user);
                    if !is_asked || left == 0 {
                        return;
                    }
                    left -= 1;
                    let job = jobs.entry(job.to_vec()).or_insert_with(|| Job {
                        count: Count::default(),
                        user: user.to_vec(),
                        programs: BTreeMap::new(),
                    });
                    job.count.add(&count);
                    if job.programs.contains_key(key) || job.programs.len() < NAMED_MAX {
                        *job.programs.entry(key.clone()).or_default() += count.processes;
                    }
                })?;
            }
        }
        let mut jobs: Vec<(Vec<u8>, Job)> = jobs.into_iter().collect();
        jobs.sort_by(|(a_id, a), (b_id, b)| b.count.last_ns.cmp(&a.count.last_ns).then(a_id.cmp(b_id)));
        let has_next = jobs.len() > question.from.saturating_add(question.limit);
        let page = jobs.into_iter().skip(question.from).take(question.limit);
        let in_job = |(key, processes): (GroupKey, u64)| {
            groups.get(&key).map(|group| JobProgram { name: name(&key, group), processes })
        };
        let elements = page
            .map(|(job_id, job)| UnregisteredJob {
                job_id: text(&job_id),
                user: text(&job.user),
                count: job.count.into(),
                programs: job.programs.into_iter().filter_map(in_job).collect(),
            })
            .collect();
        Ok(UnregisteredPage { elements, has_next, is_cut: left == 0 })
    }

    /// Programs with an unregistered executable, by build-id and path.
    fn groups(&self, question: &UnregisteredQuestion) -> Result<BTreeMap<GroupKey, Group>, UsesError> {
        let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
        let mut registered: HashMap<Signature, bool> = HashMap::new();
        for entry in self.store.programs.iter() {
            let (key, value) = entry.into_inner()?;
            let Some(Program { is_later: false, path, build_id, executable, .. }) = Program::read(&value)
            else {
                continue;
            };
            if !path.starts_with(question.under.as_bytes())
                || self.is_any_registered(&executable, &mut registered)?
            {
                continue;
            }
            let program = number(&key);
            let (mut count, mut is_by_user) = (Count::default(), question.user.is_empty());
            self.rows_of(About::User, program, |user, of_user, _| {
                is_by_user |= user == question.user.as_bytes();
                if question.user.is_empty() || user == question.user.as_bytes() {
                    count.add(&of_user);
                }
            })?;
            if is_by_user && count.is_within(question.since_ns, question.until_ns) {
                let group = groups.entry((build_id, path)).or_insert_with(|| Group {
                    signature: executable.first().copied(),
                    programs: Vec::new(),
                    count: Count::default(),
                });
                group.programs.push(program);
                group.count.add(&count);
            }
        }
        Ok(groups)
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

fn name((build_id, path): &GroupKey, group: &Group) -> ProgramName {
    ProgramName {
        binpath: text(path),
        build_id: hex(build_id),
        signature: group.signature.map(|signature| signature.to_string()),
    }
}

/// The names that were seen last.
fn latest(names: HashMap<Vec<u8>, i64>) -> Vec<String> {
    let mut names: Vec<(Vec<u8>, i64)> = names.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    names.truncate(NAMED_MAX);
    names.into_iter().map(|(name, _)| text(&name)).collect()
}
