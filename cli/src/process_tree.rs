//! The processes of a job as a tree: who started whom, with the ranks of an MPI launch as one.
//!
//! A parent is the process that had the parent's pid on that host when the child started. An exec
//! leaves a record of its own with the same pid, and hangs below what it replaced. Where the parent
//! never was a program, such as a shell's copy of itself, the server tells the nearest process
//! above it that was. The ranks of a launch are one line for each of its programs. What runs below
//! ranks is put together by program: there is then one line for what each of a thousand ranks did.
//! A job's documents come from anybody, so depth is bounded, and a parent always comes before its
//! children.

use crate::json_field::{ending, software, text};
use ogrt_proto::KERNEL;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The depth of the tree. Deeper processes are shown at this depth.
const DEPTH_MAX: usize = 64;

/// A line of the tree: one process, or several of the same program.
#[derive(Debug, Default)]
pub struct Node {
    /// The path of the executable.
    pub program: String,
    /// The name and version of its build; empty where they are not known.
    pub software: String,
    /// True where nobody registered the build.
    pub is_unregistered: bool,
    /// True where the process above became this one by exec.
    pub is_exec: bool,
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
    pub hosts: BTreeSet<String>,
    /// The first start.
    pub start_ns: i64,
    /// The last end.
    pub end_ns: i64,
    /// The number of processes whose end is known.
    pub ended: usize,
    /// How processes ended that did not exit with status 0, and how many each. An exec is none: the
    /// line below shows it.
    pub endings: BTreeMap<String, usize>,
    /// The longest duration of one process.
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
    /// Builds the tree of a job's document.
    pub fn of(job: &Value) -> Tree {
        let processes = job["processes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut launch_of = HashMap::new();
        for (launch, ranks) in job["launches"].as_array().into_iter().flatten().enumerate() {
            for rank in ranks["processes"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
                launch_of.insert(rank as usize, launch);
            }
        }
        // An end that came without its start is not drawn.
        let mut order: Vec<usize> =
            (0..processes.len()).filter(|at| processes[*at]["type"] != "end").collect();
        order.sort_by_key(|at| start_ns(&processes[*at]));

        let mut tree = Tree::default();
        let mut latest: HashMap<(String, i64), (usize, Option<i64>)> = HashMap::new();
        let mut of_launch: HashMap<(usize, String), usize> = HashMap::new();
        let mut alike: HashMap<(usize, String), usize> = HashMap::new();
        for at in order {
            let process = &processes[at];
            let (host, pid, start) = (text(process, "hostname"), number(process, "pid"), start_ns(process));
            let alive = |pid: i64| {
                let (node, end) = latest.get(&(host.clone(), pid))?;
                end.is_none_or(|end| end >= start).then_some(*node)
            };
            let replaced = alive(pid);
            let above = ["parent_pid", "ancestor_pid"].into_iter().map(|key| number(process, key));
            let parent = replaced.or_else(|| above.into_iter().find_map(alive));
            let launch = launch_of.get(&at).copied();
            let program = text(process, "binpath");
            let below = parent.filter(|parent| tree.nodes[*parent].is_folded && launch.is_none());
            let known = match (launch, below) {
                (Some(launch), _) => of_launch.get(&(launch, program.clone())).copied(),
                (None, Some(parent)) => alike.get(&(parent, program.clone())).copied(),
                (None, None) => None,
            };
            let node = known.unwrap_or_else(|| {
                let node = tree.add(
                    process,
                    &program,
                    parent,
                    replaced.is_some(),
                    launch.is_some() || below.is_some(),
                );
                if let Some(launch) = launch {
                    of_launch.insert((launch, program.clone()), node);
                    tree.nodes[node].missing = job["launches"][launch]["missing"].as_u64().unwrap_or(0);
                }
                if let Some(parent) = below {
                    alike.insert((parent, program.clone()), node);
                }
                node
            });
            tree.nodes[node].count(process, &host, launch.is_some());
            let end = process["end"]["end_time_ns"].as_i64();
            latest.insert((host, pid), (node, end));
        }
        tree
    }

    fn add(
        &mut self,
        process: &Value,
        program: &str,
        parent: Option<usize>,
        is_exec: bool,
        is_folded: bool,
    ) -> usize {
        let depth = parent.map_or(0, |parent| self.nodes[parent].depth + 1).min(DEPTH_MAX);
        let build = &process["build"];
        let node = self.nodes.len();
        self.nodes.push(Node {
            program: program.to_owned(),
            software: software(build),
            is_unregistered: build["source"] != "record",
            is_exec,
            pid: number(process, "pid"),
            start_ns: start_ns(process),
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
    fn count(&mut self, process: &Value, host: &str, is_rank: bool) {
        self.processes += 1;
        self.claimed += usize::from(process["identity"] != KERNEL);
        self.ranks += usize::from(is_rank);
        if !host.is_empty() {
            self.hosts.insert(host.to_owned());
        }
        if let Some(end) = process["end"]["end_time_ns"].as_i64() {
            self.ended += 1;
            self.end_ns = self.end_ns.max(end);
        }
        let ending = ending(process);
        if !ending.is_empty() && ending != "exec" {
            *self.endings.entry(ending).or_default() += 1;
        }
        self.longest_ns = self.longest_ns.max(process["end"]["duration_ns"].as_u64().unwrap_or(0));
    }
}

fn number(process: &Value, key: &str) -> i64 {
    process[key].as_i64().unwrap_or(-1)
}

fn start_ns(process: &Value) -> i64 {
    let seconds = || process["time"].as_i64().map(|seconds| seconds.saturating_mul(1_000_000_000));
    process["start_time_ns"].as_i64().or_else(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            process(11, 10, 9, "/bin/later", Some(10)),
        ]});
        let tree = Tree::of(&job);
        let [sh, app, child, later] = tree.nodes.as_slice() else { panic!("{tree:?}") };
        assert_eq!((tree.roots.clone(), sh.children.clone(), app.is_exec), (vec![0, 3], vec![1], true));
        // The application had ended when the pid of its child was used again.
        assert_eq!(
            (app.children.clone(), child.program.as_str(), later.is_exec),
            (vec![2], "/bin/child", false)
        );
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
        let tree = Tree::of(&job);
        assert_eq!(tree.nodes.len(), 3, "{tree:?}");
        let solver = &tree.nodes[1];
        assert_eq!((solver.ranks, solver.ended, solver.start_ns, solver.end_ns), (8, 8, 1, 57));
        assert_eq!(solver.missing, 2);
        assert_eq!((tree.nodes[2].processes, tree.nodes[2].ranks), (8, 0));
    }

    #[test]
    fn each_program_of_a_launch_is_a_line() {
        let programs = [(10, "/ocean"), (11, "/ocean"), (12, "/ice")];
        let processes: Vec<Value> = programs.map(|(pid, program)| process(pid, 1, pid, program, None)).into();
        let tree = Tree::of(&json!({ "processes": processes, "launches": [{ "processes": [0, 1, 2] }] }));
        let lines: Vec<_> = tree.nodes.iter().map(|node| (&*node.program, node.ranks)).collect();
        assert_eq!(lines, [("/ocean", 2), ("/ice", 1)]);
    }

    #[test]
    fn a_shell_that_forks_does_not_cut_the_tree() {
        let mut child = process(12, 11, 2, "/bin/date", Some(3));
        child["ancestor_pid"] = json!(10);
        let job = json!({ "processes": [process(10, 1, 1, "/bin/sh", None), child] });
        let tree = Tree::of(&job);
        assert_eq!((tree.roots, &tree.nodes[0].children), (vec![0], &vec![1]));
    }

    #[test]
    fn a_chain_without_end_stays_bounded() {
        let processes: Vec<Value> =
            (0..10_000).map(|pid| process(pid, pid - 1, pid, "/bin/sh", None)).collect();
        let tree = Tree::of(&json!({ "processes": processes }));
        assert_eq!(tree.nodes.len(), 10_000);
        assert!(tree.nodes.iter().all(|node| node.depth <= DEPTH_MAX));
    }
}
