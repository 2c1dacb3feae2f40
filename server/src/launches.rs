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

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Ranks of one launch, and where they ran.
#[derive(Debug, Serialize)]
pub struct Launch<'a> {
    binpath: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_step: Option<Cow<'a, str>>,
    /// The programs, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<RankProgram<'a>>,
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
    hosts: BTreeSet<Cow<'a, str>>,
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
struct RankProgram<'a> {
    binpath: Cow<'a, str>,
    ranks: usize,
}

/// The keys that are read of a process's document.
#[derive(Deserialize)]
struct Process<'a> {
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
    pid: Option<i64>,
    parent_pid: Option<i64>,
    ancestor_pid: Option<i64>,
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

impl Process<'_> {
    /// True if it loads a library of MPI.
    fn is_mpi(&self) -> bool {
        self.shared_objects.is_some_and(|objects| objects.get().contains("/libmpi"))
    }
}

/// The launcher of a rank.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Launcher<'a> {
    /// The name that it gives, in a cluster.
    Named(Cow<'a, str>, Cow<'a, str>),
    /// The index of the process.
    Process(usize),
    /// Its pid on a host, where it is not among the processes.
    Unseen(Cow<'a, str>, i64),
}

/// The launches among the documents of a job's processes, in the order of their first ranks.
pub fn launches(processes: &[Vec<u8>]) -> Vec<Launch<'_>> {
    let processes: Vec<Option<Process<'_>>> =
        processes.iter().map(|document| serde_json::from_slice(document).ok()).collect();
    let mut launches: Vec<BTreeMap<u32, Vec<usize>>> = Vec::new();
    let mut known: HashMap<Launcher<'_>, usize> = HashMap::new();
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
    let of = |at: &usize| processes.get(*at)?.as_ref();
    let rank = |candidates: &Vec<usize>| {
        let of: Vec<(usize, &Process<'_>)> =
            candidates.iter().filter_map(|at| Some((*at, of(at)?))).collect();
        true_rank(&of)
    };
    let mut launches: Vec<Launch<'_>> = launches
        .iter()
        .filter_map(|ranks| Launch::of(&ranks.values().filter_map(rank).collect::<Vec<_>>()))
        .collect();
    launches.sort_by_key(|launch| launch.processes.first().copied());
    launches
}

