//! Rows of several programs, added up, as far as a question asks for them.

use super::{
    ProgramNumber, Uses,
    forgotten::Missing,
    old_rows::{self, About},
    rows::{self, Count, RowKey, Whole},
};
use crate::job_name;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

/// Largest number of rows that one answer looks at.
const ROWS_MAX: usize = 5_000_000;

/// Largest number of different users, hosts and jobs in the memory of one answer.
const NAMES_MAX: usize = 1_000_000;

/// What narrows an answer: everything in it.
#[derive(Clone, Debug, Default)]
pub struct Narrowing {
    /// The beginning of the time, in Unix nanoseconds.
    pub since_ns: Option<i64>,
    /// The end of that time.
    pub until_ns: Option<i64>,
    /// The user; any where this is empty.
    pub user: String,
    /// The host; any where this is empty.
    pub host: String,
    /// The cluster's key; any where this is empty.
    pub cluster: Vec<u8>,
}

impl Narrowing {
    /// Tells whether some of the count may be in the time, by its first and last moment.
    fn is_within(&self, count: &Count) -> bool {
        self.since_ns.is_none_or(|since| count.last_ns >= since)
            && self.until_ns.is_none_or(|until| count.first_ns < until)
    }

    /// Tells whether some of the count may be outside of the time.
    fn is_across(&self, count: &Count) -> bool {
        self.since_ns.is_some_and(|since| count.first_ns < since)
            || self.until_ns.is_some_and(|until| count.last_ns >= until)
    }

    fn names_fit(&self, row: &RowKey<'_>) -> bool {
        let fits = |asked: &[u8], name: &[u8]| asked.is_empty() || asked == name;
        fits(self.user.as_bytes(), row.user)
            && fits(self.host.as_bytes(), row.host)
            && fits(&self.cluster, row.cluster)
    }

    fn takes_all_names(&self) -> bool {
        self.user.is_empty() && self.host.is_empty() && self.cluster.is_empty()
    }

    /// Tells whether the whole of a program is asked for, so that no row need be read.
    pub fn takes_all(&self, whole: &Whole) -> bool {
        self.takes_all_names() && self.is_within(&whole.count) && !self.is_across(&whole.count)
    }

    /// Tells whether nothing of a program can be asked for.
    pub fn takes_none(&self, whole: &Whole) -> bool {
        whole.count.all() == 0 || !self.is_within(&whole.count)
    }
}

/// What an answer may still look at, and whether it had to stop.
pub struct Budget {
    rows: usize,
    names: usize,
    /// There was more to look at, or more was counted than is kept.
    pub is_cut: bool,
    /// Something of the user's is missing.
    is_missing: bool,
}

impl Budget {
    /// A whole one, of an answer that may be cut already.
    pub fn new(is_cut: bool, missing: Missing) -> Self {
        Budget { rows: ROWS_MAX, names: NAMES_MAX, is_cut, is_missing: missing.is_any() }
    }
}

/// A job: its cluster and its id.
pub type JobName = (Vec<u8>, Vec<u8>);

/// See the module.
#[derive(Default)]
pub struct Sum {
    pub count: Count,
    pub users: BTreeMap<Vec<u8>, Count>,
    pub hosts: BTreeMap<Vec<u8>, Count>,
    /// The jobs, each with its users. A process of which nobody knows the user has none.
    pub jobs: BTreeMap<JobName, BTreeMap<Vec<u8>, Count>>,
    /// Some counts hold processes from outside the time that was asked for.
    pub is_rounded: bool,
}

/// A count with its JSON keys.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CountJson {
    processes: u64,
    loaded_later: u64,
    claimed: u64,
    first_ns: i64,
    last_ns: i64,
}

impl From<Count> for CountJson {
    fn from(count: Count) -> Self {
        let Count { processes, later, claimed, first_ns, last_ns } = count;
        CountJson { processes, loaded_later: later, claimed, first_ns, last_ns }
    }
}

/// A count, and of how many jobs, users and hosts it is.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    #[serde(flatten)]
    count: CountJson,
    jobs: usize,
    users: usize,
    hosts: usize,
}

/// A user, and what ran for them.
#[derive(Debug, Serialize)]
pub struct UserUse {
    user: String,
    jobs: usize,
    #[serde(flatten)]
    count: CountJson,
}

/// A host, and what ran there.
#[derive(Debug, Serialize)]
pub struct HostUse {
    hostname: String,
    #[serde(flatten)]
    count: CountJson,
}

/// A job and one of its users, and what ran in it.
#[derive(Debug, Serialize)]
pub struct JobUse {
    job_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(flatten)]
    count: CountJson,
}

