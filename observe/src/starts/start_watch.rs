//! The flow of the starts: what the kernel tells, and what is told to the server.

use super::{
    exec_events::ExecEventSocket,
    exec_opens::{ExecOpen, ExecWatch},
    exec_tracks::{Exec, ExecTracks, FileId, Opened, Program, Running},
    program_file::{FileKind, ProgramFile},
    start_message::{Process, ProgramInput, Start},
};
use crate::{
    complaints::Complaints, process_directory::ProcessDirectory, selection::Selection,
    server_link::ServerLink,
};
use anyhow::{Context, Result};
use rustix::{
    fs::{AtFlags, CWD, fgetxattr, fstat, statat},
    io::Errno,
};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    rc::Rc,
};

/// Readings of the kernel's queue of opened files before something else is done.
const READINGS_MAX: usize = 64;

/// Files whose content is remembered: about 2 MB.
const FILES_MAX: usize = 4096;

/// Filesystems of which it is remembered that they are watched, or cannot be.
const FILESYSTEMS_MAX: usize = 4096;

/// The bits of a mode by which a program gets the rights of its file's owner, or group.
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2010;

/// A file that has not changed since.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FileVersion {
    id: FileId,
    size: i64,
    changed: (i64, i64),
}

/// What is known of a file that is run.
struct FileFacts {
    content: ProgramFile,
    /// The mode's bits, the owner and the group.
    mode: u32,
    owner: (u32, u32),
    /// The file gives rights of its own (file capabilities).
    has_capabilities: bool,
}

impl FileFacts {
    /// The program may get more rights than its caller has. Then libogrt.so may be left out.
    fn may_be_secure(&self) -> bool {
        self.has_capabilities || self.mode & SET_USER != 0 || self.mode & SET_GROUP == SET_GROUP
    }

    /// True if a start of it is ours to tell.
    fn is_wanted(&self) -> bool {
        match self.content.kind {
            FileKind::Static => true,
            FileKind::Dynamic => self.may_be_secure(),
            FileKind::Library | FileKind::Other => false,
        }
    }

    /// True if it gives this user more rights, where the kernel no longer tells.
    fn gives_more(&self, uid: u32, gid: u32) -> bool {
        let (owner, group) = self.owner;
        self.mode & SET_USER != 0 && owner != uid
            || self.mode & SET_GROUP == SET_GROUP && group != gid
            || self.has_capabilities && uid != 0
    }
}

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
    execs: ExecEventSocket,
    tracks: ExecTracks<OpenedProgram>,
    files: HashMap<FileVersion, Rc<FileFacts>>,
    filesystems: HashSet<u64>,
    selection: Selection,
    job_id_variables: String,
    complaints: Complaints,
}

