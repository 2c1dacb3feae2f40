//! What a chore must not leave behind: the processes it started and its scratch folders.
//!
//! Each is held by a guard that ends it when dropped, on success as on failure. An interrupt drops
//! nothing, so guards also stand in one list, which the signal's thread works off before it exits
//! (`xtask/tests/interrupted.rs`). Every child leads a process group of its own: ending that group
//! ends what the child started, and nothing else.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpid};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq)]
enum Leftover {
    Group(Pid),
    Folder(PathBuf),
}

static LEFTOVERS: Mutex<Vec<Leftover>> = Mutex::new(Vec::new());

/// Makes SIGINT, SIGTERM and SIGHUP clean up and then end this process with the status a shell
/// expects.
pub fn on_interrupt() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // The youngest first: processes end before the folders that they work in. The list
            // stays locked, so that the main thread, woken by its dying child, starts nothing.
            let leftovers = leftovers();
            leftovers.iter().rev().for_each(end);
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// A child process and all that it starts. They are ended when this is dropped.
#[derive(Debug)]
pub struct Group {
    child: Child,
    leftover: Leftover,
}

impl Group {
    /// Starts `command` as the leader of a process group of its own.
    pub fn spawn(command: &mut Command) -> Result<Group> {
        // The list is locked around the start: an interrupt comes before it, or finds the group in
        // the list.
        let mut leftovers = leftovers();
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let leftover = Leftover::Group(Pid::from_child(&child));
        leftovers.push(leftover.clone());
        Ok(Group { child, leftover })
    }

    /// The process that leads the group.
    pub fn leader(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends the group now, as dropping it does.
    pub fn end(self) {}
}

impl Drop for Group {
    fn drop(&mut self) {
        end(&self.leftover);
        let _ = self.child.wait();
        forget(&self.leftover);
    }
}

/// A folder for one chore's files. It is deleted with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a new, empty folder in the system's directory for temporary files.
    pub fn new() -> Result<Scratch> {
        let mut leftovers = leftovers();
        let folder =
            tempfile::Builder::new().prefix("ogrt-").tempdir().context("cannot make a temporary folder")?;
        let path = folder.keep().canonicalize().context("cannot find the temporary folder")?;
        leftovers.push(Leftover::Folder(path.clone()));
        Ok(Scratch { path })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it, which is made if it does not exist.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let leftover = Leftover::Folder(self.path.clone());
        end(&leftover);
        forget(&leftover);
    }
}

fn end(leftover: &Leftover) {
    match leftover {
        Leftover::Group(group) => {
            let _ = kill_process_group(*group, Signal::TERM);
            let deadline = Instant::now() + GRACE;
            while is_alive(*group) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            let _ = kill_process_group(*group, Signal::KILL);
        }
        Leftover::Folder(path) => {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// The leader is our child. It is reaped here when it is dead, or its group would seem alive for
/// ever.
fn is_alive(group: Pid) -> bool {
    let _ = waitpid(Some(group), WaitOptions::NOHANG);
    test_kill_process_group(group).is_ok()
}

fn forget(leftover: &Leftover) {
    leftovers().retain(|other| other != leftover);
}

fn leftovers() -> MutexGuard<'static, Vec<Leftover>> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn a_dropped_group_takes_its_grandchildren_along() {
        let scratch = Scratch::new().unwrap();
        let pid_file = scratch.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
        let group = Group::spawn(Command::new("sh").args(["-c", &script]).stdin(Stdio::null())).unwrap();
        let pid = loop {
            match fs::read_to_string(&pid_file).unwrap_or_default().trim().parse::<u32>() {
                Ok(pid) => break pid,
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        drop(group);
        // Gone, or a zombie that waits for init: in neither case does it have an executable.
        assert!(fs::read_link(format!("/proc/{pid}/exe")).is_err());
    }

    #[test]
    fn a_dropped_scratch_folder_is_gone() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.folder("a").unwrap();
        fs::write(path.join("file"), "text").unwrap();
        let path = scratch.path().to_path_buf();
        drop(scratch);
        assert!(!path.exists());
    }
}
