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
//! What ran before the rank in its place, such as Slurm's task prolog, is none either. Nor are a
//! launcher's own programs, which another launcher may have started.

mod launchers;
mod process;

use launchers::Members;
use process::{Process, Rank};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    collections::{BTreeSet, HashSet},
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
        self.processes.push(Process::of(document, &mut self.hosts));
    }

    /// The launches, in the order of their first ranks.
    pub fn into_list(self) -> Vec<Launch> {
        let of = |at: &usize| {
            let process = self.processes.get(*at)?.as_ref()?;
            Some(RankProcess { at: *at, process, rank: process.rank.as_deref()? })
        };
        let true_rank =
            |candidates: &Vec<usize>| true_rank(&candidates.iter().filter_map(of).collect::<Vec<_>>());
        let true_ranks = |launch: &Members| launch.ranks.values().filter_map(true_rank).collect::<Vec<_>>();
        let found = launchers::find(&self.processes);
        let mut launches: Vec<Launch> =
            found.iter().filter_map(|launch| Launch::of(launch.name.clone(), &true_ranks(launch))).collect();
        launches.sort_by_key(|launch| launch.processes.first().copied());
        launches
    }
}

/// Most processes on the way up from what ran in a rank's place before it.
const STEPS_MAX: usize = 16;

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
    // What ran in its place before may have started programs, which came first.
    for _ in 0..STEPS_MAX {
        let above = |other: &&RankProcess<'p>| {
            other.process.pid.is_some()
                && other.process.pid == rank.process.parent_pid
                && other.process.hostname == rank.process.hostname
        };
        match candidates.iter().find(above) {
            Some(above) => rank = *above,
            None => break,
        }
    }
    for later in candidates {
        let is_later = later.process.start_time_ns > rank.process.start_time_ns;
        if is_later
            && later.process.has_pid_of(rank.process)
            && rank.process.end.is_none_or(|end| end.is_exec)
        {
            rank = *later;
        }
    }
    Some(rank)
}

