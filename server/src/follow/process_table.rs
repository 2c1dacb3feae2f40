//! The processes that are followed, and those whose end is about to be told.

use super::{
    ended_programs::EndedPrograms,
    places::Places,
    process_key::ProcessKey,
    start_facts::facts,
    usage::{Look, Usage},
};
use crate::{
    fields::{Fields, Value},
    queue::Credentials,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ogrt_proto::field_numbers::process_info;
use std::{
    collections::HashMap,
    mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

/// The fields of a start that its end repeats.
#[derive(Clone, Copy)]
pub struct ProcessStart<'a> {
    pub event_id: [u8; 16],
    /// The process that sent it.
    pub credentials: Credentials,
    /// The time of the start, as the process says.
    pub start_ns: Option<i64>,
    pub received_ns: i64,
    /// The parent, as the process says.
    pub parent_pid: Option<u32>,
    /// No process above it has told of itself.
    pub is_outermost: bool,
    pub job_id: &'a [u8],
    pub cluster: &'a [u8],
    pub hostname: &'a [u8],
    /// The ProcessInfo, or the part of it.
    pub message: &'a [u8],
}

impl<'a> ProcessStart<'a> {
    /// Reads a ProcessInfo, or a part of one, whose outermost level is well-formed.
    pub fn read(
        message: &'a [u8],
        event_id: [u8; 16],
        credentials: Credentials,
        received_ns: i64,
    ) -> ProcessStart<'a> {
        let mut start = ProcessStart {
            event_id,
            credentials,
            start_ns: None,
            received_ns,
            parent_pid: None,
            is_outermost: false,
            job_id: b"",
            cluster: b"",
            hostname: b"",
            message,
        };
        for field in Fields::of(message).flatten() {
            match field {
                (process_info::START_TIME_NS, Value::Varint(value)) => start.start_ns = Some(value as i64),
                (process_info::PARENT_PID, Value::Varint(value)) => {
                    start.parent_pid = u32::try_from(value).ok().filter(|pid| *pid != 0)
                }
                (process_info::JOB_ID, Value::Bytes(bytes)) => start.job_id = bytes,
                (process_info::CLUSTER, Value::Bytes(bytes)) => start.cluster = bytes,
                (process_info::HOSTNAME, Value::Bytes(bytes)) => start.hostname = bytes,
                _ => {}
            }
        }
        start
    }
}

/// A start whose end is to be told.
pub struct FollowedStart {
    pub event_id: [u8; 16],
    pub credentials: Credentials,
    pub start_ns: Option<i64>,
    pub received_ns: i64,
    pub job_id: Box<[u8]>,
    /// The names of cluster and host, shared by all processes of this machine.
    pub cluster: Arc<[u8]>,
    pub hostname: Arc<[u8]>,
    /// What the end repeats: see [`facts`].
    pub facts: Box<[u8]>,
    /// What the process has used, as far as it was seen.
    pub usage: Usage,
}

impl FollowedStart {
    /// The time of the start, by the process's clock or by that of its receipt.
    pub fn began_ns(&self) -> i64 {
        self.start_ns.unwrap_or(self.received_ns)
    }
}

/// The fate of a start.
#[derive(Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// Its process is followed under this key.
    Followed(ProcessKey),
    /// There is nothing to watch: it is over already, or was known.
    Over,
}

/// An end that is seen, of a process that may still have something to say that we have not
/// received.
pub struct ProcessEnding {
    pub start: FollowedStart,
    /// The time of the end, where it is known.
    pub ended_ns: Option<i64>,
    pub how: EndCause,
}

impl ProcessEnding {
    /// The number of a process that was gone before it could be looked at, and the time of its
    /// start.
    pub fn process_that_is_gone(&self) -> Option<(u32, i64)> {
        let is_gone = matches!(self.how, EndCause::Absence);
        is_gone.then(|| (self.start.credentials.pid, self.start.began_ns()))
    }
}

/// The reason for an end.
pub enum EndCause {
    /// The process has become another program.
    Exec,
    /// The process has ended; the descriptor says how.
    Pidfd(OwnedFd),
    /// The process had gone before it could be looked at.
    Absence,
    /// The process ended, or went on as another program, while no server looked.
    Unseen {
        /// The time until which it was seen alive.
        alive_until_ns: i64,
        /// The process lives, as another program.
        is_exec: bool,
        /// The time by which it was gone, where its job was over then.
        gone_by_ns: Option<i64>,
    },
}

