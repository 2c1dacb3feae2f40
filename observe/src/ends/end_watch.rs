//! The flow of the ends.

use super::used_before::CpuTime;
use crate::{
    clock::now_ns,
    complaints::Complaints,
    exec_events::ExecEvent,
    netlink::Told,
    oom_log::OomLog,
    selection::UserRanges,
    server_link::ServerLink,
    task_statistics::{ExitSocket, ProcessExit},
};
use ogrt_proto::{EndAccount, MessageType, Observation, encode_frame};
use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// The signal in the lowest bits of a status.
const SIGKILL: u32 = 9;

/// Messages that are read at once, and exits that one message to the server has.
const AT_ONCE: usize = 4096;
const IN_MESSAGE: usize = 256;

/// Processes that are remembered, at most.
const PROCESSES_MAX: usize = 131_072;

/// Time between the making of a process and its first exec, up to which what it used is that
/// program's: its parent has only prepared it.
const PREPARING_NS: i64 = 100_000_000;

/// Time between an exec and the look at what was used before, up to which the look counts.
const LOOK_WITHIN_NS: i64 = 5_000_000;

/// Time between an exit and its reading, up to which the number names the process.
const READ_WITHIN_NS: i64 = 2_000_000_000;

/// Time for which an exit by SIGKILL waits for the kernel's word that memory was short: it kills
/// first, and logs it then.
const OOM_WITHIN_NS: i64 = 5_000_000;

/// Processes that are to be killed because memory was short, and are not gone, at most.
const OOM_VICTIMS_MAX: usize = 4096;

/// The program that a process is since an exec.
struct CurrentProgram {
    exec_ns: i64,
    /// It is the first program that we have seen the process become.
    is_first: bool,
    /// What the process had used before, where that was seen in time.
    before: Option<CpuTime>,
}

/// See the module.
pub struct EndWatch {
    socket: ExitSocket,
    users: UserRanges,
    /// `None` where the kernel's log cannot be read.
    oom_log: Option<OomLog>,
    /// Processes that the kernel has killed because memory was short, and whose exit is not read.
    oom_victims: HashSet<u32>,
    programs: HashMap<u32, CurrentProgram>,
    /// CPU time of workers that have ended, by the number of the process that forked them.
    worker_us: HashMap<u32, u64>,
    /// Exits that are read, and when; they wait until every exec before them is read.
    exits: Vec<(i64, ProcessExit)>,
    /// The last time at which the kernel had nothing more to tell.
    emptied_ns: i64,
    /// Workers may be missing of programs that began before this time.
    overflow_ns: i64,
    complaints: Complaints,
}

impl EndWatch {
    /// Begins to listen.
    pub fn open(users: UserRanges) -> io::Result<Self> {
        Ok(EndWatch {
            socket: ExitSocket::listen()?,
            users,
            oom_log: OomLog::open().ok(),
            oom_victims: HashSet::new(),
            programs: HashMap::new(),
            worker_us: HashMap::new(),
            exits: Vec::new(),
            emptied_ns: now_ns(),
            overflow_ns: i64::MIN,
            complaints: Complaints::default(),
        })
    }

    /// The descriptor to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Says to the server that ends will be told: it waits a moment for each.
    pub fn announce(&self, server: &mut ServerLink) {
        push(server, Vec::new(), 0);
    }

    /// Takes what the kernel has told. Execs are to be read afterwards.
    pub fn read(&mut self, server: &mut ServerLink) -> io::Result<()> {
        let mut lost = 0;
        for _ in 0..AT_ONCE {
            match self.socket.next()? {
                Told::Event(exit) if self.exits.len() < PROCESSES_MAX => {
                    let now_ns = now_ns();
                    match now_ns - self.emptied_ns > READ_WITHIN_NS {
                        true => lost += 1,
                        false => self.exits.push((now_ns, exit)),
                    }
                }
                Told::Event(_) => lost += 1,
                Told::Other => {}
                Told::Overflow => {
                    lost += 1;
                    self.lost_some();
                }
                Told::Nothing => {
                    self.emptied_ns = now_ns();
                    break;
                }
            }
        }
        if let Some(log) = &self.oom_log {
            if self.oom_victims.len() > OOM_VICTIMS_MAX {
                self.oom_victims.clear();
            }
            self.oom_victims.extend(log.victims());
        }
        if lost > 0 {
            push(server, Vec::new(), lost);
            self.complaints.say(
                "ends of processes came faster than they were read: CPU time and memory of some are by samples. \
                 A larger --cpu-percent helps",
            );
        }
        Ok(())
    }