/// The index, the rank and the launcher of each process that says it is a rank, in the order of
/// their starts.
fn ranks<'a>(processes: &[Option<Process<'a>>]) -> Vec<(usize, u32, Launcher<'a>)> {
    let mut order: Vec<(usize, &Process<'a>)> = processes
        .iter()
        .enumerate()
        .filter_map(|(at, process)| Some((at, process.as_ref()?)))
        .filter(|(_, process)| process.kind.is_none())
        .collect();
    order.sort_by_key(|(_, process)| process.start_time_ns);
    let mut found: Vec<(usize, u32, Launcher<'a>)> = Vec::new();
    // The last process with a pid, and its place among the ranks.
    let mut latest: HashMap<(&str, i64), (usize, Option<usize>)> = HashMap::new();
    for (at, process) in order {
        let alive = |pid: Option<i64>| {
            let (at, place) = latest.get(&(&*process.hostname, pid?)).copied()?;
            let end = processes.get(at)?.as_ref()?.end.as_ref().and_then(|end| end.end_time_ns);
            end.is_none_or(|end| process.start_time_ns.is_none_or(|start| start <= end))
                .then_some((at, place))
        };
        let above = || alive(process.parent_pid).or_else(|| alive(process.ancestor_pid));
        let mpi = process.mpi.as_ref();
        let rank = mpi.and_then(|mpi| Some((mpi.rank?, mpi.launch.as_ref()?)));
        let place = rank.and_then(|(rank, launch)| {
            let launcher = if launch.contains(':') {
                Launcher::Named(process.cluster.clone(), launch.clone())
            } else {
                // A helper, or what the rank became by exec, is of its launch.
                let same = alive(process.pid).or_else(above).and_then(|(_, place)| found.get(place?));
                // A proxy that Slurm started is a rank as well, but of Slurm's step.
                let says_the_same = |at: usize| {
                    let above = processes.get(at).and_then(|process| process.as_ref()?.mpi.as_ref());
                    above.is_some_and(|above| above.launch.as_ref() == Some(launch))
                };
                let same = same.filter(|(at, same, _)| *same == rank && says_the_same(*at));
                let same = same.map(|(_, _, launcher)| launcher.clone());
                same.or_else(|| match above() {
                    Some((proxy, _)) => Some(by_proxy(proxy, processes)),
                    None => Some(Launcher::Unseen(process.hostname.clone(), process.parent_pid?)),
                })?
            };
            found.push((at, rank, launcher));
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
fn drop_helpers(
    processes: &[Option<Process<'_>>],
    launches: &mut [BTreeMap<u32, Vec<usize>>],
    unseen: &[usize],
) {
    let of = |at: usize| processes.get(at)?.as_ref();
    let name = |at: usize| {
        let process = of(at)?;
        let mpi = process.mpi.as_ref()?;
        Some((&*process.hostname, mpi.rank?, mpi.size?))
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
        let is_mpi = ranks.values().flatten().filter_map(|at| of(*at)).any(Process::is_mpi);
        if first(ranks).is_some_and(is_late) && !is_mpi {
            ranks.clear();
        }
    }
}

/// The launcher whose proxy started a rank: MPICH tells each proxy of a launch the same control
/// port, and the number of the group of ranks.
fn by_proxy<'a>(proxy: usize, processes: &[Option<Process<'a>>]) -> Launcher<'a> {
    let named = || {
        let process = processes.get(proxy)?.as_ref()?;
        let arguments: Vec<Cow<'a, str>> = serde_json::from_str(process.arguments?.get()).ok()?;
        let after = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1)
        };
        let name = format!("{} {}", after("--control-port")?, after("--pgid").map_or("", |group| group));
        Some(Launcher::Named(process.cluster.clone(), name.into()))
    };
    named().unwrap_or(Launcher::Process(proxy))
}

/// The process that is the rank, of all that have its environment, in the order of their starts.
fn true_rank<'p, 'a>(candidates: &[(usize, &'p Process<'a>)]) -> Option<(usize, &'p Process<'a>)> {
    if let Some(mpi) = candidates.iter().find(|(_, process)| process.is_mpi()) {
        return Some(*mpi);
    }
    let mut rank = *candidates.first()?;
    for later in candidates {
        let is_same = later.1.pid == rank.1.pid && later.1.hostname == rank.1.hostname;
        let has_gone_on = rank.1.end.as_ref().is_none_or(|end| end.ended_by.as_deref() == Some("exec"));
        if is_same && has_gone_on {
            rank = *later;
        }
    }
    Some(rank)
}

impl<'a> Launch<'a> {
    /// The launch of these ranks.
    fn of(ranks: &[(usize, &Process<'a>)]) -> Option<Self> {
        let (_, first) = ranks.first()?;
        let mut programs: Vec<RankProgram<'a>> = Vec::new();
        for (_, rank) in ranks {
            match programs.iter_mut().find(|program| program.binpath == rank.binpath) {
                Some(program) => program.ranks += 1,
                None => programs.push(RankProgram { binpath: rank.binpath.clone(), ranks: 1 }),
            }
        }
        if programs.len() == 1 {
            programs.clear();
        }
        let ends = || ranks.iter().filter_map(|(_, rank)| rank.end.as_ref());
        let size = ranks.iter().filter_map(|(_, rank)| rank.mpi.as_ref()?.size).max();
        let mut processes: Vec<usize> = ranks.iter().map(|(at, _)| *at).collect();
        processes.sort_unstable();
        let hosts = ranks.iter().map(|(_, rank)| &rank.hostname).filter(|host| !host.is_empty());
        Some(Launch {
            binpath: first.binpath.clone(),
            signature: first.signature.clone(),
            build: first.build,
            job_step: first.job_step.clone(),
            programs,
            size,
            ranks: ranks.len(),
            missing: size
                .and_then(|size| (size as usize).checked_sub(ranks.len()))
                .filter(|count| *count > 0),
            ended: ends().count(),
            hosts: hosts.cloned().collect(),
            start_time_ns: ranks.iter().filter_map(|(_, rank)| rank.start_time_ns).min(),
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
        serde_json::to_value(launches(&documents)).unwrap()
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
            "binpath": "/app", "job_step": "0", "size": 3, "ranks": 3, "ended": 3, "hosts": ["a", "b"],
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
        assert!(launches(&no_ranks.map(<[u8]>::to_vec)).is_empty());
    }
}