struct FollowedProcess {
    start: FollowedStart,
    pidfd: OwnedFd,
    is_watched: bool,
    ended_ns: Option<i64>,
}

/// See the module.
#[derive(Default)]
pub struct ProcessTable {
    processes: HashMap<ProcessKey, FollowedProcess>,
    /// Each start that has no end yet.
    places: Places,
    /// Starts that were over when their process went on, or could not be found.
    over: Vec<ProcessEnding>,
    /// Processes that are followed since this was last taken.
    fresh: Vec<(ProcessKey, [u8; 16])>,
    /// Programs that are over.
    ended: EndedPrograms,
    cluster: Arc<[u8]>,
    hostname: Arc<[u8]>,
}

impl ProcessTable {
    /// Each start that has no end yet.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// True if the process is followed, as this program or as another one.
    pub fn is_followed(&self, key: ProcessKey) -> bool {
        self.processes.contains_key(&key)
    }

    /// Notes that a process is another program from now on, which is not followed.
    pub fn is_replaced(&mut self, key: ProcessKey, start: &ProcessStart<'_>) {
        let Some(process) = self.processes.get(&key) else { return };
        let is_late = start.start_ns.zip(process.start.start_ns).is_some_and(|(new, old)| new < old);
        let is_another = key.number().is_none() && has_ended(&process.pidfd);
        if is_late || is_another {
            return;
        }
        let Some(FollowedProcess { start: mut before, .. }) = self.processes.remove(&key) else { return };
        if let Some(look) = Look::at_cpu_time(start.credentials.pid, start.received_ns) {
            let began_ns = before.began_ns();
            before.usage.add(look, began_ns);
        }
        let ended_ns = Some(start.start_ns.unwrap_or(start.received_ns));
        self.is_over(key, ProcessEnding { start: before, ended_ns, how: EndCause::Exec });
    }

    /// Follows a process. Of two starts of one process, the earlier ended where the later began, by
    /// exec.
    pub fn begin(&mut self, key: ProcessKey, pidfd: OwnedFd, start: &ProcessStart<'_>) -> StartOutcome {
        if self.is_known(key, start) {
            return StartOutcome::Over;
        }
        let mut later = self.keep(start);
        if !self.processes.contains_key(&key)
            && let Some(next_ns) = start.start_ns.and_then(|began_ns| self.ended.next(key, began_ns))
        {
            // It was another program at its end.
            self.is_over(key, ProcessEnding { start: later, ended_ns: Some(next_ns), how: EndCause::Exec });
            return StartOutcome::Over;
        }
        self.fresh.push((key, start.event_id));
        let Some(process) = self.processes.get_mut(&key) else {
            let process = FollowedProcess { start: later, pidfd, is_watched: false, ended_ns: None };
            self.processes.insert(key, process);
            return StartOutcome::Followed(key);
        };
        if key.number().is_none() && has_ended(&process.pidfd) {
            // Another process by now.
            let fresh = FollowedProcess { start: later, pidfd, is_watched: false, ended_ns: None };
            let old = mem::replace(process, fresh);
            let ended_ns = Some(old.ended_ns.unwrap_or(start.received_ns));
            self.places.is_over(&old.start.event_id);
            self.over.push(ProcessEnding { start: old.start, ended_ns, how: EndCause::Pidfd(old.pidfd) });
            return StartOutcome::Followed(key);
        }
        let is_late = later.start_ns.zip(process.start.start_ns).is_some_and(|(new, old)| new < old);
        if !is_late {
            // What there was at this moment is the earlier program's.
            let pid = start.credentials.pid;
            if let Some(look) = Look::at_cpu_time(pid, start.received_ns) {
                later.usage = Usage::of_next_program(&look);
                let began_ns = process.start.began_ns();
                process.start.usage.add(look, began_ns);
            }
            mem::swap(&mut process.start, &mut later);
        }
        let ended_ns = Some(process.start.start_ns.unwrap_or(start.received_ns));
        self.is_over(key, ProcessEnding { start: later, ended_ns, how: EndCause::Exec });
        StartOutcome::Followed(key)
    }

