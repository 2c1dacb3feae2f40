//! The processes of a job as a tree: who started whom, with the ranks of an MPI launch as one.
//!
//! An exec leaves a record of its own with the same pid, and hangs below what it replaced. Where a
//! parent never was a program, such as a shell's copy of itself, the server tells the nearest
//! process above it that was. The ranks of a launch are one line for each of its programs, and so
//! are the scripts that they run in. What runs below ranks is put together by program: there is
//! then one line for what each of a thousand ranks did. A job's documents come from anybody, so
//! depth is bounded, and a parent always comes before its children.

use crate::{job_document::Job, job_process::JobProcess, process_parents::Relations};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

/// The depth of the tree. Deeper processes are shown at this depth.
const DEPTH_MAX: usize = 64;

/// Most processes above one that started after it.
const CHAIN_MAX: usize = 64;

/// What stands above processes of one program that are one line.
#[derive(PartialEq, Eq, Hash)]
enum Above {
    /// The line of the ranks, or of a program that each of them runs.
    Node(usize),
    /// The launcher of this launch.
    Launcher(usize),
    /// The launcher of a step with this name, where no more is known of it.
    Step(String),
}

/// The line of the processes that are one: what stands above them, the program and what it ran, and
/// whether it is by exec.
type Alike = HashMap<(Above, Rc<str>, Rc<str>, bool), usize>;

/// A line of the tree: one process, or several of the same program.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The path of the executable.
    pub program: Rc<str>,
    /// The name of what it ran.
    pub name: Rc<str>,
    /// The name and version of its build; empty where they are not known.
    pub software: Rc<str>,
    /// The signature of the build, where all processes of the line have the same; else empty.
    pub signature: Rc<str>,
    /// True where nobody registered the build, and no learned package has it.
    pub is_unregistered: bool,
    /// True where the process above became this one by exec.
    pub is_exec: bool,
    /// The number of equal lines that are one, with what is below them.
    pub times: usize,
    /// The number of processes in this line.
    pub processes: usize,
    /// The number of them that the kernel did not prove.
    pub claimed: usize,
    /// The number of them that are ranks of one launch.
    pub ranks: usize,
    /// The number of ranks of the launch that nobody saw.
    pub missing: u64,
    /// The pid of the first process.
    pub pid: i64,
    /// The names of the hosts that they ran on.
    pub hosts: BTreeSet<Rc<str>>,
    /// The first start.
    pub start_ns: i64,
    /// The last end.
    pub end_ns: i64,
    /// The number of processes whose end is known.
    pub ended: usize,
    /// How processes ended that did not exit with status 0, and how many each. An exec is none: the
    /// line below shows it.
    pub endings: BTreeMap<Rc<str>, usize>,
    /// The shortest and the longest duration of one process, of those whose end is known.
    pub shortest_ns: u64,
    pub longest_ns: u64,
    /// The lines below this one, in the order of their starts.
    pub children: Vec<usize>,
    depth: usize,
    is_folded: bool,
}

/// All lines of a job.
#[derive(Debug, Default)]
pub struct Tree {
    /// The lines, parents before children.
    pub nodes: Vec<Node>,
    /// The lines without a parent, in the order of their starts.
    pub roots: Vec<usize>,
}

impl Tree {
    /// Builds the tree of a job.
    pub fn of(job: &Job) -> Tree {
        let processes = &job.processes[..];
        // An end that came without its start is not drawn.
        let mut order: Vec<usize> = (0..processes.len()).filter(|at| !processes[*at].is_end_alone).collect();
        order.sort_by_key(|at| processes[*at].start_ns);

        let launches: Vec<Vec<usize>> = job.launches.iter().map(|launch| launch.processes.clone()).collect();
        let relations = Relations::of(&launches, processes, &order);
        let mut tree = Tree::default();
        let mut nodes: Vec<Option<usize>> = vec![None; processes.len()];
        let mut alike = Alike::new();
        let mut chain = Vec::new();
        for at in order {
            // What is above it may have started later.
            let mut next = Some(at);
            while let Some(above) = next.filter(|above| nodes[*above].is_none() && !chain.contains(above)) {
                chain.push(above);
                next = relations.parent[above].filter(|_| chain.len() < CHAIN_MAX);
            }
            while let Some(at) = chain.pop() {
                nodes[at] = Some(tree.take(job, &processes[at], at, &relations, &nodes, &mut alike));
            }
        }
        tree
    }

