//! Launches of a job: the ranks of one MPI launch as one element, so that ten thousand processes
//! read as one line.
//!
//! Ranks are of one launch where their launcher calls it by one name (a namespace of PMIx, a step
//! of Slurm). MPICH's launcher names none, but each rank is the child of a proxy: then the proxy is
//! the name, and proxies on several nodes are one where they were given the same control port. What
//! looks alike is not put together: four `mpirun` side by side are four launches.
//!
//! A rank's helpers have its environment, and so its rank. Of all that say they are a rank, the one
//! is counted that loads an MPI library, else the outermost; after an exec, what it became.
//!
//! Of each process only what this needs is kept, some 100 bytes: a job may have very many.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// Ranks of one launch, and where they ran.
#[derive(Debug, Serialize)]
pub struct Launch {
    binpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_step: Option<String>,
    /// The name that the launcher gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    launch: Option<String>,
    /// The programs, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<RankProgram>,
    /// Number of ranks, as the ranks say.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// Number of ranks that were seen.
    ranks: usize,
    /// Number of ranks that were not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<usize>,
    /// Number of these ranks that have ended.
    ended: usize,
    hosts: BTreeSet<String>,
    /// Start of the first rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time_ns: Option<i64>,
    /// End of the last rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time_ns: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rss_kib: Option<u64>,
    /// Indices of the ranks in the job's `processes`, counted from 0.
    processes: Vec<usize>,
}

/// One program of a launch.
#[derive(Debug, Serialize)]
struct RankProgram {
    binpath: String,
    ranks: usize,
}

/// The keys that are read of a process's document.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    binpath: Cow<'a, str>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    build: Option<&'a RawValue>,
    #[serde(borrow)]
    job_step: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cluster: Cow<'a, str>,
    #[serde(borrow, default)]
    hostname: Cow<'a, str>,
    pid: Option<i32>,
    parent_pid: Option<i32>,
    ancestor_pid: Option<i32>,
    start_time_ns: Option<i64>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    shared_objects: Option<&'a RawValue>,
    #[serde(borrow)]
    mpi: Option<Mpi<'a>>,
    #[serde(borrow)]
    end: Option<End<'a>>,
}

#[derive(Deserialize)]
struct Mpi<'a> {
    rank: Option<u32>,
    size: Option<u32>,
    #[serde(borrow)]
    launch: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct End<'a> {
    end_time_ns: Option<i64>,
    max_rss_kib: Option<u64>,
    #[serde(borrow)]
    ended_by: Option<Cow<'a, str>>,
}

/// What is kept of a process.
#[derive(Debug)]
struct Process {
    is_start: bool,
    hostname: Arc<str>,
    pid: Option<i32>,
    parent_pid: Option<i32>,
    ancestor_pid: Option<i32>,
    start_time_ns: Option<i64>,
    end: Option<ProcessEnd>,
    /// The name of the launch whose proxy of MPICH's launcher it is, in its cluster.
    proxy_of: Option<Box<(String, String)>>,
    rank: Option<Box<Rank>>,
}

#[derive(Clone, Copy, Debug)]
struct ProcessEnd {
    end_time_ns: Option<i64>,
    max_rss_kib: Option<u64>,
    is_exec: bool,
}

/// What is kept of a process that says it is a rank.
#[derive(Debug)]
struct Rank {
    number: u32,
    size: Option<u32>,
    launch: Option<String>,
    cluster: String,
    binpath: String,
    signature: Option<String>,
    build: Option<Box<RawValue>>,
    job_step: Option<String>,
    /// It loads a library of MPI.
    is_mpi: bool,
}

/// The launcher of a rank.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Launcher {
    /// The name that it gives, in a cluster.
    Named(String, String),
    /// The index of the process.
    Process(usize),
    /// Its pid on a host, where it is not among the processes.
    Unseen(Arc<str>, i32),
}

/// True if the document of a process may be a rank's. Most jobs have none, and need no launches.
pub fn may_be_rank(document: &[u8]) -> bool {
    const KEY: &[u8] = b"\"mpi\":";
    document.windows(KEY.len()).any(|bytes| bytes == KEY)
}

/// The launches among the processes of a job that were taken so far.
#[derive(Debug, Default)]
pub struct Launches {
    processes: Vec<Option<Process>>,
    hosts: HashSet<Arc<str>>,
}

impl Launches {
    /// Takes the document of the next process.
    pub fn take(&mut self, document: &[u8]) {
        let process = serde_json::from_slice(document).ok().map(|document| self.kept(document));
        self.processes.push(process);
    }