    /// Notes the end of a program whose process went on.
    fn is_over(&mut self, key: ProcessKey, end: ProcessEnding) {
        self.places.is_over(&end.start.event_id);
        if let Some(began_ns) = end.start.start_ns {
            self.ended.add(key, began_ns);
        }
        self.over.push(end);
    }

    /// Notes a start whose process was gone before we could look at it.
    pub fn is_gone(&mut self, start: &ProcessStart<'_>) -> StartOutcome {
        if !self.places.is_taken(&start.event_id) {
            let ended_ns = Some(start.received_ns);
            let start = self.keep(start);
            self.places.is_over(&start.event_id);
            self.over.push(ProcessEnding { start, ended_ns, how: EndCause::Absence });
        }
        StartOutcome::Over
    }

    /// Notes a start whose end nobody saw; its time may be known all the same.
    pub fn is_lost(&mut self, start: &ProcessStart<'_>, ended_ns: Option<i64>, how: EndCause) {
        let start = self.keep(start);
        self.places.is_lost(&start.event_id);
        self.over.push(ProcessEnding { start, ended_ns, how });
    }

    /// The starts whose processes have ended, with the time, and whose end is not told.
    pub fn ended_starts(&self) -> Vec<([u8; 16], i64)> {
        let ended = self.processes.values();
        ended.filter_map(|process| Some((process.start.event_id, process.ended_ns?))).collect()
    }

    /// The numbers of a job's processes that have not ended; of any cluster where none is given.
    pub fn living_of_job(&self, job_id: &[u8], cluster: Option<&[u8]>) -> Vec<u32> {
        let is_of_job = |process: &&FollowedProcess| {
            let start = &process.start;
            *start.job_id == *job_id && cluster.is_none_or(|cluster| *start.cluster == *cluster)
        };
        let living = self.processes.values().filter(is_of_job);
        let living = living.filter(|process| process.ended_ns.is_none() && !has_ended(&process.pidfd));
        living.map(|process| process.start.credentials.pid).collect()
    }

    /// True if this start came before. A further part of it may tell more.
    fn is_known(&mut self, key: ProcessKey, start: &ProcessStart<'_>) -> bool {
        if !self.places.is_taken(&start.event_id) {
            return false;
        }
        if let Some(process) = self.processes.get_mut(&key)
            && process.start.event_id == start.event_id
        {
            let known = &mut process.start;
            known.start_ns = known.start_ns.or(start.start_ns);
            if known.job_id.is_empty() {
                known.job_id = start.job_id.into();
            }
            if known.cluster.is_empty() {
                known.cluster = start.cluster.into();
            }
            if known.hostname.is_empty() {
                known.hostname = start.hostname.into();
            }
            if known.facts.is_empty() {
                known.facts = facts(start.message, start.is_outermost);
            }
        }
        true
    }

    fn keep(&mut self, start: &ProcessStart<'_>) -> FollowedStart {
        if *self.hostname != *start.hostname {
            self.hostname = start.hostname.into();
        }
        if *self.cluster != *start.cluster {
            self.cluster = start.cluster.into();
        }
        self.places.take(start.event_id, start.credentials);
        FollowedStart {
            event_id: start.event_id,
            credentials: start.credentials,
            start_ns: start.start_ns,
            received_ns: start.received_ns,
            job_id: start.job_id.into(),
            cluster: self.cluster.clone(),
            hostname: self.hostname.clone(),
            facts: facts(start.message, start.is_outermost),
            usage: Usage::default(),
        }
    }