impl JobUse {
    /// What a user ran in a job.
    pub fn new((cluster, job_id): &JobName, user: &[u8], count: Count) -> JobUse {
        JobUse {
            job_id: job_name::of_key(job_id).into_owned(),
            cluster: job_name::of_cluster(cluster).into_owned(),
            user: text(user),
            count: count.into(),
        }
    }
}

impl Uses {
    /// Hands each row of a program that is asked for to `each`.
    pub(super) fn rows_of(
        &self,
        program: ProgramNumber,
        narrowing: &Narrowing,
        budget: &mut Budget,
        mut each: impl FnMut(&RowKey<'_>, &Count),
    ) -> fjall::Result<()> {
        let prefix = match narrowing.user.as_str() {
            "" => program.to_be_bytes().to_vec(),
            user => {
                budget.is_cut |= budget.is_missing && self.whole(program)?.is_cut;
                rows::user_prefix(program, user.as_bytes())
            }
        };
        for row in self.store.rows.prefix(prefix) {
            let (key, value) = row.into_inner()?;
            let Some(row) = RowKey::read(&key) else {
                budget.is_cut |= Whole::read(&value).is_cut;
                continue;
            };
            if budget.rows == 0 {
                budget.is_cut = true;
                break;
            }
            budget.rows -= 1;
            let count = rows::read(&value, row.is_claimed);
            if narrowing.names_fit(&row) && narrowing.is_within(&count) {
                each(&row, &count);
            }
        }
        Ok(())
    }

    /// Adds the rows of a program, and returns what it alone has.
    pub(super) fn add_program(
        &self,
        program: ProgramNumber,
        narrowing: &Narrowing,
        budget: &mut Budget,
        sum: &mut Sum,
    ) -> fjall::Result<Count> {
        let (mut alone, mut names) = (Count::default(), budget.names);
        self.rows_of(program, narrowing, budget, |row, count| {
            alone.add(count);
            sum.is_rounded |= narrowing.is_across(count);
            sum.add(row, count, &mut names);
        })?;
        if self.has_old_rows {
            self.add_old(program, narrowing, sum, &mut alone, &mut names)?;
        }
        budget.names = names;
        budget.is_cut |= names == 0;
        Ok(alone)
    }

    fn add_old(
        &self,
        program: ProgramNumber,
        narrowing: &Narrowing,
        sum: &mut Sum,
        alone: &mut Count,
        names: &mut usize,
    ) -> fjall::Result<()> {
        old_rows::each(&self.store, program, |about, name, count, user| {
            let row = RowKey { program, ..RowKey::default() };
            let row = match about {
                About::User => RowKey { user: name, ..row },
                About::Host => RowKey { host: name, ..row },
                About::Job => RowKey { user, job: name, ..row },
            };
            if !narrowing.names_fit(&row) || !narrowing.is_within(&count) {
                return;
            }
            // Rows about one thing do not say which process is which, so only users are counted.
            if about == About::User {
                alone.add(&count);
                sum.count.add(&count);
            }
            sum.is_rounded |= narrowing.is_across(&count);
            match about {
                About::User if !row.user.is_empty() => {
                    sum.users.entry(row.user.to_vec()).or_default().add(&count)
                }
                About::User => {}
                About::Host => sum.hosts.entry(row.host.to_vec()).or_default().add(&count),
                About::Job => sum.add_job(&row, &count),
            }
            *names = names.saturating_sub(1);
        })
    }
}

/// Bytes as text; those that are not UTF-8 become U+FFFD.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Sum {
    /// Adds one row; `names` are left for more users, hosts and jobs.
    pub fn add(&mut self, row: &RowKey<'_>, count: &Count, names: &mut usize) {
        self.count.add(count);
        let before = self.names();
        if *names == 0 {
            return;
        }
        for (all, name) in [(&mut self.users, row.user), (&mut self.hosts, row.host)] {
            if name.is_empty() {
                continue;
            }
            match all.get_mut(name) {
                Some(known) => known.add(count),
                None => drop(all.insert(name.to_vec(), *count)),
            }
        }
        if !row.job.is_empty() {
            self.add_job(row, count);
        }
        *names = names.saturating_sub(self.names() - before);
    }

    fn names(&self) -> usize {
        self.users.len() + self.hosts.len() + self.jobs.len()
    }

    fn add_job(&mut self, row: &RowKey<'_>, count: &Count) {
        let users = self.jobs.entry((row.cluster.to_vec(), row.job.to_vec())).or_default();
        users.entry(row.user.to_vec()).or_default().add(count);
    }

    /// How many there are of everything.
    pub fn totals(&self) -> Totals {
        Totals {
            count: self.count.into(),
            jobs: self.jobs.len(),
            users: self.users.len(),
            hosts: self.hosts.len(),
        }
    }

