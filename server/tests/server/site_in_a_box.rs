//! A site in a box: users, accounts, clusters, software and jobs that follow from a seed.
//!
//! It is a plain list of processes. Reports are compared with sums over this list, made the plain
//! way.

use bytes::Bytes;
use ogrt_proto::{
    EndedBy, MessageType, Module, Note, Package, ProcessEnd, ProcessInfo, SharedObject, encode_frame,
    field_numbers,
};
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A process, with everything that reports may say of it.
#[derive(Clone, Debug)]
pub struct BoxedProcess {
    number: u64,
    pub code: usize,
    pub user: usize,
    pub account: usize,
    pub cluster: usize,
    pub partition: usize,
    /// `None` outside of jobs.
    pub job: Option<u64>,
    pub nodes: u32,
    pub start_ns: i64,
    pub end_ns: i64,
    pub cpu_us: u64,
    pub status: &'static str,
    /// The step in which its end is sent; its start is sent in the step of its job.
    pub end_step: usize,
}

/// Software: the first ones are registered.
pub const CODES: usize = 12;
pub const REGISTERED: usize = 8;

/// The size of a site.
pub struct Size {
    pub users: usize,
    pub accounts: usize,
    pub jobs: u64,
    /// The days on which something happens, apart by so many seconds.
    pub steps: usize,
    pub step_seconds: i64,
}

/// A generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Makes the processes. `now_s` is the time of the first step, in seconds of Unix time.
pub fn site(seed: u64, size: &Size, now_s: i64) -> Vec<BoxedProcess> {
    let mut numbers = Numbers(seed | 1 << 40);
    let mut all = Vec::new();
    for job in 0..size.jobs {
        let mut n = |bound: u64| numbers.below(bound);
        let step = n(size.steps as u64) as usize;
        let user = (n(size.users as u64) * n(size.users as u64) / size.users as u64) as usize;
        let account = (user + n(2) as usize) % size.accounts;
        let (cluster, partition, nodes) = (n(2) as usize, n(3) as usize, 1 + n(4) as u32);
        let is_job = n(10) != 0;
        // A clock is believed within ten minutes of the receipt.
        let now_ns = (now_s + step as i64 * size.step_seconds) * 1_000_000_000;
        let mut start_ns = now_ns - 500_000_000_000 + n(100_000_000_000) as i64;
        for _ in 0..1 + n(12) {
            let code = (n(CODES as u64) * n(CODES as u64) / CODES as u64) as usize;
            let (status, cpu_us) = match n(20) {
                0 => ("killed", n(1 << 40)),
                1 => ("failed", n(1_000_000)),
                2 => ("oom", n(1 << 34)),
                3 => ("exec", 0),
                4 => ("unknown", n(1000)),
                5 => ("open", 0),
                _ => ("completed", n(1 << 36)),
            };
            // Some live for days, and end in a later step.
            let later = if n(25) == 0 { (n(3) as usize + 1).min(size.steps - 1 - step) } else { 0 };
            let end_ns =
                start_ns + 1 + n(300_000_000_000) as i64 + later as i64 * size.step_seconds * 1_000_000_000;
            all.push(BoxedProcess {
                number: all.len() as u64,
                code,
                user,
                account,
                cluster,
                partition,
                job: is_job.then_some(job),
                nodes,
                start_ns,
                end_ns,
                cpu_us,
                status,
                end_step: step + later,
            });
            start_ns += n(5_000_000_000) as i64;
        }
    }
    all
}

impl BoxedProcess {
    /// The step in which it starts.
    pub fn step(&self, size: &Size, now_s: i64) -> usize {
        let since = self.start_ns + 600_000_000_000 - now_s * 1_000_000_000;
        (since / (size.step_seconds * 1_000_000_000)) as usize
    }

    /// Libraries that it has loaded at its start.
    fn libraries(&self) -> Vec<String> {
        vec!["libc.so.6".into(), format!("libmath{}.so.3", self.code % 3)]
    }

    fn modules(&self) -> Vec<String> {
        match self.user % 3 {
            0 => Vec::new(),
            1 => vec!["gcc/13".into()],
            _ => vec!["gcc/13".into(), format!("mpi/{}", self.code % 2)],
        }
    }

    /// Packages of Python; what it imports brings a library of its own.
    fn packages(&self) -> Vec<String> {
        match self.code % 4 {
            0 => vec!["numpy".into(), "scipy".into()],
            1 => vec!["numpy".into()],
            _ => Vec::new(),
        }
    }

    fn later_libraries(&self) -> Vec<String> {
        self.packages().iter().map(|package| format!("lib{package}.so")).collect()
    }