    /// Takes a process, whose parent was taken before, and returns its line.
    fn take(
        &mut self,
        job: &Job,
        process: &JobProcess,
        at: usize,
        relations: &Relations,
        nodes: &[Option<usize>],
        alike: &mut Alike,
    ) -> usize {
        let parent = relations.parent[at].and_then(|parent| nodes[parent]);
        let (group, launch) = (relations.group[at], relations.launch[at]);
        let above_group = relations.parent[at].and_then(|parent| relations.group[parent]);
        let is_exec = relations.is_exec[at];
        let above = match (group, parent) {
            (Some(group), _) if above_group != Some(group) => Some(Above::Launcher(group)),
            (_, Some(parent)) if self.nodes[parent].is_folded => Some(Above::Node(parent)),
            // Many tasks of a step, such as the proxies that Slurm starts for a launcher.
            (None, None) => process
                .rank_name()
                .filter(|(launch, _)| launch.contains(':'))
                .map(|(launch, _)| Above::Step(launch.to_owned())),
            _ => None,
        };
        let key = above.map(|above| (above, process.program.clone(), process.name.clone(), is_exec));
        let known = key.as_ref().and_then(|key| alike.get(key).copied());
        let node = known.unwrap_or_else(|| {
            let node = self.add(process, parent, is_exec, key.is_some());
            if let Some(key) = key {
                alike.insert(key, node);
            }
            node
        });
        if let Some(launch) = launch {
            self.nodes[node].missing = job.launches.get(launch).map_or(0, |launch| launch.missing);
        }
        self.nodes[node].count(process, launch.is_some());
        node
    }

    fn add(&mut self, process: &JobProcess, parent: Option<usize>, is_exec: bool, is_folded: bool) -> usize {
        let depth = parent.map_or(0, |parent| self.nodes[parent].depth + 1).min(DEPTH_MAX);
        let node = self.nodes.len();
        self.nodes.push(Node {
            program: process.program.clone(),
            name: process.name.clone(),
            software: process.software.clone(),
            signature: process.signature.clone(),
            is_unregistered: !process.is_registered && !process.is_learned,
            is_exec,
            times: 1,
            pid: process.pid,
            start_ns: process.start_ns,
            shortest_ns: u64::MAX,
            depth,
            is_folded,
            ..Node::default()
        });
        match parent {
            Some(parent) => self.nodes[parent].children.push(node),
            None => self.roots.push(node),
        }
        node
    }
}

impl Node {
    fn count(&mut self, process: &JobProcess, is_rank: bool) {
        self.processes += 1;
        self.keep_signature_of(&process.signature);
        self.start_ns = self.start_ns.min(process.start_ns);
        self.claimed += usize::from(process.is_claimed);
        self.ranks += usize::from(is_rank);
        if !process.host.is_empty() && !self.hosts.contains(&process.host) {
            self.hosts.insert(process.host.clone());
        }
        let end = &process.end;
        if let Some(time) = end.time_ns {
            self.ended += 1;
            self.end_ns = self.end_ns.max(time);
            let duration_ns = end.duration_ns.unwrap_or(0);
            self.shortest_ns = self.shortest_ns.min(duration_ns);
            self.longest_ns = self.longest_ns.max(duration_ns);
        }
        if !end.ending.is_empty() && &*end.ending != "exec" {
            *self.endings.entry(end.ending.clone()).or_default() += 1;
        }
    }

    fn keep_signature_of(&mut self, other: &str) {
        if *self.signature != *other {
            self.signature = Rc::default();
        }
    }