    fn kept(&mut self, document: Document<'_>) -> Process {
        let hostname = match self.hosts.get(&*document.hostname) {
            Some(known) => known.clone(),
            None => {
                let hostname: Arc<str> = document.hostname.as_ref().into();
                self.hosts.insert(hostname.clone());
                hostname
            }
        };
        let end = document.end.as_ref().map(|end| ProcessEnd {
            end_time_ns: end.end_time_ns,
            max_rss_kib: end.max_rss_kib,
            is_exec: end.ended_by.as_deref() == Some("exec"),
        });
        Process {
            is_start: document.kind.is_none(),
            hostname,
            pid: document.pid,
            parent_pid: document.parent_pid,
            ancestor_pid: document.ancestor_pid,
            start_time_ns: document.start_time_ns,
            end,
            proxy_of: document.proxy_of().map(Box::new),
            rank: document.into_rank().map(Box::new),
        }
    }

    /// The launches, in the order of their first ranks.
    pub fn into_list(self) -> Vec<Launch> {
        let processes = self.processes;
        let mut launches: Vec<BTreeMap<u32, Vec<usize>>> = Vec::new();
        let mut known: HashMap<Launcher, usize> = HashMap::new();
        let mut unseen = Vec::new();
        for (at, rank, launcher) in ranks(&processes) {
            let is_unseen = matches!(launcher, Launcher::Unseen(..));
            let launch = *known.entry(launcher).or_insert(launches.len());
            if launch == launches.len() {
                launches.push(BTreeMap::new());
                unseen.extend(is_unseen.then_some(launch));
            }
            if let Some(ranks) = launches.get_mut(launch) {
                ranks.entry(rank).or_default().push(at);
            }
        }
        drop_helpers(&processes, &mut launches, &unseen);
        let of = |at: &usize| {
            let process = processes.get(*at)?.as_ref()?;
            Some(RankProcess { at: *at, process, rank: process.rank.as_deref()? })
        };
        let rank = |candidates: &Vec<usize>| true_rank(&candidates.iter().filter_map(of).collect::<Vec<_>>());
        let mut launches: Vec<Launch> = launches
            .iter()
            .filter_map(|ranks| Launch::of(&ranks.values().filter_map(rank).collect::<Vec<_>>()))
            .collect();
        launches.sort_by_key(|launch| launch.processes.first().copied());
        launches
    }
}

impl Document<'_> {
    /// MPICH tells each proxy of a launch the same control port, and the number of the group of
    /// ranks.
    fn proxy_of(&self) -> Option<(String, String)> {
        let arguments = self.arguments.filter(|arguments| arguments.get().contains("\"--control-port\""))?;
        let arguments: Vec<Cow<'_, str>> = serde_json::from_str(arguments.get()).ok()?;
        let after = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1)
        };
        let name = format!("{} {}", after("--control-port")?, after("--pgid").map_or("", |group| group));
        Some((self.cluster.as_ref().to_owned(), name))
    }

    fn into_rank(self) -> Option<Rank> {
        let mpi = self.mpi?;
        Some(Rank {
            number: mpi.rank?,
            size: mpi.size,
            launch: mpi.launch.map(Cow::into_owned),
            cluster: self.cluster.into_owned(),
            binpath: self.binpath.into_owned(),
            signature: self.signature.map(Cow::into_owned),
            build: self.build.map(RawValue::to_owned),
            job_step: self.job_step.map(Cow::into_owned),
            is_mpi: self.shared_objects.is_some_and(|objects| objects.get().contains("/libmpi")),
        })
    }
}

/// True if no other launch of the cluster has this name.
fn is_name_of_one(launch: &str) -> bool {
    launch.contains(':')
}

