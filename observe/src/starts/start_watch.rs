//! The flow of the starts: what the kernel tells, and what is told to the server.

use super::{
    exec_opens::{ExecOpen, ExecWatch},
    exec_tracks::{Exec, ExecTracks, Opened, Program, Running},
    start_message::{Process, ProgramInput, Start},
};
use crate::{
    complaints::Complaints,
    exec_events::ExecEvent,
    file_facts::{FileCache, FileFacts, FileId, path_of},
    process_directory::ProcessDirectory,
    program_file::FileKind,
    selection::Selection,
    server_link::ServerLink,
};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, statat};
use std::{
    collections::HashSet,
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    rc::Rc,
};

/// Readings of the kernel's queue of opened files before something else is done.
const READINGS_MAX: usize = 64;

/// Filesystems of which it is remembered that they are watched, or cannot be.
const FILESYSTEMS_MAX: usize = 4096;

/// A program that a process has opened to run it.
struct OpenedProgram {
    id: FileId,
    /// What is known of a program whose start is ours to tell.
    wanted: Option<WantedProgram>,
}

struct WantedProgram {
    facts: Rc<FileFacts>,
    path: Vec<u8>,
    process: Option<Process>,
    pidfd: Option<OwnedFd>,
}

impl Opened for OpenedProgram {
    fn file(&self) -> FileId {
        self.id
    }

    fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }
}

/// See the module.
pub struct StartWatch {
    opens: ExecWatch,
    tracks: ExecTracks<OpenedProgram>,
    filesystems: HashSet<u64>,
    selection: Selection,
    job_id_variables: String,
    complaints: Complaints,
}

impl StartWatch {
    /// Begins to watch every filesystem that is mounted. Those that come later are found at their
    /// first exec.
    pub fn open(selection: Selection, job_id_variables: String) -> Result<Self> {
        let opens = ExecWatch::open().context("cannot hear of opened programs (needs CAP_SYS_ADMIN)")?;
        let mut watch = StartWatch {
            opens,
            tracks: ExecTracks::new(),
            filesystems: HashSet::new(),
            selection,
            job_id_variables,
            complaints: Complaints::default(),
        };
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
        let marked =
            mounts.lines().filter_map(mount_point).filter(|path| watch.watch_filesystem(path)).count();
        anyhow::ensure!(marked > 0, "the kernel lets us watch no filesystem");
        Ok(watch)
    }