    /// Takes an equal line into this one.
    pub fn merge(&mut self, other: Node) {
        self.times += other.times;
        self.keep_signature_of(&other.signature);
        self.processes += other.processes;
        self.claimed += other.claimed;
        self.ranks += other.ranks;
        self.missing += other.missing;
        self.start_ns = self.start_ns.min(other.start_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
        self.ended += other.ended;
        self.shortest_ns = self.shortest_ns.min(other.shortest_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self.hosts.extend(other.hosts);
        for (ending, count) in other.endings {
            *self.endings.entry(ending).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn process(pid: i64, parent: i64, start: i64, program: &str, end: Option<i64>) -> Value {
        let mut process = json!({
            "pid": pid, "parent_pid": parent, "start_time_ns": start, "binpath": program, "hostname": "n1",
        });
        if let Some(end) = end {
            process["end"] = json!({ "end_time_ns": end, "duration_ns": end - start });
        }
        process
    }

    #[test]
    fn an_exec_hangs_below_what_it_replaced_and_a_reused_pid_does_not() {
        let job = json!({ "processes": [
            process(10, 1, 1, "/bin/sh", None),
            process(10, 1, 2, "/bin/app", Some(5)),
            process(11, 10, 3, "/bin/child", Some(4)),
            process(11, 10, 9_000_000_000, "/bin/later", Some(9_000_000_001)),
        ]});
        let tree = Tree::of(&Job::of(&job));
        let [sh, app, child, later] = tree.nodes.as_slice() else { panic!("{tree:?}") };
        assert_eq!((tree.roots.clone(), sh.children.clone(), app.is_exec), (vec![0, 3], vec![1], true));
        // The application had ended when the pid of its child was used again.
        assert_eq!((app.children.clone(), &*child.program, later.is_exec), (vec![2], "/bin/child", false));
    }

    #[test]
    fn processes_without_a_pid_stand_side_by_side() {
        let imported = |start: i64, rank: Option<u64>| {
            let mut process = json!({ "start_time_ns": start, "binpath": format!("/opt/{start}") });
            if let Some(rank) = rank {
                process["mpi"] = json!({ "rank": rank, "size": 16 });
            }
            process
        };
        let job = json!({ "processes": [imported(1, None), imported(2, Some(0)), imported(3, Some(0))] });
        let tree = Tree::of(&Job::of(&job));
        assert_eq!((tree.roots.clone(), tree.nodes.len()), (vec![0, 1, 2], 3), "{tree:?}");
        assert!(tree.nodes.iter().all(|node| !node.is_exec && node.children.is_empty()), "{tree:?}");
    }

    #[test]
    fn ranks_are_one_line_and_so_is_what_they_started() {
        let mut processes = vec![process(1, 0, 0, "/bin/mpirun", Some(100))];
        for rank in 0..8 {
            processes.push(process(100 + rank, 1, 1 + rank, "/bin/solver", Some(50 + rank)));
        }
        for rank in 0..8 {
            processes.push(process(200 + rank, 100 + rank, 20, "/bin/hostname", Some(21)));
        }
        let job = json!({
            "processes": processes,
            "launches": [{ "processes": (1..9).collect::<Vec<_>>(), "missing": 2 }],
        });
        let tree = Tree::of(&Job::of(&job));
        assert_eq!(tree.nodes.len(), 3, "{tree:?}");
        let solver = &tree.nodes[1];
        assert_eq!((solver.ranks, solver.ended, solver.start_ns, solver.end_ns), (8, 8, 1, 57));
        assert_eq!(solver.missing, 2);
        assert_eq!((tree.nodes[2].processes, tree.nodes[2].ranks), (8, 0));
    }

    /// A process that says it is a rank.
    fn of_rank(pid: i64, parent: i64, start: i64, program: &str, rank: u64, launch: &str) -> Value {
        let mut process = process(pid, parent, start, program, Some(start + 5));
        process["mpi"] = json!({ "rank": rank, "size": 2, "launch": launch });
        process
    }

    #[test]
    fn what_slurm_runs_for_a_rank_hangs_below_the_rank() {
        // The prolog runs in the rank's place, before it; nobody is above it or the epilog.
        let processes: Vec<Value> = (0..2)
            .flat_map(|rank| {
                let pid = 10 + 10 * rank as i64;
                [
                    of_rank(pid + 1, pid, pid + 1, "/bin/prolog", rank, "slurm:1.0"),
                    of_rank(pid + 2, pid + 1, pid + 2, "/bin/hostname", rank, "slurm:1.0"),
                    of_rank(pid, 1, pid + 3, "/bin/solver", rank, "slurm:1.0"),
                    of_rank(pid + 4, 1, pid + 9, "/bin/epilog", rank, "slurm:1.0"),
                ]
            })
            .collect();
        let job = json!({ "processes": processes, "launches": [{ "processes": [2, 6] }] });
        let tree = Tree::of(&Job::of(&job));
        assert_eq!((tree.roots.len(), tree.nodes.len()), (1, 4), "{tree:?}");
        let solver = &tree.nodes[tree.roots[0]];
        assert_eq!((&*solver.program, solver.ranks, solver.start_ns), ("/bin/solver", 2, 13));
        assert_eq!(solver.children.len(), 2, "{tree:?}");
        assert!(tree.nodes.iter().all(|node| node.processes == 2), "{tree:?}");
    }

    #[test]
    fn scripts_around_ranks_are_one_line_and_so_are_tasks_without_ranks() {
        for (launch, of_child) in [("pmix:1", "pmix:1"), ("hydra", "hydra"), ("hydra:a:1.0", "hydra")] {
            let processes: Vec<Value> = (0..2)
                .flat_map(|rank| {
                    let pid = 10 + 10 * rank as i64;
                    [
                        of_rank(pid, 1, pid, "/bin/sh", rank, launch),
                        of_rank(pid + 1, pid, pid + 1, "/bin/hostname", rank, of_child),
                        of_rank(pid, 1, pid + 2, "/bin/bash", rank, launch),
                        of_rank(pid + 3, pid, pid + 3, "/bin/solver", rank, of_child),
                    ]
                })
                .collect();
            let job = json!({ "processes": processes, "launches": [{ "processes": [3, 7] }] });
            let tree = Tree::of(&Job::of(&job));
            let lines: Vec<_> =
                tree.nodes.iter().map(|node| (&*node.program, node.is_exec, node.processes)).collect();
            let expected = [
                ("/bin/sh", false, 2),
                ("/bin/hostname", false, 2),
                ("/bin/bash", true, 2),
                ("/bin/solver", false, 2),
            ];
            assert_eq!((lines, tree.roots), (expected.to_vec(), vec![0]), "{launch}");
        }
        // Proxies that Slurm started, whose ranks have another launcher.
        let proxies: Vec<Value> =
            (0..3).map(|rank| of_rank(10 + rank, 1, rank, "/bin/proxy", rank as u64, "slurm:1.0")).collect();
        let tree = Tree::of(&Job::of(&json!({ "processes": proxies })));
        assert_eq!((tree.roots.len(), tree.nodes[0].processes), (1, 3));
    }

    #[test]
    fn processes_above_each_other_are_drawn() {
        let circle =
            [(10, 11), (11, 10)].map(|(pid, parent)| of_rank(pid, parent, pid, "/bin/a", 0, "slurm:1.0"));
        for launches in [json!([]), json!([{ "processes": [0] }]), json!([{ "processes": [1] }])] {
            let tree = Tree::of(&Job::of(&json!({ "processes": circle, "launches": launches })));
            assert_eq!((tree.roots.len(), tree.nodes.len()), (1, 2), "{tree:?}");
        }
    }

    #[test]
    fn each_program_of_a_launch_is_a_line() {
        let programs = [(10, "/ocean"), (11, "/ocean"), (12, "/ice")];
        let processes: Vec<Value> = programs.map(|(pid, program)| process(pid, 1, pid, program, None)).into();
        let tree =
            Tree::of(&Job::of(&json!({ "processes": processes, "launches": [{ "processes": [0, 1, 2] }] })));
        let lines: Vec<_> = tree.nodes.iter().map(|node| (&*node.program, node.ranks)).collect();
        assert_eq!(lines, [("/ocean", 2), ("/ice", 1)]);
    }

    #[test]
    fn a_shell_that_forks_does_not_cut_the_tree() {
        let mut child = process(12, 11, 2, "/bin/date", Some(3));
        child["ancestor_pid"] = json!(10);
        let job = json!({ "processes": [process(10, 1, 1, "/bin/sh", None), child] });
        let tree = Tree::of(&Job::of(&job));
        assert_eq!((tree.roots, &tree.nodes[0].children), (vec![0], &vec![1]));
    }

    #[test]
    fn what_a_script_left_behind_hangs_below_it() {
        // Its copy goes on when it has ended: then the server knows. It may be late by a little.
        let mut left = process(12, 1, 9_000_000_000, "/bin/date", None);
        left["ancestor_pid"] = json!(10);
        let processes = [
            process(10, 1, 1, "/bin/sh", Some(5)),
            process(11, 10, 6, "/bin/uname", None),
            left,
            process(13, 10, 9_000_000_000, "/bin/other", None),
        ];
        let tree = Tree::of(&Job::of(&json!({ "processes": processes })));
        assert_eq!((tree.roots, &tree.nodes[0].children), (vec![0, 3], &vec![1, 2]));
    }

    #[test]
    fn a_chain_without_end_stays_bounded() {
        let processes: Vec<Value> =
            (0..10_000).map(|pid| process(pid, pid - 1, pid, "/bin/sh", None)).collect();
        let tree = Tree::of(&Job::of(&json!({ "processes": processes })));
        assert_eq!(tree.nodes.len(), 10_000);
        assert!(tree.nodes.iter().all(|node| node.depth <= DEPTH_MAX));
    }
}
