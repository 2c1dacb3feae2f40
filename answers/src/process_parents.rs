//! Which process of a job stands above which, and what belongs to the ranks of a launch.
//!
//! A parent is the process that had the parent's pid on that host when the child started. An exec
//! leaves a record of its own with the same pid, and stands below what it replaced. Where the
//! parent never was a program, the server tells the nearest that was, which may have ended. What
//! ran in a rank's place before, such as Slurm's task prolog, stands below the rank, and so does
//! what says that it is the rank and has nobody above it.

use crate::job_process::JobProcess;
use std::collections::HashMap;

/// Most processes of one rank above it.
const WRAPPERS_MAX: usize = 64;

/// Time for which a pid is not another's: a process may tell its end before a copy of it starts a
/// program.
const TOLD_EARLY_NS: i64 = 1_000_000_000;

/// What is known of each process of a job, by its index.
pub struct Relations {
    /// The process above it.
    pub parent: Vec<Option<usize>>,
    /// True where that became this one by exec.
    pub is_exec: Vec<bool>,
    /// The index of the launch whose rank it is.
    pub launch: Vec<Option<usize>>,
    /// The index of the launch that it belongs to, as a rank, or what starts a rank and has its
    /// environment.
    pub group: Vec<Option<usize>>,
}

/// The launch and the rank that a process says it is.
type RankName<'a> = (&'a str, u64);

impl Relations {
    /// The relations of a job's processes, whose indices are given in the order of their starts.
    pub fn of(launches: &[Vec<usize>], processes: &[JobProcess], order: &[usize]) -> Relations {
        let none = vec![None; processes.len()];
        let mut relations = Relations {
            parent: none.clone(),
            is_exec: vec![false; processes.len()],
            launch: none.clone(),
            group: none,
        };
        let mut known: HashMap<RankName<'_>, usize> = HashMap::new();
        for (launch, ranks) in launches.iter().enumerate() {
            for &rank in ranks {
                let Some(process) = processes.get(rank) else { continue };
                relations.launch[rank] = Some(launch);
                if let Some(name) = process.rank_name() {
                    known.insert(name, rank);
                }
            }
        }
        relations.find_parents(processes, order);
        relations.find_groups(processes);
        for &at in order {
            // Launchers without a name for a launch say one that is not its own.
            let name = processes[at].rank_name().filter(|(launch, _)| launch.contains(':'));
            if relations.parent[at].is_none() && relations.group[at].is_none() {
                relations.parent[at] = name.and_then(|name| known.get(&name).copied());
            }
        }
        relations
    }

    fn find_parents(&mut self, processes: &[JobProcess], order: &[usize]) {
        let mut ranks: HashMap<(&str, i64), Vec<usize>> = HashMap::new();
        for &at in order.iter().filter(|at| processes[**at].rank_name().is_some()) {
            ranks.entry(place(&processes[at])).or_default().push(at);
        }
        let mut latest: HashMap<(&str, i64), usize> = HashMap::new();
        for &at in order {
            let process = &processes[at];
            let (host, pid) = place(process);
            let start = process.start_ns;
            // A record of another tracker has no pid.
            let last = |pid: i64| latest.get(&(host, pid)).copied().filter(|_| pid >= 0);
            let alive = |pid: i64| {
                last(pid).filter(|known| {
                    let end = processes[*known].end.time_ns;
                    end.is_none_or(|end| end.saturating_add(TOLD_EARLY_NS) >= start)
                })
            };
            let [parent, ancestor] = [process.parent_pid, process.ancestor_pid];
            let replaced = alive(pid);
            self.is_exec[at] = replaced.is_some();
            self.parent[at] = replaced.or_else(|| alive(parent)).or_else(|| last(ancestor)).or_else(|| {
                let name = process.rank_name().filter(|_| parent >= 0)?;
                let later = ranks.get(&(host, parent))?.iter().copied();
                later
                    .filter(|rank| *rank != at && processes[*rank].start_ns >= start)
                    .find(|rank| processes[*rank].rank_name() == Some(name))
            });
            latest.insert((host, pid), at);
        }
    }

    fn find_groups(&mut self, processes: &[JobProcess]) {
        for at in 0..processes.len() {
            let Some(launch) = self.launch[at] else { continue };
            self.group[at] = Some(launch);
            let name = processes[at].rank_name();
            let mut above = self.parent[at];
            for _ in 0..WRAPPERS_MAX {
                let wrapper = above.filter(|above| {
                    let above_name = processes[*above].rank_name();
                    let is_same = name.zip(above_name).is_some_and(|(name, above)| may_be(name, above));
                    is_same && self.group[*above].is_none()
                });
                let Some(wrapper) = wrapper else { break };
                self.group[wrapper] = Some(launch);
                above = self.parent[wrapper];
            }
        }
    }
}

/// True if what says the first name may be started by the second: it is the same, or says only of
/// what kind the launch is. What a rank of MPICH starts knows no more.
fn may_be((launch, rank): RankName<'_>, (above, of_above): RankName<'_>) -> bool {
    rank == of_above && (launch == above || Some(launch) == above.split(':').next())
}

fn place(process: &JobProcess) -> (&str, i64) {
    (&process.host, process.pid)
}