/// The index, the rank and the launcher of each process that says it is a rank, in the order of
/// their starts.
fn ranks(processes: &[Option<Process>]) -> Vec<(usize, u32, Launcher)> {
    let mut order: Vec<(usize, &Process)> = processes
        .iter()
        .enumerate()
        .filter_map(|(at, process)| Some((at, process.as_ref()?)))
        .filter(|(_, process)| process.is_start)
        .collect();
    order.sort_by_key(|(_, process)| process.start_time_ns);
    let mut found: Vec<(usize, u32, Launcher)> = Vec::new();
    // The last process with a pid, and its place among the ranks.
    let mut latest: HashMap<(&str, i32), (usize, Option<usize>)> = HashMap::new();
    for (at, process) in order {
        let alive = |pid: Option<i32>| {
            let (at, place) = latest.get(&(&*process.hostname, pid?)).copied()?;
            let end = processes.get(at)?.as_ref()?.end.and_then(|end| end.end_time_ns);
            end.is_none_or(|end| process.start_time_ns.is_none_or(|start| start <= end))
                .then_some((at, place))
        };
        let above = || alive(process.parent_pid).or_else(|| alive(process.ancestor_pid));
        let rank = process.rank.as_deref().and_then(|rank| Some((rank, rank.launch.as_ref()?)));
        let place = rank.and_then(|(rank, launch)| {
            let launcher = if is_name_of_one(launch) {
                Launcher::Named(rank.cluster.clone(), launch.clone())
            } else {
                // A helper, or what the rank became by exec, is of its launch.
                let same = alive(process.pid).or_else(above).and_then(|(_, place)| found.get(place?));
                // A proxy that Slurm started is a rank as well, but of Slurm's step.
                let says_the_same = |at: usize| {
                    let above = processes.get(at).and_then(|process| process.as_ref()?.rank.as_deref());
                    above.is_some_and(|above| above.launch.as_ref() == Some(launch))
                };
                let same = same.filter(|(at, same, _)| *same == rank.number && says_the_same(*at));
                let same = same.map(|(_, _, launcher)| launcher.clone());
                same.or_else(|| match above() {
                    Some((proxy, _)) => Some(by_proxy(proxy, processes)),
                    None => Some(Launcher::Unseen(process.hostname.clone(), process.parent_pid?)),
                })?
            };
            found.push((at, rank.number, launcher));
            Some(found.len() - 1)
        });
        if let Some(pid) = process.pid {
            latest.insert((&process.hostname, pid), (at, place));
        }
    }
    found
}

/// Drops what looks like a rank alone of a launch of its own, but is the child of a rank's child
/// that nobody saw.
fn drop_helpers(processes: &[Option<Process>], launches: &mut [BTreeMap<u32, Vec<usize>>], unseen: &[usize]) {
    let of = |at: usize| {
        let process = processes.get(at)?.as_ref()?;
        Some((process, process.rank.as_deref()?))
    };
    let name = |at: usize| {
        let (process, rank) = of(at)?;
        Some((&*process.hostname, rank.number, rank.size?))
    };
    let first = |ranks: &BTreeMap<u32, Vec<usize>>| ranks.values().flatten().copied().min();
    let mut earliest: HashMap<(&str, u32, u32), usize> = HashMap::new();
    for at in launches.iter().flat_map(|ranks| ranks.values().flatten()) {
        if let Some(name) = name(*at) {
            let known = earliest.entry(name).or_insert(*at);
            *known = (*known).min(*at);
        }
    }
    for launch in unseen {
        let Some(ranks) = launches.get_mut(*launch).filter(|ranks| ranks.len() == 1) else { continue };
        let is_late = |at: usize| {
            name(at).is_some_and(|name| name.2 > 1 && earliest.get(&name).is_some_and(|first| *first < at))
        };
        let is_mpi = ranks.values().flatten().filter_map(|at| of(*at)).any(|(_, rank)| rank.is_mpi);
        if first(ranks).is_some_and(is_late) && !is_mpi {
            ranks.clear();
        }
    }
}

/// The launcher whose proxy started a rank.
fn by_proxy(proxy: usize, processes: &[Option<Process>]) -> Launcher {
    let process = processes.get(proxy).and_then(|process| process.as_ref());
    match process.and_then(|process| process.proxy_of.as_deref()) {
        Some((cluster, name)) => Launcher::Named(cluster.clone(), name.clone()),
        None => Launcher::Process(proxy),
    }
}

/// A process that is a rank, and its index.
#[derive(Clone, Copy)]
struct RankProcess<'p> {
    at: usize,
    process: &'p Process,
    rank: &'p Rank,
}

/// The process that is the rank, of all that have its environment, in the order of their starts.
fn true_rank<'p>(candidates: &[RankProcess<'p>]) -> Option<RankProcess<'p>> {
    if let Some(mpi) = candidates.iter().find(|candidate| candidate.rank.is_mpi) {
        return Some(*mpi);
    }
    let mut rank = *candidates.first()?;
    for later in candidates {
        let is_same =
            later.process.pid == rank.process.pid && later.process.hostname == rank.process.hostname;
        let has_gone_on = rank.process.end.is_none_or(|end| end.is_exec);
        if is_same && has_gone_on {
            rank = *later;
        }
    }
    Some(rank)
}

