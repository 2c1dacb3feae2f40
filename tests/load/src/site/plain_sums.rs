//! The figures of a site, added up the plain way from the list of its processes.

use super::{End, Site, SiteProcess, events::later_libraries, people};
use std::collections::{BTreeMap, BTreeSet};

impl End {
    /// The word for it in reports. That memory was short is believed of a kernel alone.
    pub fn status(self, is_claimed: bool) -> &'static str {
        match self {
            End::Exit(0) => "completed",
            End::Exit(_) => "failed",
            End::OutOfMemory if !is_claimed => "oom",
            End::OutOfMemory | End::Signal(_) => "killed",
            End::Exec => "exec",
            End::Unseen => "unknown",
            End::Open => "open",
        }
    }
}

impl SiteProcess {
    /// The word for its end in reports.
    pub fn status(&self) -> &'static str {
        self.end.status(self.is_claimed)
    }

    /// The day of its start, by UTC.
    pub fn date(&self) -> String {
        date(self.start_ns)
    }

    /// The number of its job on its cluster.
    fn job_key(&self) -> Option<(usize, u64)> {
        self.job.map(|job| (usize::from(self.cluster), job))
    }
}

impl Site {
    /// The values of a key of reports: several, of a key that is a set.
    pub fn values(&self, process: &SiteProcess, key: &str) -> Vec<String> {
        let program = self.program(process);
        let loaded = program.libraries.iter().map(|index| self.libraries[*index].name().to_owned());
        let packages = program.code.packages.iter().map(|(name, _)| (*name).to_owned());
        let values: BTreeSet<String> = match key {
            "library" if process.end == End::Open => loaded.collect(),
            "library" => loaded.chain(later_libraries(self, process)).collect(),
            "module" => self.modules(process).into_iter().collect(),
            "package" if process.end != End::Open => packages.collect(),
            "package" => BTreeSet::new(),
            _ => BTreeSet::from([self.value(process, key)]),
        };
        if values.is_empty() { vec![String::new()] } else { values.into_iter().collect() }
    }

    /// The process has this value among those of the key.
    pub fn has(&self, process: &SiteProcess, key: &str, value: &str) -> bool {
        self.values(process, key).iter().any(|known| known == value)
    }

    /// The value of a key of reports.
    pub fn value(&self, process: &SiteProcess, key: &str) -> String {
        let program = self.program(process);
        match key {
            "software" => program.software().into(),
            "version" => program.known_version().into(),
            "program" => program.path.clone(),
            "user" => people::user(process.user.into()),
            "account" => people::account(process.account.into()).into(),
            "partition" => {
                people::PARTITIONS[usize::from(process.cluster)][usize::from(process.partition)].into()
            }
            "host" => super::events::host(process),
            "cluster" => people::CLUSTERS[usize::from(process.cluster)].into(),
            "day" => process.date(),
            "month" => process.date()[..7].to_owned(),
            _ => panic!("{key}"),
        }
    }

    /// The process ran a program whose build is registered.
    pub fn is_registered(&self, process: &SiteProcess) -> bool {
        self.program(process).signature.is_some()
    }