    /// The program, all that it has loaded, and its modules, as the start tells them.
    fn surroundings(&self) -> ProcessInfo {
        let module = |name: String| Module { name: Some(name.into()), ..Module::default() };
        ProcessInfo {
            shared_objects: self.libraries().into_iter().map(object).collect(),
            loaded_modules: self.modules().into_iter().map(module).collect(),
            ..self.facts()
        }
    }

    /// What the end repeats of it, as the server that follows a process does.
    fn repeated(&self) -> ProcessInfo {
        let mut program = Sha256::new();
        let mut add = |number: u32, bytes: &[u8]| {
            program.update(number.to_be_bytes());
            program.update((bytes.len() as u64).to_be_bytes());
            program.update(bytes);
        };
        // In the order of their numbers.
        let start = self.surroundings();
        add(field_numbers::process_info::BINPATH, &start.binpath.unwrap());
        let objects = start.shared_objects.iter().map(Message::encode_to_vec);
        objects.for_each(|object| add(field_numbers::process_info::SHARED_OBJECTS, &object));
        add(field_numbers::process_info::BUILD_ID, &start.build_id.unwrap());
        let notes = start.notes.iter().map(Message::encode_to_vec);
        notes.for_each(|note| add(field_numbers::process_info::NOTES, &note));
        let modules: String = self.modules().iter().map(|name| format!("{name}\0")).collect();
        let cut = |digest: &[u8]| Some(digest[..16].to_vec().into());
        ProcessInfo {
            program_digest: cut(&program.finalize()),
            modules_digest: cut(&Sha256::digest(modules)),
            ..self.facts()
        }
    }

    fn facts(&self) -> ProcessInfo {
        let note = Note { signature: Some(vec![1 + self.code as u8; 16].into()), ..Note::default() };
        ProcessInfo {
            binpath: Some(format!("/opt/code{}/bin/run", self.code).into()),
            build_id: Some(vec![self.code as u8, 0xBB].into()),
            notes: vec![note],
            username: Some(format!("user{}", self.user).into()),
            account: Some(format!("account{}", self.account).into()),
            partition: Some(["short", "long", "gpu"][self.partition].into()),
            nodes: Some(self.nodes),
            start_time_ns: Some(self.start_ns),
            ..ProcessInfo::default()
        }
    }

    fn event_id(&self) -> Option<Bytes> {
        Some(uuid::Uuid::from_u64_pair(9, self.number).as_bytes().to_vec().into())
    }

    fn job_id(&self) -> Option<Bytes> {
        self.job.map(|job| job.to_string().into())
    }

    fn cluster(&self) -> Option<Bytes> {
        Some(["alpha", "beta"][self.cluster].into())
    }

    /// Its start.
    pub fn start(&self) -> Bytes {
        let hostname = Some(format!("node{}", self.number % 7).into());
        let (event_id, job_id, cluster) = (self.event_id(), self.job_id(), self.cluster());
        let info = ProcessInfo { event_id, job_id, cluster, hostname, ..self.surroundings() };
        encode_frame(MessageType::ProcessInfo, &info)
    }

    /// Its end, as a server tells it that has followed it; `None` where it has none.
    pub fn end(&self) -> Option<Bytes> {
        let (ended_by, exit_status, signal) = match self.status {
            "completed" => (EndedBy::Exit, Some(0), None),
            "failed" => (EndedBy::Exit, Some(3), None),
            // That memory was short is believed of the kernel alone.
            "killed" | "oom" => (EndedBy::Signal, None, Some(9)),
            "exec" => (EndedBy::Exec, None, None),
            "unknown" => (EndedBy::Unknown, None, None),
            _ => return None,
        };
        let end = ProcessEnd {
            event_id: self.event_id(),
            job_id: self.job_id(),
            cluster: self.cluster(),
            time_ns: Some(self.end_ns),
            duration_ns: Some((self.end_ns - self.start_ns) as u64),
            user_time_us: Some(self.cpu_us / 2),
            system_time_us: Some(self.cpu_us - self.cpu_us / 2),
            ended_by: Some(ended_by as i32),
            exit_status,
            signal,
            oom_killed: (self.status == "oom").then_some(true),
            start: Some(self.repeated()),
            shared_objects: self.later_libraries().into_iter().map(object).collect(),
            packages: self.packages().into_iter().map(package).collect(),
            ..ProcessEnd::default()
        };
        Some(encode_frame(MessageType::ProcessEnd, &end))
    }

    /// The values of a key of reports: several, of a key that is a set.
    fn values(&self, key: &str) -> Vec<String> {
        let values = match key {
            "library" if self.status == "open" => self.libraries(),
            "library" => [self.libraries(), self.later_libraries()].concat(),
            "module" => self.modules(),
            "package" => self.packages(),
            _ => vec![self.value(key)],
        };
        if values.is_empty() { vec![String::new()] } else { values }
    }

