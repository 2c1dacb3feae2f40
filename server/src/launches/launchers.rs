//! The launch of each process that says it is a rank.
//!
//! A launcher's name for a launch is not always its own for ever: the names of Open MPI are 16 bits
//! of a hash, and a control port of MPICH is used again. So who started a rank tells launches of
//! one name apart: two launchers on one host, one after the other, made two launches; and a
//! launcher that starts a rank a second time has begun another.

use super::process::{LaunchName, Process};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// What tells launches apart, before it is asked who started their ranks.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    /// The name that the launcher gives.
    Given(LaunchName),
    /// The index of the process that started the ranks.
    Parent(usize),
    /// Its pid on a host, where it is not among the processes.
    Unseen(Arc<str>, i32),
}

/// The processes of one launch.
#[derive(Default)]
pub(super) struct Members {
    /// The name that the launcher gave.
    pub name: Option<String>,
    /// The indices of those that say they are a rank, for each rank, in the order of their starts.
    pub ranks: BTreeMap<u32, Vec<usize>>,
    /// Nobody saw what started them.
    is_unseen: bool,
    /// The indices of those that started ranks.
    parents: HashSet<usize>,
    /// The ranks that these processes started.
    children: HashSet<u32>,
}

/// The launches that were found so far.
struct Found<'p> {
    processes: &'p [Option<Process>],
    launches: Vec<Members>,
    by_name: HashMap<Name, Vec<usize>>,
    /// What a proxy was before exec, where that was told the name.
    proxies: HashMap<usize, usize>,
}

/// The launches among the processes of a job.
pub(super) fn find(processes: &[Option<Process>]) -> Vec<Members> {
    let mut order: Vec<(usize, &Process)> = processes
        .iter()
        .enumerate()
        .filter_map(|(at, process)| Some((at, process.as_ref()?)))
        .filter(|(_, process)| process.is_start)
        .collect();
    order.sort_by_key(|(_, process)| process.start_time_ns);
    let mut found =
        Found { processes, launches: Vec::new(), by_name: HashMap::new(), proxies: HashMap::new() };
    // The last process with a pid, and its launch.
    let mut latest: HashMap<(&str, i32), (usize, Option<usize>)> = HashMap::new();
    for (at, process) in order {
        let last = |pid: Option<i32>| latest.get(&(&*process.hostname, pid?)).copied();
        let alive = |pid: Option<i32>| {
            last(pid).filter(|(at, _)| {
                let known = processes.get(*at).and_then(Option::as_ref);
                known.is_some_and(|known| !known.ended_long_before(process))
            })
        };
        let (before, parent) = (alive(process.pid), alive(process.parent_pid));
        // The server knows it for that process, which may have ended since.
        let above = parent.or_else(|| last(process.ancestor_pid));
        if let Some((before, _)) = before.filter(|_| process.is_daemon && process.proxy_of.is_none()) {
            found.proxies.insert(at, before);
        }
        let launch = found.launch(at, process, before, parent, above);
        if let Some(pid) = process.pid {
            latest.insert((&process.hostname, pid), (at, launch));
        }
    }
    drop_helpers(processes, &mut found.launches);
    found.launches
}

/// A process, and the launch that it is of.
type Relative = Option<(usize, Option<usize>)>;