impl Launch {
    /// The launch of these ranks.
    fn of(ranks: &[RankProcess<'_>]) -> Option<Self> {
        let first = ranks.first()?.rank;
        let mut programs: Vec<RankProgram> = Vec::new();
        for RankProcess { rank, .. } in ranks {
            match programs.iter_mut().find(|program| program.binpath == rank.binpath) {
                Some(program) => program.ranks += 1,
                None => programs.push(RankProgram { binpath: rank.binpath.clone(), ranks: 1 }),
            }
        }
        if programs.len() == 1 {
            programs.clear();
        }
        let ends = || ranks.iter().filter_map(|rank| rank.process.end);
        let size = ranks.iter().filter_map(|rank| rank.rank.size).max();
        let mut processes: Vec<usize> = ranks.iter().map(|rank| rank.at).collect();
        processes.sort_unstable();
        let hosts = ranks.iter().map(|rank| &rank.process.hostname).filter(|host| !host.is_empty());
        Some(Launch {
            binpath: first.binpath.clone(),
            signature: first.signature.clone(),
            build: first.build.clone(),
            job_step: first.job_step.clone(),
            launch: first.launch.clone().filter(|name| is_name_of_one(name)),
            programs,
            size,
            ranks: ranks.len(),
            missing: size
                .and_then(|size| (size as usize).checked_sub(ranks.len()))
                .filter(|count| *count > 0),
            ended: ends().count(),
            hosts: hosts.map(|host| host.as_ref().to_owned()).collect(),
            start_time_ns: ranks.iter().filter_map(|rank| rank.process.start_time_ns).min(),
            end_time_ns: ends().filter_map(|end| end.end_time_ns).max(),
            max_rss_kib: ends().filter_map(|end| end.max_rss_kib).max(),
            processes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A process: its pid, which is its start as well, its parent, and what the environment says.
    fn process(pid: i64, parent: i64, program: &str, mpi: Option<(u32, u32, &str)>) -> Value {
        let mut process = json!({
            "binpath": program, "hostname": "a", "pid": pid, "parent_pid": parent, "start_time_ns": pid,
        });
        if let Some((rank, size, launch)) = mpi {
            process["mpi"] = json!({ "rank": rank, "size": size, "launch": launch });
        }
        process
    }

    fn of(processes: &[Value]) -> Value {
        let documents: Vec<Vec<u8>> =
            processes.iter().map(|process| process.to_string().into_bytes()).collect();
        let mut launches = Launches::default();
        documents.iter().for_each(|document| launches.take(document));
        serde_json::to_value(launches.into_list()).unwrap()
    }

    /// The processes of each launch.
    fn members(found: &Value) -> Vec<&Value> {
        found.as_array().unwrap().iter().map(|launch| &launch["processes"]).collect()
    }

    #[test]
    fn ranks_of_a_launch_are_one_entry() {
        let rank = |rank: u32, host: &str| {
            json!({
                "binpath": "/app", "hostname": host, "job_step": "0", "start_time_ns": 100 + rank,
                "mpi": { "rank": rank, "size": 3, "launch": "pmix:7" },
                "end": { "end_time_ns": 1000 + rank, "max_rss_kib": 10 * rank },
            })
        };
        let processes = [process(1, 0, "/mpirun", None), rank(2, "b"), rank(0, "a"), rank(1, "a")];
        let expected = json!([{
            "binpath": "/app", "job_step": "0", "launch": "pmix:7", "size": 3, "ranks": 3, "ended": 3, "hosts": ["a", "b"],
            "start_time_ns": 100, "end_time_ns": 1002, "max_rss_kib": 20, "processes": [1, 2, 3],
        }]);
        assert_eq!(of(&processes), expected);
        let found = of(&processes[..3]);
        assert_eq!(
            (&found[0]["size"], &found[0]["ranks"], &found[0]["missing"]),
            (&json!(3), &json!(2), &json!(1))
        );
    }

    #[test]
    fn launches_side_by_side_are_told_apart() {
        let names = ["pmix:1", "pmix:2", "slurm:9.0", "slurm:9.1"];
        let named: Vec<Value> = (0..8)
            .map(|at| process(20 + at, 1, "/app", Some((at as u32 / 4, 2, names[at as usize % 4]))))
            .collect();
        let pairs = [json!([0, 4]), json!([1, 5]), json!([2, 6]), json!([3, 7])];
        assert_eq!(members(&of(&named)), pairs.iter().collect::<Vec<_>>());
        // MPICH: by the proxy, whether it was seen or not.
        let mpich: Vec<Value> = (0..8)
            .map(|at| process(20 + at, 10 + at % 4, "/app", Some((at as u32 / 4, 2, "hydra"))))
            .collect();
        assert_eq!(members(&of(&mpich)).len(), 4);
        let proxies = (10..14).map(|pid| process(pid, 1, "/hydra_pmi_proxy", None));
        let seen: Vec<Value> = proxies.chain(mpich).collect();
        assert_eq!(members(&of(&seen))[..2], [&json!([4, 8]), &json!([5, 9])]);
    }

    #[test]
    fn proxies_of_two_nodes_are_one_launcher() {
        let node = |host: &str, rank: u32| {
            let mut proxy = process(10, 1, "/hydra_pmi_proxy", None);
            proxy["arguments"] = json!(["p", "--control-port", "a:4711", "--pgid", "0"]);
            let mut rank = process(11, 10, "/app", Some((rank, 2, "hydra")));
            proxy["hostname"] = json!(host);
            rank["hostname"] = json!(host);
            [proxy, rank]
        };
        let processes = [node("a", 0), node("b", 1)].concat();
        let found = of(&processes);
        assert_eq!((members(&found), &found[0]["hosts"]), (vec![&json!([1, 3])], &json!(["a", "b"])));
    }

    #[test]
    fn a_proxy_that_slurm_started_takes_no_rank_for_its_own() {
        let mut proxy = process(5, 1, "/usr/bin/hydra_pmi_proxy", Some((0, 1, "slurm:9.0")));
        proxy["arguments"] = json!(["/usr/bin/hydra_pmi_proxy", "--control-port", "a:1"]);
        let mut processes = vec![proxy];
        processes.extend((0..3).map(|rank| process(6 + rank, 5, "/app", Some((rank as u32, 3, "hydra")))));
        assert_eq!(members(&of(&processes)), [&json!([0]), &json!([1, 2, 3])]);
    }

    #[test]
    fn several_programs_of_a_launch_are_one_entry() {
        let rank =
            |rank: u32, program: &str| process(i64::from(rank) + 9, 1, program, Some((rank, 3, "pmix:1")));
        let found = of(&[rank(0, "/ocean"), rank(1, "/ocean"), rank(2, "/ice")]);
        let programs = json!([{ "binpath": "/ocean", "ranks": 2 }, { "binpath": "/ice", "ranks": 1 }]);
        assert_eq!((members(&found), &found[0]["programs"]), (vec![&json!([0, 1, 2])], &programs));
        assert_eq!(found[0]["launch"], "pmix:1");
    }

    #[test]
    fn helpers_and_wrappers_of_a_rank_are_not_ranks() {
        for launch in ["pmix:1", "hydra"] {
            let mpi = |rank: u32| Some((rank, 2, launch));
            // Each rank is a shell that runs a helper, and the program by a shell that forked.
            let mut processes = vec![process(1, 0, "/mpirun", None)];
            for rank in 0..2 {
                let pid = 10 + i64::from(rank) * 10;
                let mut program = process(pid + 3, pid + 2, "/app", mpi(rank));
                program["shared_objects"] = json!([{ "path": "/usr/lib/libmpi.so.40" }]);
                program["ancestor_pid"] = json!(pid);
                processes.extend([
                    process(pid, 1, "/bin/sh", mpi(rank)),
                    process(pid + 1, pid, "/bin/hostname", mpi(rank)),
                    program,
                    process(pid + 4, pid + 9, "/bin/of-a-fork-that-nobody-saw", mpi(rank)),
                ]);
            }
            assert_eq!(members(&of(&processes)), [&json!([3, 7])], "{launch}");
            // Without a library of MPI the outermost is taken, and what it became by exec.
            let mut exec = process(10, 1, "/usr/bin/env", mpi(0));
            exec["end"] = json!({ "ended_by": "exec", "end_time_ns": 11 });
            let mut became = process(10, 1, "/app", mpi(0));
            became["start_time_ns"] = json!(11);
            let processes =
                [process(1, 0, "/mpirun", None), exec, became, process(12, 10, "/bin/date", mpi(0))];
            assert_eq!(members(&of(&processes)), [&json!([2])], "{launch}");
        }
    }

    #[test]
    fn what_no_launcher_started_and_what_is_no_document_are_none() {
        // Slurm calls each process of a batch script rank 0.
        let mut script = process(1, 0, "/bin/bash", None);
        script["mpi"] = json!({ "rank": 0, "size": 4 });
        assert_eq!(of(&[script.clone(), script]), json!([]));
        let no_ranks: [&[u8]; 4] = [b"", b"{}", br#"{"mpi":{}}"#, br#"{"mpi":{"size":4,"launch":"pmix:1"}}"#];
        let mut launches = Launches::default();
        no_ranks.iter().for_each(|document| launches.take(document));
        assert!(launches.into_list().is_empty());
    }
}