    /// The users with the most processes.
    pub fn user_uses(&self, limit: usize) -> Vec<UserUse> {
        let most = most(&self.users, limit);
        let named: HashSet<&[u8]> = most.iter().map(|(user, _)| *user).collect();
        let mut jobs: HashMap<&[u8], usize> = HashMap::new();
        for user in self.jobs.values().flat_map(BTreeMap::keys).filter(|user| named.contains(&user[..])) {
            *jobs.entry(user).or_default() += 1;
        }
        let of = |(user, count): (&[u8], Count)| UserUse {
            user: text(user),
            jobs: jobs.get(user).copied().unwrap_or(0),
            count: count.into(),
        };
        most.into_iter().map(of).collect()
    }

    /// The hosts with the most processes.
    pub fn host_uses(&self, limit: usize) -> Vec<HostUse> {
        let of = |(host, count): (&[u8], Count)| HostUse { hostname: text(host), count: count.into() };
        most(&self.hosts, limit).into_iter().map(of).collect()
    }

    /// The latest jobs, a row for each of their users.
    pub fn job_uses(&self, limit: usize) -> Vec<JobUse> {
        let mut jobs: Vec<(&JobName, &Vec<u8>, &Count)> = Vec::new();
        for (job, users) in &self.jobs {
            jobs.extend(users.iter().map(|(user, count)| (job, user, count)));
        }
        jobs.sort_unstable_by_key(|(job, user, count)| (Reverse(count.last_ns), *job, *user));
        jobs.truncate(limit);
        jobs.into_iter().map(|(job, user, count)| JobUse::new(job, user, *count)).collect()
    }
}

/// The names with the most processes.
fn most(all: &BTreeMap<Vec<u8>, Count>, limit: usize) -> Vec<(&[u8], Count)> {
    let mut most: Vec<(&[u8], Count)> = all.iter().map(|(name, count)| (&name[..], *count)).collect();
    most.sort_by_key(|(_, count)| Reverse(count.all()));
    most.truncate(limit);
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(user: &'a [u8], host: &'a [u8], cluster: &'a [u8], job: &'a [u8]) -> RowKey<'a> {
        RowKey { user, host, cluster, job, ..RowKey::default() }
    }

    #[test]
    fn many_users_of_one_job_are_rows_and_one_job() {
        let mut sum = Sum::default();
        let rows = [
            row(b"ann", b"n1", b"", b"q1"),
            row(b"bob", b"n1", b"", b"q1"),
            row(b"bob", b"n2", b"", b"q1"),
            row(b"bob", b"n2", b"beta", b"q1"),
            row(b"bob", b"n2", b"", b""),
        ];
        for (at, row) in rows.iter().enumerate() {
            sum.add(row, &Count::one(false, at > 1, at as i64), &mut 100);
        }
        let totals = serde_json::to_value(sum.totals()).unwrap();
        assert_eq!(totals["processes"], 5);
        assert_eq!(
            (&totals["claimed"], &totals["jobs"], &totals["hosts"]),
            (&3.into(), &2.into(), &2.into())
        );
        let users = serde_json::to_value(sum.user_uses(9)).unwrap();
        assert_eq!((&users[0]["user"], &users[0]["jobs"]), (&"bob".into(), &2.into()));
        assert_eq!(
            (&users[1]["user"], &users[1]["jobs"], &users[1]["processes"]),
            (&"ann".into(), &1.into(), &1.into())
        );
        let jobs = serde_json::to_value(sum.job_uses(9)).unwrap();
        assert_eq!(jobs.as_array().unwrap().len(), 3, "{jobs}");
        assert_eq!((&jobs[0]["cluster"], &jobs[0]["processes"]), (&"beta".into(), &1.into()));
        assert_eq!((&jobs[1]["user"], &jobs[1]["processes"]), (&"bob".into(), &2.into()));
    }

    #[test]
    fn what_is_narrowed_is_told_from_what_lies_across() {
        let narrowing = Narrowing { since_ns: Some(10), until_ns: Some(20), ..Narrowing::default() };
        let count = |first_ns, last_ns| Count { processes: 1, first_ns, last_ns, ..Count::default() };
        let of = |count| (narrowing.is_within(&count), narrowing.is_across(&count));
        assert_eq!(of(count(10, 19)), (true, false));
        assert_eq!(of(count(9, 10)), (true, true));
        assert_eq!(of(count(19, 20)), (true, true));
        assert!(!narrowing.is_within(&count(5, 9)) && !narrowing.is_within(&count(20, 30)));
        let whole = Whole { count: count(10, 19), ..Whole::default() };
        assert!(narrowing.takes_all(&whole));
        assert!(!Narrowing { host: "n".into(), ..narrowing.clone() }.takes_all(&whole));
        assert!(narrowing.takes_none(&Whole { count: count(20, 30), ..Whole::default() }));
    }
}