    /// The process has this value among those of the key.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.values(key).iter().any(|known| known == value)
    }

    /// The value of a key of reports.
    pub fn value(&self, key: &str) -> String {
        match key {
            "software" if self.code < REGISTERED => format!("code{}", self.code),
            "software" => String::new(),
            "version" if self.code < REGISTERED => "1.2.3".into(),
            "version" => String::new(),
            "program" => format!("/opt/code{}/bin/run", self.code),
            "user" => format!("user{}", self.user),
            "account" => format!("account{}", self.account),
            "partition" => ["short", "long", "gpu"][self.partition].into(),
            "cluster" => ["alpha", "beta"][self.cluster].into(),
            "day" => self.date(),
            "month" => self.date()[..7].to_owned(),
            _ => panic!("{key}"),
        }
    }

    /// The day of its start, by UTC.
    pub fn date(&self) -> String {
        date(self.start_ns)
    }
}

fn object(name: String) -> SharedObject {
    SharedObject { path: Some(format!("/lib/{name}").into()), ..SharedObject::default() }
}

fn package(name: String) -> Package {
    Package { language: Some("python".into()), name: Some(name.into()), ..Package::default() }
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

/// The figures of one line, by the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub processes: u64,
    pub jobs: u64,
    pub users: u64,
    pub accounts: u64,
    pub cpu_us: u64,
    pub wall_us: u64,
    pub ended: BTreeMap<&'static str, u64>,
}

/// Jobs, users or accounts: each once.
type Distinct = BTreeSet<(usize, u64)>;

/// Sums over processes, a line for each combination of values.
pub fn sums<'a>(
    processes: impl Iterator<Item = &'a BoxedProcess>,
    keys: &[&str],
) -> BTreeMap<Vec<String>, Figures> {
    let mut lines: BTreeMap<Vec<String>, (Figures, [Distinct; 3])> = BTreeMap::new();
    for process in processes {
        let mut its_lines = vec![Vec::new()];
        for key in keys {
            let with = |line: &Vec<String>, value: &String| [&line[..], std::slice::from_ref(value)].concat();
            let values = process.values(key);
            let all = |line: &Vec<String>| values.iter().map(|value| with(line, value)).collect::<Vec<_>>();
            its_lines = its_lines.iter().flat_map(all).collect();
        }
        for line in its_lines {
            let (figures, [jobs, users, accounts]) = lines.entry(line).or_default();
            figures.processes += 1;
            jobs.extend(process.job.map(|job| (process.cluster, job)));
            users.insert((0, process.user as u64));
            accounts.insert((0, process.account as u64));
            let status = if process.status == "oom" { "killed" } else { process.status };
            *figures.ended.entry(status).or_default() += 1;
            if status != "open" {
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

/// A job, by the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoxedJob {
    pub user: String,
    pub account: String,
    pub partition: String,
    pub processes: u64,
    pub open: u64,
    pub cpu_us: u64,
    pub first_ns: i64,
    pub last_ns: i64,
    /// Registered software that it ran.
    pub software: BTreeSet<String>,
}

/// All jobs, by their clusters and ids.
pub fn jobs(processes: &[BoxedProcess]) -> BTreeMap<(String, String), BoxedJob> {
    let mut jobs: BTreeMap<(String, String), BoxedJob> = BTreeMap::new();
    for process in processes {
        let Some(job) = process.job else { continue };
        let new = || BoxedJob {
            user: process.value("user"),
            account: process.value("account"),
            partition: process.value("partition"),
            first_ns: i64::MAX,
            ..BoxedJob::default()
        };
        let job = jobs.entry((process.value("cluster"), job.to_string())).or_insert_with(new);
        let is_open = process.status == "open";
        job.processes += 1;
        job.open += u64::from(is_open);
        job.cpu_us += if is_open { 0 } else { process.cpu_us };
        job.first_ns = job.first_ns.min(process.start_ns);
        job.last_ns = job.last_ns.max(if is_open { process.start_ns } else { process.end_ns });
        job.software.extend(Some(process.value("software")).filter(|name| !name.is_empty()));
    }
    jobs
}

/// The node time of all jobs of the processes, in microseconds: of each job its nodes, from its
/// first start to its last known moment.
pub fn node_us<'a>(processes: impl Iterator<Item = &'a BoxedProcess>) -> u64 {
    let mut jobs: BTreeMap<(usize, u64), (u64, i64, i64)> = BTreeMap::new();
    for process in processes {
        let Some(job) = process.job else { continue };
        let last_ns = if process.status == "open" { process.start_ns } else { process.end_ns };
        let nodes = u64::from(process.nodes);
        let job = jobs.entry((process.cluster, job)).or_insert((nodes, process.start_ns, last_ns));
        job.1 = job.1.min(process.start_ns);
        job.2 = job.2.max(last_ns);
    }
    jobs.values().map(|(nodes, first, last)| nodes * ((last - first) as u64 / 1000)).sum()
}