    /// The descriptor of a process that nobody watches yet. The caller does from now on.
    pub fn begin_to_watch(&mut self, key: ProcessKey) -> Option<BorrowedFd<'_>> {
        let process = self.processes.get_mut(&key).filter(|process| !process.is_watched)?;
        process.is_watched = true;
        Some(process.pidfd.as_fd())
    }

    /// Follows a process no more, without an end.
    pub fn forget(&mut self, key: ProcessKey) {
        if let Some(process) = self.processes.remove(&key) {
            self.places.leave(&process.start.event_id);
        }
    }

    /// Notes that a process has ended; the first time that this is said counts.
    pub fn ended(&mut self, key: ProcessKey, now_ns: i64) {
        // An event by pid may be of the process that had the pid before.
        if let Some(process) = self.processes.get_mut(&key)
            && (key.number().is_some() || has_ended(&process.pidfd))
        {
            process.ended_ns.get_or_insert(now_ns);
        }
    }

    /// Takes a process that has ended. An event id stays known until its end is told.
    pub fn take(&mut self, key: ProcessKey) -> Option<ProcessEnding> {
        let ended_ns = Some(self.processes.get(&key)?.ended_ns?);
        let FollowedProcess { start, pidfd, .. } = self.processes.remove(&key)?;
        self.places.is_over(&start.event_id);
        if let Some(began_ns) = start.start_ns {
            self.ended.add(key, began_ns);
        }
        Some(ProcessEnding { start, ended_ns, how: EndCause::Pidfd(pidfd) })
    }

    /// Processes that have ended and that their parents have not asked how.
    pub fn ended_keys(&self) -> Vec<ProcessKey> {
        let ended = self.processes.iter().filter(|(_, process)| process.ended_ns.is_some());
        ended.map(|(key, _)| *key).collect()
    }

    /// Takes the processes that are followed since this was last asked, with their users, and the
    /// times of their starts.
    pub fn take_fresh(&mut self) -> Vec<(u32, (ProcessKey, [u8; 16]), i64)> {
        let fresh = mem::take(&mut self.fresh);
        let followed = |(key, event_id)| {
            let start = self.living(key, &event_id)?;
            Some((start.credentials.uid, (key, event_id), start.began_ns()))
        };
        fresh.into_iter().filter_map(followed).collect()
    }

    /// The start of the program that a process is now, and its time.
    pub fn current(&self, key: ProcessKey) -> Option<([u8; 16], i64)> {
        let process = self.processes.get(&key)?;
        Some((process.start.event_id, process.start.began_ns()))
    }

    /// The number of a process, and the time of the start of the program that it is now.
    pub fn process(&self, key: ProcessKey) -> Option<(u32, i64)> {
        let start = &self.processes.get(&key)?.start;
        Some((start.credentials.pid, start.began_ns()))
    }

    /// A further descriptor of a process.
    pub fn pidfd(&self, key: ProcessKey) -> Option<OwnedFd> {
        self.processes.get(&key)?.pidfd.try_clone().ok()
    }

    /// The start of a process, if it still is that program's and has not ended.
    pub fn living(&self, key: ProcessKey, event_id: &[u8; 16]) -> Option<&FollowedStart> {
        let process = self.processes.get(&key)?;
        (process.ended_ns.is_none() && process.start.event_id == *event_id).then_some(&process.start)
    }

    /// Takes up a look at a process, if it was that program all the time.
    pub fn add_look(&mut self, key: ProcessKey, event_id: &[u8; 16], look: Look) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        // Its number is nobody else's until it is reaped.
        if process.start.event_id == *event_id && !has_ended(&process.pidfd) {
            let began_ns = process.start.began_ns();
            process.start.usage.add(look, began_ns);
        }
    }

    /// Takes up what a process has used that has ended, if it is not reaped.
    pub fn add_last_look(&mut self, key: ProcessKey) {
        let Some(process) = self.processes.get_mut(&key) else { return };
        let Some(ended_ns) = process.ended_ns else { return };
        if let Some(look) = Look::at_cpu_time(process.start.credentials.pid, ended_ns)
            && !is_reaped(&process.pidfd)
        {
            let began_ns = process.start.began_ns();
            process.start.usage.add(look, began_ns);
        }
    }

    /// Takes the starts that are over.
    pub fn take_over(&mut self) -> Vec<ProcessEnding> {
        mem::take(&mut self.over)
    }

    /// Notes that these ends are told.
    pub fn told(&mut self, ends: &[ProcessEnding]) {
        for end in ends {
            self.places.leave(&end.start.event_id);
        }
    }
}

/// True once the process has ended, whether its parent has asked how or not.
pub fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut ends = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut ends, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// True once the parent has asked how the process ended.
fn is_reaped(pidfd: &OwnedFd) -> bool {
    let mut ends = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let is_known = poll(&mut ends, PollTimeout::ZERO).is_ok();
    !is_known || ends[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}
