//! Files that processes opened to run, brought together with the execs that followed.
//!
//! A process opens its program, and perhaps the script, the interpreter and the loader around it;
//! then the kernel says that an exec has happened, or says nothing, because it failed. Both are
//! told in order, each by a queue of its own, and several execs of a process may be told at once.
//! So they are matched from the end, and by what the process runs now, as long as that can be seen.

use crate::file_facts::FileId;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Processes with an exec that is not finished, at most. A further one is not matched.
const PROCESSES_MAX: usize = 16_384;

/// Programs that one process opened without an exec, at most; the oldest is forgotten.
const OPENS_MAX: usize = 16;

/// The time after which an exec that was not told has failed.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The time in which a further exec is told, where a process runs another file than it opened.
const UNDECIDED: Duration = Duration::from_millis(20);

/// What a process runs at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// This file.
    File(FileId),
    /// Nothing: it has ended.
    Nothing,
}

/// A program that was opened.
pub trait Opened {
    /// The file.
    fn file(&self) -> FileId;

    /// True if its start is to be told.
    fn is_wanted(&self) -> bool;
}

/// A program that runs, or has run, since an exec.
#[derive(Debug, PartialEq, Eq)]
pub enum Program<O> {
    /// The program that was opened.
    Opened(O),
    /// A file that we were not told of: what the process runs now.
    Present,
    /// A file that we were not told of, and that runs no more.
    Lost,
}

/// An exec with its program.
#[derive(Debug, PartialEq, Eq)]
pub struct Exec<O> {
    /// The moment, Unix time in nanoseconds.
    pub time_ns: i64,
    /// The program.
    pub program: Program<O>,
}

/// One process.
struct Track<O> {
    opens: Vec<O>,
    execs: Vec<i64>,
    since: Instant,
}

/// See the module.
pub struct ExecTracks<O> {
    tracks: HashMap<u32, Track<O>>,
    /// Processes to look at: those that something was told of.
    touched: Vec<u32>,
    /// The number of processes that could not be kept.
    pub overflows: u64,
}

impl<O: Opened> ExecTracks<O> {
    /// Tracks nothing yet.
    pub fn new() -> Self {
        ExecTracks { tracks: HashMap::new(), touched: Vec::new(), overflows: 0 }
    }

    fn track(&mut self, pid: u32) -> Option<&mut Track<O>> {
        if self.tracks.len() >= PROCESSES_MAX && !self.tracks.contains_key(&pid) {
            self.overflows += 1;
            return None;
        }
        let fresh = || Track { opens: Vec::new(), execs: Vec::new(), since: Instant::now() };
        Some(self.tracks.entry(pid).or_insert_with(fresh))
    }

    /// A process has opened a program.
    pub fn opened(&mut self, pid: u32, program: O) {
        let Some(track) = self.track(pid) else { return };
        if track.opens.len() >= OPENS_MAX {
            track.opens.remove(0);
        }
        track.opens.push(program);
    }

    /// An exec has happened.
    pub fn executed(&mut self, pid: u32, time_ns: i64) {
        let Some(track) = self.track(pid) else { return };
        if track.execs.len() < OPENS_MAX {
            track.execs.push(time_ns);
        }
        track.since = Instant::now();
        self.touched.push(pid);
    }

    /// The execs that can be told now, each with its process. `running` looks at a process.
    pub fn take(&mut self, running: impl Fn(u32) -> Running) -> Vec<(u32, Exec<O>)> {
        let mut told = Vec::new();
        let mut undecided = Vec::new();
        self.touched.sort_unstable();
        self.touched.dedup();
        for pid in std::mem::take(&mut self.touched) {
            let Some(track) = self.tracks.get_mut(&pid) else { continue };
            match track.decide(|| running(pid)) {
                Some(execs) => told.extend(execs.into_iter().map(|exec| (pid, exec))),
                None => undecided.push(pid),
            }
            if track.opens.is_empty() && track.execs.is_empty() {
                self.tracks.remove(&pid);
            }
        }
        self.touched = undecided;
        told
    }