impl StartWatch {
    /// Begins to watch every filesystem that is mounted. Those that come later are found at their
    /// first exec.
    pub fn open(selection: Selection, job_id_variables: String) -> Result<Self> {
        let execs = ExecEventSocket::listen().context("cannot hear of execs (needs CAP_NET_ADMIN)")?;
        let opens = ExecWatch::open().context("cannot hear of opened programs (needs CAP_SYS_ADMIN)")?;
        let mut watch = StartWatch {
            opens,
            execs,
            tracks: ExecTracks::new(),
            files: HashMap::new(),
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

    /// The descriptors to wait on.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.opens.as_fd(), self.execs.as_fd()]
    }

    /// True if something is to be looked at again in a moment.
    pub fn is_undecided(&self) -> bool {
        self.tracks.is_undecided()
    }

    /// Takes what the kernel has told, and tells the server.
    pub fn run(&mut self, server: &mut ServerLink) -> Result<()> {
        // First the execs: what was opened for them is then in the other queue.
        let told = self.execs.read().context("the kernel's process connector")?;
        self.count_overflows(told.overflows, "execs", server);
        for _ in 0..READINGS_MAX {
            match self.opens.read() {
                Ok(read) => {
                    self.count_overflows(read.overflows, "opened programs", server);
                    if read.opens.is_empty() && read.overflows == 0 {
                        break;
                    }
                    read.opens.into_iter().for_each(|open| self.opened(open));
                }
                // The kernel could not open one file for us: a filesystem of another machine may
                // have refused it.
                Err(problem) => {
                    self.complaints.say(&format!("a program that is run cannot be read: {problem}"))
                }
            }
        }
        for exec in told.execs {
            self.tracks.executed(exec.pid, exec.time_ns);
        }
        let execs = self.tracks.take(running);
        for (pid, exec) in execs {
            self.executed(pid, exec, server);
        }
        Ok(())
    }

    /// Does what is due from time to time.
    pub fn tidy(&mut self, server: &mut ServerLink) {
        self.tracks.forget_failed();
        server.add_lost(std::mem::take(&mut self.tracks.overflows));
    }

    fn count_overflows(&mut self, overflows: u64, of: &str, server: &mut ServerLink) {
        if overflows > 0 {
            server.add_lost(overflows);
            self.complaints.say(&format!(
                "the kernel's queue of {of} was full {overflows} times: starts of static programs are missing. \
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
    fn opened(&mut self, ExecOpen { file, pid, pidfd, identity }: ExecOpen) {
        let Some((id, facts)) = self.facts(&file) else { return };
        match facts.content.kind {
            FileKind::Other => return,
            FileKind::Library => return self.opens.leave_out(&file),
            FileKind::Static | FileKind::Dynamic => {}
        }
        let wanted = facts.is_wanted().then(|| {
            // What it is, it is before the exec as well; many are gone soon after it.
            let process = Process::look(pid, pidfd.as_ref(), identity, &self.job_id_variables);
            WantedProgram { path: path_of(&file), facts, process, pidfd }
        });
        self.tracks.opened(pid, OpenedProgram { id, wanted });
    }

    /// An exec has happened.
    fn executed(&mut self, pid: u32, exec: Exec<OpenedProgram>, server: &mut ServerLink) {
        match exec.program {
            Program::Opened(OpenedProgram { id, wanted: Some(wanted) }) => {
                self.started(pid, id, wanted, exec.time_ns, server)
            }
            Program::Opened(OpenedProgram { wanted: None, .. }) => {}
            Program::Present => self.executed_unwatched(pid, exec.time_ns, server),
            // Most are programs that libogrt.so sees, on a filesystem that was not watched yet.
            Program::Lost => self.complaints.say("a program ended before anybody could look what it was"),
        }
    }

    /// An exec of a file that fanotify did not tell of: one in memory, or the first on a filesystem
    /// that was mounted since.
    fn executed_unwatched(&mut self, pid: u32, time_ns: i64, server: &mut ServerLink) {
        let Some(directory) = ProcessDirectory::open(pid, None) else { return };
        let Some(file) = directory.open_executable() else { return };
        let Some((id, facts)) = self.facts(&file) else { return };
        // By the descriptor, which names the filesystem wherever it is mounted.
        self.watch_filesystem(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())));
        if facts.is_wanted() {
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

    /// What is known of a file; read once as long as it does not change.
    fn facts(&mut self, file: &File) -> Option<(FileId, Rc<FileFacts>)> {
        let status = fstat(file).ok()?;
        let id = FileId(status.st_dev, status.st_ino);
        let changed = (status.st_ctime, status.st_ctime_nsec.cast_signed());
        let version = FileVersion { id, size: status.st_size, changed };
        if let Some(known) = self.files.get(&version) {
            return Some((id, known.clone()));
        }
        let content = ProgramFile::read(file);
        let facts = Rc::new(FileFacts {
            has_capabilities: content.kind == FileKind::Dynamic && has_capabilities(file),
            content,
            mode: status.st_mode,
            owner: (status.st_uid, status.st_gid),
        });
        if self.files.len() >= FILES_MAX {
            self.files.clear();
        }
        self.files.insert(version, facts.clone());
        Some((id, facts))
    }
}

/// What a process runs now.
fn running(pid: u32) -> Running {
    match statat(CWD, format!("/proc/{pid}/exe"), AtFlags::empty()) {
        Ok(file) => Running::File(FileId(file.st_dev, file.st_ino)),
        Err(_) => Running::Nothing,
    }
}

/// The path of an open file, as the kernel knows it.
fn path_of(file: &File) -> Vec<u8> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new());
    link.map(|path| path.into_bytes()).unwrap_or_default()
}

fn pidfd_of(pid: u32) -> Option<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()
}

fn has_capabilities(file: &File) -> bool {
    let mut value = [0_u8; 64];
    match fgetxattr(file, "security.capability", &mut value[..]) {
        Ok(length) => length > 0,
        Err(Errno::RANGE) => true,
        Err(_) => false,
    }
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