    /// Sums over processes, a line for each combination of values.
    pub fn sums<'a>(
        &self,
        processes: impl Iterator<Item = &'a SiteProcess>,
        keys: &[&str],
    ) -> BTreeMap<Vec<String>, Figures> {
        let mut lines: BTreeMap<Vec<String>, (Figures, [Distinct; 3])> = BTreeMap::new();
        for process in processes {
            let mut its_lines = vec![Vec::new()];
            for key in keys {
                let values = self.values(process, key);
                let with =
                    |line: &Vec<String>, value: &String| [&line[..], std::slice::from_ref(value)].concat();
                let all =
                    |line: &Vec<String>| values.iter().map(|value| with(line, value)).collect::<Vec<_>>();
                its_lines = its_lines.iter().flat_map(all).collect();
            }
            for line in its_lines {
                let (figures, [jobs, users, accounts]) = lines.entry(line).or_default();
                figures.processes += 1;
                jobs.extend(process.job_key());
                users.insert((0, process.user.into()));
                accounts.insert((0, process.account.into()));
                *figures.ended.entry(process.status()).or_default() += 1;
                if process.end != End::Open {
                    figures.cpu_us += process.cpu_us;
                    figures.wall_us += (process.end_ns - process.start_ns) as u64 / 1000;
                }
            }
        }
        lines
            .into_iter()
            .map(|(line, (figures, [jobs, users, accounts]))| {
                let [jobs, users, accounts] = [jobs, users, accounts].map(|set| set.len() as u64);
                (line, Figures { jobs, users, accounts, ..figures })
            })
            .collect()
    }

    /// All jobs, by their clusters and ids.
    pub fn jobs(&self) -> BTreeMap<(String, String), JobFigures> {
        let mut jobs: BTreeMap<(String, String), JobFigures> = BTreeMap::new();
        for process in &self.processes {
            let Some(number) = process.job else { continue };
            let new = || JobFigures {
                user: self.value(process, "user"),
                account: self.value(process, "account"),
                partition: self.value(process, "partition"),
                is_claimed: process.is_claimed,
                state: if process.is_claimed { "unknown" } else { "" },
                first_ns: i64::MAX,
                ..JobFigures::default()
            };
            let job = jobs.entry((self.value(process, "cluster"), number.to_string())).or_insert_with(new);
            let is_open = process.end == End::Open;
            job.processes += 1;
            job.open += u64::from(is_open);
            job.cpu_us += if is_open { 0 } else { process.cpu_us };
            job.first_ns = job.first_ns.min(process.start_ns);
            job.last_ns = job.last_ns.max(if is_open { process.start_ns } else { process.end_ns });
            job.software.extend(Some(self.value(process, "software")).filter(|name| !name.is_empty()));
            // The script and the ranks say how a job went, and whatever had no memory.
            let speaks = process.parent.is_none() || process.rank.is_some();
            let status = process.status();
            if !process.is_claimed && (speaks || status == "oom") && rank(status) > rank(job.state) {
                job.state = status;
            }
        }
        for job in jobs.values_mut() {
            job.state = match job.state {
                "open" => "running",
                "exec" | "" => "unknown",
                state => state,
            };
        }
        jobs
    }
}

/// The worse state has the higher number.
fn rank(status: &str) -> usize {
    ["", "exec", "completed", "unknown", "open", "failed", "killed", "oom"]
        .iter()
        .position(|known| *known == status)
        .expect("a status")
}

/// The figures of one line, by the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Processes.
    pub processes: u64,
    /// Jobs, each once.
    pub jobs: u64,
    /// Users, each once.
    pub users: u64,
    /// Accounts, each once.
    pub accounts: u64,
    /// CPU time of processes that have ended, in microseconds.
    pub cpu_us: u64,
    /// Their time from start to end.
    pub wall_us: u64,
    /// Processes by the word for their end.
    pub ended: BTreeMap<&'static str, u64>,
}

/// Jobs, users or accounts: each once.
type Distinct = BTreeSet<(usize, u64)>;

/// A job, by the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFigures {
    /// Who ran it.
    pub user: String,
    /// The account that pays.
    pub account: String,
    /// Its partition.
    pub partition: String,
    /// Nobody proved it.
    pub is_claimed: bool,
    /// The worst of its ends.
    pub state: &'static str,
    /// All processes.
    pub processes: u64,
    /// Processes without an end.
    pub open: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// Time of the first start.
    pub first_ns: i64,
    /// Time of the last start or end.
    pub last_ns: i64,
    /// Software with a name that it ran.
    pub software: BTreeSet<String>,
}

/// The node time of all jobs of the processes, in microseconds: of each job its nodes, from its
/// first start to its last known moment.
pub fn node_us<'a>(processes: impl Iterator<Item = &'a SiteProcess>) -> u64 {
    let mut jobs: BTreeMap<(usize, u64), (u64, i64, i64)> = BTreeMap::new();
    for process in processes {
        let Some(job) = process.job_key() else { continue };
        let last_ns = if process.end == End::Open { process.start_ns } else { process.end_ns };
        let nodes = u64::from(process.nodes);
        let job = jobs.entry(job).or_insert((nodes, process.start_ns, last_ns));
        job.1 = job.1.min(process.start_ns);
        job.2 = job.2.max(last_ns);
    }
    jobs.values().map(|(nodes, first, last)| nodes * ((last - first) as u64 / 1000)).sum()
}

/// The day of a time, by UTC.
pub fn date(time_ns: i64) -> String {
    let (mut days, mut year) = (time_ns / 86_400_000_000_000, 1970);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, days + 1)
}