impl Found<'_> {
    /// The launch of a process: what it was before exec, its parent and the nearest process above
    /// it are given.
    fn launch(
        &mut self,
        at: usize,
        process: &Process,
        before: Relative,
        parent: Relative,
        above: Relative,
    ) -> Option<usize> {
        let rank = process.rank.as_deref()?;
        let given = rank.launch.as_ref()?;
        let parent = parent.map(|(parent, _)| parent);
        let proxy_of = |at: usize| self.of(self.proxies.get(&at).copied().unwrap_or(at))?.proxy_of.as_deref();
        let is_named = given.is_given();
        // A launch within a launch: its proxy has the environment of a rank, and is none.
        let is_below = is_named || parent.and_then(proxy_of).is_none();
        // A helper, or what the rank became by exec, is of its launch.
        let helped = before.or(above.filter(|_| is_below)).and_then(|(at, launch)| {
            let other = self.of(at)?.rank.as_deref()?;
            // A proxy that Slurm started is a rank as well, but of Slurm's step.
            let is_same = other.launch.as_ref().is_some_and(|other| given.may_be(other));
            launch.filter(|_| other.number == rank.number && is_same)
        });
        let above = above.map(|(above, _)| above);
        let launch = match helped {
            Some(launch) => launch,
            None => {
                let name = match (is_named, above) {
                    (true, _) => Name::Given(given.clone()),
                    (false, Some(above)) => {
                        proxy_of(above).map_or(Name::Parent(above), |name| Name::Given(name.clone()))
                    }
                    (false, None) => Name::Unseen(process.hostname.clone(), process.parent_pid?),
                };
                let is_again = given.is_of_proxy() || !is_named && parent.is_some();
                self.started(name, rank.number, above, is_again)
            }
        };
        self.launches.get_mut(launch)?.ranks.entry(rank.number).or_default().push(at);
        Some(launch)
    }

    /// The launch of this name that a rank belongs to, which `parent` started. If `is_again`, a
    /// rank that it started before is another launch's.
    fn started(&mut self, name: Name, rank: u32, parent: Option<usize>, is_again: bool) -> usize {
        let is_unseen = matches!(name, Name::Unseen(..));
        let known = self.by_name.get(&name).map(Vec::as_slice).unwrap_or_default();
        let is_free = |launch: &usize| !self.launches[*launch].children.contains(&rank);
        let launch = match parent {
            None if is_again => known.iter().copied().find(is_free),
            None => known.last().copied(),
            Some(parent) => {
                match known.iter().rposition(|launch| self.launches[*launch].parents.contains(&parent)) {
                    Some(latest) if !is_again || is_free(&known[latest]) => Some(known[latest]),
                    Some(latest) => known[latest..].iter().copied().find(is_free),
                    None => {
                        let takes = |launch: &&usize| is_free(launch) && self.takes(**launch, parent);
                        known.iter().rev().find(takes).copied()
                    }
                }
            }
        };
        let launch = launch.unwrap_or_else(|| {
            let given = match &name {
                Name::Given(name) => Some(name.name.clone()),
                _ => None,
            };
            self.launches.push(Members { name: given, is_unseen, ..Members::default() });
            let launch = self.launches.len() - 1;
            self.by_name.entry(name).or_default().push(launch);
            launch
        });
        let members = &mut self.launches[launch];
        members.parents.extend(parent);
        if parent.is_some() || is_again {
            members.children.insert(rank);
        }
        launch
    }

    /// True if ranks of this launch may have been started by that process, too: nothing on its host
    /// started them before, and was gone.
    fn takes(&self, launch: usize, parent: usize) -> bool {
        let Some(parent) = self.of(parent) else { return true };
        let mut others = self.launches[launch].parents.iter().filter_map(|other| self.of(*other));
        !others.any(|other| other.hostname == parent.hostname && other.ended_before(parent))
    }

    fn of(&self, at: usize) -> Option<&Process> {
        self.processes.get(at)?.as_ref()
    }
}

/// Drops what looks like a rank alone of a launch of its own, but is the child of a rank's child
/// that nobody saw.
fn drop_helpers(processes: &[Option<Process>], launches: &mut [Members]) {
    let of = |at: usize| {
        let process = processes.get(at)?.as_ref()?;
        Some((process, process.rank.as_deref()?))
    };
    let name = |at: usize| {
        let (process, rank) = of(at)?;
        Some((&*process.hostname, rank.number, rank.size?))
    };
    let mut earliest: HashMap<(&str, u32, u32), usize> = HashMap::new();
    for at in launches.iter().flat_map(|launch| launch.ranks.values().flatten()) {
        if let Some(name) = name(*at) {
            let known = earliest.entry(name).or_insert(*at);
            *known = (*known).min(*at);
        }
    }
    for launch in launches.iter_mut().filter(|launch| launch.is_unseen && launch.ranks.len() == 1) {
        let is_late = |at: usize| {
            name(at).is_some_and(|name| name.2 > 1 && earliest.get(&name).is_some_and(|first| *first < at))
        };
        let candidates = || launch.ranks.values().flatten().copied();
        let is_mpi = candidates().filter_map(of).any(|(_, rank)| rank.is_mpi);
        if candidates().min().is_some_and(is_late) && !is_mpi {
            launch.ranks.clear();
        }
    }
}
