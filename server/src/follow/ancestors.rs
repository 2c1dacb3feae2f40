//! The nearest process above a start that has told of itself, where its parent has not.
//!
//! A shell that forks without exec, a make that runs a recipe by itself, a parent that is gone: the
//! parent of what they start is no program that we know. So the way up is walked at once: by what
//! the kernel tells of forks, where we may hear it, else by procfs while the processes are there.
//! One that has ended stands above what its copies start: a script may leave them and be gone.

use super::forks::{Fork, Forks};
use crate::bounded_map::BoundedMap;
use ogrt_observe::ProcessStat;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// Most processes on the way up.
const STEPS_MAX: usize = 32;

/// The time for which it is remembered that nobody above a process is known. A daemon that starts
/// thousands is asked about once.
const REMEMBERED: Duration = Duration::from_millis(200);

/// Processes that have ended and are remembered: about 2 MB. The oldest is forgotten.
const GONE_MAX: usize = 65_536;

/// See the module.
pub struct Ancestors {
    /// `None` where we may not hear of them.
    forks: Option<Forks>,
    /// Processes that had told of themselves, and the time at which their end was seen.
    gone: BoundedMap<u32, i64, GONE_MAX>,
    /// Processes without a known one above them, since then.
    unrelated: HashSet<u32>,
    since: Instant,
}

impl Ancestors {
    /// Begins to listen to forks, where that is wanted and permitted.
    pub fn new(hears_forks: bool) -> Self {
        let forks = if hears_forks { Forks::listen() } else { None };
        Ancestors { forks, gone: BoundedMap::default(), unrelated: HashSet::new(), since: Instant::now() }
    }

    /// True if the kernel tells of forks.
    pub fn hears_forks(&self) -> bool {
        self.forks.is_some()
    }

    /// Takes up which processes have forked.
    pub fn read_forks(&mut self) {
        if let Some(forks) = &mut self.forks {
            forks.read();
        }
    }

    /// Remembers that a process which had told of itself has ended.
    pub fn has_ended(&mut self, pid: u32, ended_ns: i64) {
        // Without forks nobody can tell what it had left.
        if self.forks.is_some() {
            self.gone.remember(pid, ended_ns);
        }
    }

    /// The nearest known process above `pid`, whose parent by its own word is `parent`. `None`
    /// where that is the parent itself, or there is none.
    pub fn nearest(&mut self, pid: u32, parent: u32, is_known: impl Fn(u32) -> bool) -> Option<u32> {
        if self.since.elapsed() > REMEMBERED {
            self.unrelated.clear();
            self.since = Instant::now();
        }
        // A process whose parent is gone has another one by now.
        let first = self.fork(pid).map_or(parent, |fork| fork.parent);
        if self.unrelated.contains(&first) {
            return None;
        }
        let mut at = first;
        for _ in 0..STEPS_MAX {
            let fork = self.fork(at);
            if at != pid && (is_known(at) || self.is_gone(at, fork)) {
                return (at != parent).then_some(at);
            }
            match fork.map(|fork| fork.parent).or_else(|| parent_by_procfs(at)) {
                // The first process of the machine, or of a container, is nobody's program.
                None | Some(0 | 1) => break,
                Some(above) => at = above,
            }
        }
        self.unrelated.insert(first);
        None
    }

    fn fork(&self, pid: u32) -> Option<Fork> {
        self.forks.as_ref()?.of(pid)
    }

    /// True if the last process with this pid had told of itself: no later one was forked.
    fn is_gone(&self, pid: u32, fork: Option<Fork>) -> bool {
        let ended_ns = self.gone.get(&pid);
        fork.zip(ended_ns).is_some_and(|(fork, ended_ns)| fork.heard_ns <= *ended_ns)
    }
}

fn parent_by_procfs(pid: u32) -> Option<u32> {
    ProcessStat::of(pid).map(|stat| stat.parent_pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_up_ends_at_the_first_that_is_known() {
        let ours = std::process::id();
        let parent = parent_by_procfs(ours).unwrap();
        // No process has a pid this large: a child of ours, that is gone.
        let child = 1 << 30;
        let nearest = |pid: u32, parent: u32, known: &dyn Fn(u32) -> bool| {
            Ancestors::new(false).nearest(pid, parent, known)
        };
        assert_eq!(nearest(child, ours, &|pid| pid == ours), None, "it is the parent");
        assert_eq!(nearest(child, ours, &|pid| pid == parent), Some(parent));
        assert_eq!(nearest(child, ours, &|_| false), None);
        assert_eq!(nearest(child, child + 1, &|_| true), None, "it is the parent");
        assert_eq!(nearest(child, child + 1, &|pid| pid == ours), None, "a parent that is gone");
    }

    #[test]
    fn one_that_has_ended_is_known_until_its_pid_is_anothers() {
        let mut ancestors = Ancestors::new(false);
        ancestors.gone.remember(7, 100);
        let fork = |heard_ns| Some(Fork { parent: 1, heard_ns });
        assert!(ancestors.is_gone(7, fork(90)));
        assert!(!ancestors.is_gone(7, fork(110)), "a later one has its pid");
        assert!(!ancestors.is_gone(7, None) && !ancestors.is_gone(8, fork(90)));
    }
}