    /// True if an exec waits for what is told next.
    pub fn is_undecided(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Forgets programs whose exec was never told.
    pub fn forget_failed(&mut self) {
        self.tracks.retain(|_, track| track.since.elapsed() < FORGOTTEN);
    }
}

impl<O: Opened> Track<O> {
    /// The execs with their programs, or `None` where one more may be told in a moment.
    fn decide(&mut self, running: impl FnOnce() -> Running) -> Option<Vec<Exec<O>>> {
        let is_plain = self.opens.iter().all(|open| !open.is_wanted());
        if is_plain && self.execs.len() <= self.opens.len() {
            // Most execs: nothing is to be told, and nobody need look at the process.
            self.opens.clear();
            self.execs.clear();
            return Some(Vec::new());
        }
        let (file, is_over) = match running() {
            Running::File(file) => (Some(file), false),
            Running::Nothing => (None, true),
        };
        let at = self.opens.iter().rposition(|open| Some(open.file()) == file);
        let has_unknown = !is_over && at.is_none();
        if has_unknown && self.execs.len() <= self.opens.len() && self.since.elapsed() < UNDECIDED {
            return None;
        }
        // Opens behind the one that runs belong to an exec that is not finished.
        let later = at.map_or(Vec::new(), |at| self.opens.split_off(at + 1));
        let times = std::mem::take(&mut self.execs);
        let mut programs = std::mem::replace(&mut self.opens, later);
        let known = times.len() - usize::from(has_unknown && !times.is_empty());
        // Those in front have failed.
        programs.drain(..programs.len().saturating_sub(known));
        let lost = known - programs.len();
        let programs = std::iter::repeat_with(|| Program::Lost)
            .take(lost)
            .chain(programs.into_iter().map(Program::Opened))
            .chain(has_unknown.then_some(Program::Present));
        Some(times.into_iter().zip(programs).map(|(time_ns, program)| Exec { time_ns, program }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    /// A program that is static, with its inode.
    #[derive(Debug, PartialEq, Eq)]
    struct Wanted(u64);

    impl Opened for Wanted {
        fn file(&self) -> FileId {
            FileId(1, self.0)
        }

        fn is_wanted(&self) -> bool {
            self.0 < 100
        }
    }

    fn tracks(opens: &[u64], execs: &[i64]) -> ExecTracks<Wanted> {
        let mut tracks = ExecTracks::new();
        opens.iter().for_each(|open| tracks.opened(7, Wanted(*open)));
        execs.iter().for_each(|time| tracks.executed(7, *time));
        tracks
    }

    fn take(tracks: &mut ExecTracks<Wanted>, running: Option<u64>) -> Vec<(i64, Option<u64>)> {
        let running = running.map_or(Running::Nothing, |inode| Running::File(FileId(1, inode)));
        let told = tracks.take(|_| running).into_iter().map(|(_, exec)| match exec.program {
            Program::Opened(open) => (exec.time_ns, Some(open.0)),
            Program::Present => (exec.time_ns, running_inode(running)),
            Program::Lost => (exec.time_ns, None),
        });
        told.collect()
    }

    fn running_inode(running: Running) -> Option<u64> {
        match running {
            Running::File(FileId(_, inode)) => Some(inode),
            Running::Nothing => None,
        }
    }

    #[test]
    fn one_exec_has_its_program_whether_it_still_runs_or_not() {
        assert_eq!(take(&mut tracks(&[1], &[10]), Some(1)), [(10, Some(1))]);
        assert_eq!(take(&mut tracks(&[1], &[10]), None), [(10, Some(1))]);
        let mut plain = tracks(&[500], &[10]);
        assert!(take(&mut plain, Some(500)).is_empty());
        assert!(plain.tracks.is_empty());
    }

    #[test]
    fn an_exec_that_failed_is_not_told() {
        assert_eq!(take(&mut tracks(&[1, 2], &[10]), Some(2)), [(10, Some(2))]);
        assert_eq!(take(&mut tracks(&[1, 2], &[10]), None), [(10, Some(2))]);
        assert!(take(&mut tracks(&[1], &[]), None).is_empty());
    }

    #[test]
    fn execs_that_are_told_at_once_have_a_program_each() {
        assert_eq!(take(&mut tracks(&[1, 2], &[10, 20]), Some(2)), [(10, Some(1)), (20, Some(2))]);
        assert_eq!(take(&mut tracks(&[1, 2], &[10, 20]), None), [(10, Some(1)), (20, Some(2))]);
        // The third is opened, and not run yet.
        let mut tracks = tracks(&[1, 2, 3], &[10, 20]);
        assert_eq!(take(&mut tracks, Some(2)), [(10, Some(1)), (20, Some(2))]);
        tracks.executed(7, 30);
        assert_eq!(take(&mut tracks, None), [(30, Some(3))]);
    }

    #[test]
    fn a_process_that_runs_another_file_than_it_opened_is_looked_at_again() {
        let mut gone_on = tracks(&[1], &[10]);
        assert!(take(&mut gone_on, Some(9)).is_empty());
        assert!(gone_on.is_undecided());
        // It was the next program, whose exec is told a moment later.
        gone_on.opened(7, Wanted(9));
        gone_on.executed(7, 20);
        assert_eq!(take(&mut gone_on, Some(9)), [(10, Some(1)), (20, Some(9))]);
        // It was the only exec, of a file that nobody told us of; the other one failed.
        let mut unknown = tracks(&[1], &[10]);
        assert!(take(&mut unknown, Some(9)).is_empty());
        sleep(UNDECIDED);
        assert_eq!(take(&mut unknown, Some(9)), [(10, Some(9))]);
    }

    #[test]
    fn a_file_that_nobody_told_of_is_what_runs() {
        assert_eq!(take(&mut tracks(&[], &[10]), Some(9)), [(10, Some(9))]);
        assert_eq!(take(&mut tracks(&[], &[10]), None), [(10, None)]);
        assert_eq!(take(&mut tracks(&[1], &[10, 20]), Some(9)), [(10, Some(1)), (20, Some(9))]);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut tracks = ExecTracks::new();
        for pid in 0..PROCESSES_MAX as u32 + 5 {
            for _ in 0..OPENS_MAX + 3 {
                tracks.opened(pid, Wanted(1));
            }
        }
        assert_eq!(tracks.tracks.len(), PROCESSES_MAX);
        assert!(tracks.overflows > 0);
        assert!(tracks.tracks.values().all(|track| track.opens.len() == OPENS_MAX));
    }
}