impl Launch {
    /// The launch of these ranks.
    fn of(name: Option<String>, ranks: &[RankProcess<'_>]) -> Option<Self> {
        let first = ranks.first()?.rank;
        if ranks.iter().all(|rank| rank.process.is_daemon) {
            return None;
        }
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
            launch: name,
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
        let mpich: &[&str] = &["p", "--control-port", "a:4711", "--pgid", "0"];
        let intel: &[&str] = &["p", "--upstream-host", "a", "--upstream-port", "4711", "--pgid", "0"];
        for arguments in [mpich, intel] {
            let node = |host: &str, rank: u32| {
                let mut proxy = process(10, 1, "/hydra_pmi_proxy", None);
                proxy["arguments"] = json!(arguments);
                let mut processes = vec![proxy];
                if arguments == intel {
                    // What is told the port becomes the proxy by exec.
                    let mut became = process(10, 1, "/hydra_pmi_proxy", None);
                    became["start_time_ns"] = json!(11);
                    processes.push(became);
                }
                let mut rank = process(11, 10, "/app", Some((rank, 2, "hydra")));
                rank["start_time_ns"] = json!(12);
                processes.push(rank);
                processes.iter_mut().for_each(|process| process["hostname"] = json!(host));
                processes
            };
            let processes = [node("a", 0), node("b", 1)].concat();
            let last = processes.len() - 1;
            let found = of(&processes);
            assert_eq!(members(&found), [&json!([last / 2, last])]);
            assert_eq!(found[0]["hosts"], json!(["a", "b"]));
        }
    }

    /// A proxy of MPICH's launcher, or the launcher of Open MPI, that has an end.
    fn launcher(pid: i64, start: i64, end: i64, port: &str) -> Value {
        let mut launcher = process(pid, 1, "/usr/bin/hydra_pmi_proxy", None);
        launcher["arguments"] = json!(["p", "--control-port", port, "--pgid", "0", "--proxy-id", "0"]);
        launcher["start_time_ns"] = json!(start);
        launcher["end"] = json!({ "end_time_ns": end });
        launcher
    }

    /// A rank that started at a time.
    fn rank_at(pid: i64, parent: i64, start: i64, mpi: (u32, u32, &str)) -> Value {
        let mut rank = process(pid, parent, "/app", Some(mpi));
        rank["start_time_ns"] = json!(start);
        rank
    }

    #[test]
    fn ranks_that_say_what_their_proxy_was_told_are_one_launch_over_nodes() {
        // Only one node's proxy was seen. Each rank is a script that runs the program, which cannot
        // know the name, and a helper by a shell that forked.
        let mut processes = vec![launcher(5, 5, 99, "a:1")];
        for (rank, host) in ["a", "b", "c"].into_iter().enumerate() {
            let (rank, pid) = (rank as u32, 10 + 10 * rank as i64);
            let mut script = process(pid, 5, "/bin/sh", Some((rank, 3, "hydra:a:1.0")));
            let mut program = process(pid + 1, pid, "/app", Some((rank, 3, "hydra")));
            let mut helper = process(pid + 2, pid + 9, "/bin/date", Some((rank, 3, "hydra")));
            program["shared_objects"] = json!([{ "path": "/usr/lib/libmpich.so.12" }]);
            helper["ancestor_pid"] = json!(pid);
            for process in [&mut script, &mut program, &mut helper] {
                process["hostname"] = json!(host);
            }
            processes.extend([script, program, helper]);
        }
        processes[0]["hostname"] = json!("a");
        let found = of(&processes);
        assert_eq!((members(&found), &found[0]["launch"]), (vec![&json!([2, 5, 8])], &json!("hydra:a:1.0")));
    }

    #[test]
    fn what_a_launcher_has_slurm_start_for_it_is_no_rank() {
        for program in ["/usr/bin/hydra_pmi_proxy", "/usr/bin/orted", "/usr/bin/prted"] {
            let mut proxy = process(5, 1, program, Some((0, 1, "slurm:9.0")));
            if program.ends_with("proxy") {
                proxy["arguments"] = json!([program, "--control-port", "a:1"]);
            }
            // Slurm's task prolog, which runs in the place of the proxy.
            let mut prolog = process(4, 5, "/bin/sh", Some((0, 1, "slurm:9.0")));
            prolog["end"] = json!({ "end_time_ns": 4 });
            let launch = if program.ends_with("proxy") { "hydra" } else { "pmix:1" };
            let mut processes = vec![prolog, proxy];
            processes.extend((0..3).map(|rank| process(6 + rank, 5, "/app", Some((rank as u32, 3, launch)))));
            assert_eq!(members(&of(&processes)), [&json!([2, 3, 4])], "{program}");
        }
    }

    #[test]
    fn what_runs_before_a_rank_in_its_place_is_none() {
        // Slurm's task prolog; and the programs of a wrapper that cannot be tracked.
        let processes: Vec<Value> = (0..2)
            .flat_map(|rank| {
                let (pid, mpi) = (10 + i64::from(rank) * 10, Some((rank, 2, "slurm:9.0")));
                let mut prolog = process(pid + 1, pid, "/bin/sh", mpi);
                prolog["end"] = json!({ "end_time_ns": pid + 2 });
                let mut helper = process(pid + 2, pid + 1, "/bin/hostname", mpi);
                helper["end"] = json!({ "end_time_ns": pid + 2 });
                let mut program = process(pid, 1, "/app", mpi);
                program["start_time_ns"] = json!(pid + 3);
                let mut epilog = process(pid + 4, 1, "/bin/sh", mpi);
                epilog["start_time_ns"] = json!(pid + 4);
                [prolog, helper, program, epilog]
            })
            .collect();
        assert_eq!(members(&of(&processes)), [&json!([2, 6])]);
        // A chain of parents without end.
        let circle = [
            process(10, 11, "/a", Some((0, 1, "slurm:9.0"))),
            process(11, 10, "/b", Some((0, 1, "slurm:9.0"))),
        ];
        assert_eq!(of(&circle).as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_launch_within_a_launch_is_another() {
        // Each rank of the outer launch becomes a launcher by exec, and starts two ranks.
        let mut processes = vec![launcher(5, 5, 99, "a:1")];
        for rank in 0..2 {
            let pid = 10 + i64::from(rank) * 10;
            let outer = (rank, 2, "hydra");
            let mut proxy = launcher(pid + 1, pid + 1, 99, if rank == 0 { "a:2" } else { "a:3" });
            proxy["parent_pid"] = json!(pid);
            proxy["mpi"] = json!({ "rank": rank, "size": 2, "launch": "hydra" });
            let mut inner = [0, 1]
                .map(|inner| process(pid + 2 + inner, pid + 1, "/app", Some((inner as u32, 2, "hydra"))));
            inner
                .iter_mut()
                .for_each(|rank| rank["shared_objects"] = json!([{ "path": "/usr/lib/libmpich.so.12" }]));
            processes.push(process(pid, 5, "/usr/bin/mpiexec.hydra", Some(outer)));
            processes.extend([proxy].into_iter().chain(inner));
        }
        assert_eq!(members(&of(&processes)), [&json!([1, 5]), &json!([3, 4]), &json!([7, 8])]);
    }

    #[test]
    fn names_that_are_used_again_are_other_launches() {
        // Of Open MPI, which hashes to 16 bits, and the ports of MPICH; larger the second time.
        for (launch, port) in [("pmix:77", "none"), ("hydra", "a:4711")] {
            let start = |pid: i64, start: i64, ranks: u32| {
                let mut mpirun = launcher(pid, start, start + 9, port);
                if launch != "hydra" {
                    mpirun["arguments"] = json!(["mpirun"]);
                }
                let rank = move |rank: u32| {
                    rank_at(
                        pid + 1 + i64::from(rank),
                        pid,
                        start + 5 - i64::from(rank),
                        (rank, ranks, launch),
                    )
                };
                std::iter::once(mpirun).chain((0..ranks).map(rank))
            };
            let processes: Vec<Value> =
                start(10, 100, 2).chain(start(20, 200, 3)).chain(start(30, 300, 2)).collect();
            let expected = [json!([1, 2]), json!([4, 5, 6]), json!([8, 9])];
            assert_eq!(members(&of(&processes)), expected.iter().collect::<Vec<_>>(), "{launch}");
        }
    }

    #[test]
    fn ranks_that_a_proxy_starts_again_were_spawned() {
        // Its proxy starts them itself, on two nodes; one with the number of no rank there.
        let on = |host: &str, ranks: &[(i64, u32, u32)]| {
            let proxy = launcher(5, 5, 99, "a:1");
            let ranks = ranks.iter().map(|(pid, rank, size)| rank_at(*pid, 5, *pid, (*rank, *size, "hydra")));
            let mut all: Vec<Value> = std::iter::once(proxy).chain(ranks).collect();
            all.iter_mut().for_each(|process| process["hostname"] = json!(host));
            all
        };
        let mut processes = on("a", &[(10, 0, 3), (11, 1, 3), (20, 0, 2)]);
        processes.extend(on("b", &[(12, 2, 3), (21, 1, 2)]));
        assert_eq!(members(&of(&processes)), [&json!([1, 2, 5]), &json!([3, 6])]);
        // The same where nobody saw the proxies, but the ranks say what those were told.
        let mut unseen: Vec<Value> =
            processes.into_iter().filter(|process| process["mpi"].is_object()).collect();
        unseen.iter_mut().for_each(|rank| rank["mpi"]["launch"] = json!("hydra:a:1.0"));
        assert_eq!(members(&of(&unseen)), [&json!([0, 1, 3]), &json!([2, 4])]);
        // Open MPI names them. A rank that is started again is the same one.
        let named: Vec<Value> =
            [(10, 0), (11, 1), (20, 0)].map(|(pid, rank)| rank_at(pid, 5, pid, (rank, 2, "pmix:1"))).into();
        assert_eq!(members(&of(&named)), [&json!([0, 1])]);
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