    /// The descriptor to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.opens.as_fd()
    }

    /// True if something is to be looked at again in a moment.
    pub fn is_undecided(&self) -> bool {
        self.tracks.is_undecided()
    }

    /// Takes what was opened, and tells the server. `execs` were read just before: what was opened
    /// for them is then in our queue.
    pub fn run(&mut self, execs: &[ExecEvent], files: &mut FileCache, server: &mut ServerLink) {
        for _ in 0..READINGS_MAX {
            match self.opens.read() {
                Ok(read) => {
                    self.count_overflows(read.overflows, server);
                    if read.opens.is_empty() && read.overflows == 0 {
                        break;
                    }
                    read.opens.into_iter().for_each(|open| self.opened(open, files));
                }
                // The kernel could not open one file for us: a filesystem of another machine may
                // have refused it.
                Err(problem) => {
                    self.complaints.say(&format!("a program that is run cannot be read: {problem}"))
                }
            }
        }
        for exec in execs {
            self.tracks.executed(exec.pid, exec.time_ns);
        }
        for (pid, exec) in self.tracks.take(running) {
            self.executed(pid, exec, files, server);
        }
    }

    /// Does what is due from time to time.
    pub fn tidy(&mut self, server: &mut ServerLink) {
        self.tracks.forget_failed();
        server.add_lost(std::mem::take(&mut self.tracks.overflows));
    }

    fn count_overflows(&mut self, overflows: u64, server: &mut ServerLink) {
        if overflows > 0 {
            server.add_lost(overflows);
            self.complaints.say(&format!(
                "the kernel's queue of opened programs was full {overflows} times: starts of static programs are missing. \
                 A larger --cpu-percent helps, or more fs.fanotify.max_queued_events"
            ));
        }
    }

    /// Watches a filesystem by a path in it, once; true if it is watched now.
    fn watch_filesystem(&mut self, path: &Path) -> bool {
        let Ok(status) = statat(CWD, path, AtFlags::empty()) else { return false };
        if self.filesystems.len() >= FILESYSTEMS_MAX {
            self.filesystems.clear();
        }
        self.filesystems.insert(status.st_dev) && self.opens.watch(path).is_ok()
    }

    /// A file is about to be run.
    fn opened(&mut self, ExecOpen { file, pid, pidfd, identity }: ExecOpen, files: &mut FileCache) {
        let Some((id, facts)) = files.facts(&file) else { return };
        match facts.content.kind {
            FileKind::Other => return,
            FileKind::Library => return self.opens.leave_out(&file),
            FileKind::Static | FileKind::Dynamic => {}
        }
        let wanted = facts.is_told_from_outside().then(|| {
            // What it is, it is before the exec as well; many are gone soon after it.
            let process = Process::look(pid, pidfd.as_ref(), identity, &self.job_id_variables);
            WantedProgram { path: path_of(&file), facts, process, pidfd }
        });
        self.tracks.opened(pid, OpenedProgram { id, wanted });
    }

    /// An exec has happened.
    fn executed(
        &mut self,
        pid: u32,
        exec: Exec<OpenedProgram>,
        files: &mut FileCache,
        server: &mut ServerLink,
    ) {
        match exec.program {
            Program::Opened(OpenedProgram { id, wanted: Some(wanted) }) => {
                self.started(pid, id, wanted, exec.time_ns, server)
            }
            Program::Opened(OpenedProgram { wanted: None, .. }) => {}
            Program::Present => self.executed_unwatched(pid, exec.time_ns, files, server),
            // Most are programs that libogrt.so sees, on a filesystem that was not watched yet.
            Program::Lost => self.complaints.say("a program ended before anybody could look what it was"),
        }
    }

    /// An exec of a file that fanotify did not tell of: one in memory, or the first on a filesystem
    /// that was mounted since.
    fn executed_unwatched(&mut self, pid: u32, time_ns: i64, files: &mut FileCache, server: &mut ServerLink) {
        let Some(directory) = ProcessDirectory::open(pid, None) else { return };
        let Some(file) = directory.open_file("exe") else { return };
        let Some((id, facts)) = files.facts(&file) else { return };
        // By the descriptor, which names the filesystem wherever it is mounted.
        self.watch_filesystem(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())));
        if facts.is_told_from_outside() {
            let pidfd = pidfd_of(pid);
            let process = Process::look(pid, pidfd.as_ref(), None, &self.job_id_variables);
            let wanted = WantedProgram { path: path_of(&file), facts, process, pidfd };
            self.started(pid, id, wanted, time_ns, server);
        }
    }

    /// A program runs whose start is ours to tell.
    fn started(
        &mut self,
        pid: u32,
        id: FileId,
        wanted: WantedProgram,
        time_ns: i64,
        server: &mut ServerLink,
    ) {
        let WantedProgram { facts, path, process, pidfd } = wanted;
        let Some(process) =
            process.or_else(|| Process::look(pid, pidfd.as_ref(), None, &self.job_id_variables))
        else {
            server.add_lost(1);
            return self.complaints.say("a static program ended before anybody could look whose it was");
        };
        let (uid, gid) = (process.identity.uid, process.identity.gid);
        if !self.selection.users.has(uid) {
            return;
        }
        let is_running = || process.runs((id.0, id.1));
        if facts.content.kind == FileKind::Dynamic {
            let directory = process.directory.as_ref();
            let told = directory.and_then(|directory| directory.is_secure(facts.content.is_64_bit));
            let told = told.filter(|_| is_running());
            if !told.unwrap_or_else(|| facts.gives_more(uid, gid)) {
                // libogrt.so is loaded into it.
                return;
            }
        }
        let input = ProgramInput::read(&process, &self.job_id_variables, is_running);
        let in_group = process.job_of_group.as_ref().map(|_| true);
        let job = input.job.as_ref().or(process.job_before.as_ref());
        let in_job = in_group.or(job.map(|job| !job.job_id.is_empty()));
        if !self.selection.has(uid, in_job.unwrap_or(false)) {
            if in_job.is_none() {
                server.add_lost(1);
                self.complaints.say("a static program ended before anybody could look at its job");
            }
            return;
        }
        let start = Start { process: &process, path, file: &facts.content, input, time_ns };
        server.push(start.frame(), pidfd);
    }
}

/// What a process runs now.
fn running(pid: u32) -> Running {
    match statat(CWD, format!("/proc/{pid}/exe"), AtFlags::empty()) {
        Ok(file) => Running::File(FileId(file.st_dev, file.st_ino)),
        Err(_) => Running::Nothing,
    }
}

fn pidfd_of(pid: u32) -> Option<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()
}

/// Kinds of filesystems that are found at their first exec, and not looked at before: their server
/// may be away, or a look would mount something.
const REMOTE: [&str; 10] = ["9p", "afs", "autofs", "beegfs", "ceph", "cifs", "fuse", "lustre", "nfs", "smb"];

/// The mount point in a line of mountinfo, unless nothing can be run there, or a look might hang.
fn mount_point(line: &str) -> Option<&Path> {
    let fields: Vec<&str> = line.split(' ').collect();
    let separator = fields.iter().position(|field| *field == "-")?;
    let (path, options, kind) = (fields.get(4)?, fields.get(5)?, fields.get(separator + 1)?);
    let cannot_run = options.split(',').any(|option| option == "noexec");
    let may_hang = REMOTE.iter().any(|remote| kind.starts_with(remote));
    // Spaces and their like are written as octal numbers.
    (!may_hang && !cannot_run && !path.contains('\\')).then(|| Path::new(*path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_those_where_something_can_be_run() {
        let line =
            |options: &str, kind: &str| format!("36 35 98:0 / /mnt {options} master:1 - {kind} /dev/x rw");
        assert_eq!(mount_point(&line("rw,relatime", "ext4")), Some(Path::new("/mnt")));
        assert_eq!(mount_point(&line("rw,noexec", "ext4")), None);
        for kind in ["autofs", "nfs4", "fuse.sshfs"] {
            assert_eq!(mount_point(&line("rw", kind)), None);
        }
        assert_eq!(mount_point("36 35"), None);
    }
}
