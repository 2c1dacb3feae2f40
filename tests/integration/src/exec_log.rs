//! What strace saw of the programs of a command: the truth that a job's document is held against.

use std::{collections::BTreeMap, fs, path::Path};

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process exited with this status.
    Exited(i64),
    /// The signal of this name, without SIG, killed it.
    Killed(String),
}

/// One process that ran at least one program.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its programs in the order of their execs: is the loader behind it?
    pub programs: Vec<Program>,
    /// Its end.
    pub ending: Option<Ending>,
}

/// One program of a process.
#[derive(Clone, Debug)]
pub struct Program {
    /// The path, as it was called.
    pub path: String,
    /// The loader has searched for the program's libraries.
    pub is_dynamic: bool,
}

/// The arguments of strace that write such a log.
pub const STRACE: [&str; 5] = ["-f", "--seccomp-bpf", "-q", "-e", "trace=execve,execveat,openat"];

/// Reads the log of `strace -f -o`: the processes by their numbers.
pub fn read(log: &Path) -> BTreeMap<i64, Process> {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
    let mut processes = BTreeMap::<i64, Process>::new();
    let mut called = BTreeMap::<i64, String>::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let (Ok(pid), rest) = (pid.parse::<i64>(), rest.trim_start()) else { continue };
        if rest.starts_with("execve") {
            called.insert(pid, rest.split('"').nth(1).unwrap_or_default().to_owned());
        }
        let is_exec = rest.starts_with("execve") || rest.starts_with("<... execve");
        if is_exec && rest.ends_with(" = 0") {
            let path = called.remove(&pid).unwrap_or_default();
            processes.entry(pid).or_default().programs.push(Program { path, is_dynamic: false });
        }
        let Some(process) = processes.get_mut(&pid) else { continue };
        if rest.starts_with("openat") && rest.contains("libc.so.6") {
            process.programs.last_mut().unwrap().is_dynamic = true;
        }
        let status = rest.strip_prefix("+++ exited with ").and_then(|rest| rest.split(' ').next());
        let signal = rest.strip_prefix("+++ killed by SIG").and_then(|rest| rest.split(' ').next());
        if let Some(status) = status {
            process.ending = Some(Ending::Exited(status.parse().unwrap()));
        } else if let Some(signal) = signal {
            process.ending = Some(Ending::Killed(signal.to_owned()));
        }
    }
    processes
}