    /// Ends were lost: workers may be missing, and numbers may be others' by now.
    fn lost_some(&mut self) {
        self.worker_us.clear();
        self.overflow_ns = now_ns();
    }

    /// Execs were lost: nobody knows which program a process is.
    pub fn lost_execs(&mut self) {
        self.programs.clear();
    }

    /// Takes which processes have become another program. `is_all`: every exec up to now is known.
    pub fn run(&mut self, execs: &[ExecEvent], is_all: bool, server: &mut ServerLink) {
        for exec in execs {
            self.executed(*exec);
        }
        if !is_all {
            return;
        }
        let mut accounts = Vec::new();
        for (seen_ns, exit) in std::mem::take(&mut self.exits) {
            if self.may_be_oom(&exit) && now_ns() - seen_ns < OOM_WITHIN_NS {
                self.exits.push((seen_ns, exit));
                continue;
            }
            accounts.extend(self.account(seen_ns, &exit).filter(|_| self.users.has(exit.uid)));
            if accounts.len() == IN_MESSAGE {
                push(server, std::mem::take(&mut accounts), 0);
            }
        }
        if !accounts.is_empty() {
            push(server, accounts, 0);
        }
    }

    /// True if something is to be looked at again in a moment.
    pub fn is_undecided(&self) -> bool {
        !self.exits.is_empty()
    }

    /// True of a process that was killed, where the kernel may not have logged yet why.
    fn may_be_oom(&self, exit: &ProcessExit) -> bool {
        let is_killed = exit.wait_status.is_some_and(|status| status & 0x7F == SIGKILL);
        is_killed && self.oom_log.is_some() && !self.oom_victims.contains(&exit.pid)
    }

    fn executed(&mut self, exec: ExecEvent) {
        if self.programs.len() >= PROCESSES_MAX {
            // Most of them are gone, and their exits were lost.
            self.programs.clear();
        }
        let is_known = self.programs.contains_key(&exec.pid);
        // What workers of the program before it used is not this one's.
        self.worker_us.remove(&exec.pid);
        let before = CpuTime::of(exec.pid).filter(|_| now_ns() - exec.time_ns <= LOOK_WITHIN_NS);
        let program = CurrentProgram { exec_ns: exec.time_ns, is_first: !is_known, before };
        self.programs.insert(exec.pid, program);
    }

    /// What the end of a process tells, where we know since when it was that program.
    fn account(&mut self, seen_ns: i64, exit: &ProcessExit) -> Option<EndAccount> {
        let worker_us = self.worker_us.remove(&exit.pid).unwrap_or(0);
        let program = self.programs.remove(&exit.pid);
        let is_oom_victim = self.oom_victims.remove(&exit.pid)
            && exit.wait_status.is_none_or(|status| status & 0x7F == SIGKILL);
        if exit.is_fork {
            let used_us = worker_us + exit.user_us + exit.system_us;
            // Number 1 takes over the children of others.
            if used_us > 0 && exit.parent_pid > 1 && self.worker_us.len() < PROCESSES_MAX {
                *self.worker_us.entry(exit.parent_pid).or_default() += used_us;
            }
            return None;
        }
        let program = program?;
        let made_ns = seen_ns - exit.life_ns;
        let was_prepared = program.is_first && program.exec_ns - made_ns <= PREPARING_NS;
        let before = if was_prepared { Some(CpuTime::default()) } else { program.before };
        let has_workers = program.exec_ns > self.overflow_ns;
        Some(EndAccount {
            pid: Some(exit.pid.cast_signed()),
            exec_ns: Some(program.exec_ns),
            seen_ns: Some(seen_ns),
            user_time_us: before.map(|before| exit.user_us.saturating_sub(before.user_us)),
            system_time_us: before.map(|before| exit.system_us.saturating_sub(before.system_us)),
            max_rss_kib: Some(exit.peak_kib),
            worker_time_us: has_workers.then_some(worker_us),
            wait_status: exit.wait_status,
            oom_killed: is_oom_victim.then_some(true),
        })
    }
}

fn push(server: &mut ServerLink, end_accounts: Vec<EndAccount>, ends_lost: u64) {
    let observation = Observation {
        end_accounts,
        tells_ends: Some(true),
        ends_lost: Some(ends_lost).filter(|lost| *lost > 0),
        ..Observation::default()
    };
    server.push(encode_frame(MessageType::Observation, &observation).to_vec(), None);
}
