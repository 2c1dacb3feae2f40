//! What a pidfd tells of its process.

use rustix::{
    fs::{fstat, fstatfs},
    ioctl::{Opcode, Updater, ioctl, opcode},
};
use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::process::ExitStatusExt,
    },
    process::ExitStatus,
};

/// The file system of pidfds (Linux 6.9), whose inode numbers name processes.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// `PIDFD_INFO_PID` and its like: numbers, users, or the status, are asked for, or there.
const NUMBERS: u64 = 1 << 0;
const USERS: u64 = 1 << 1;
const EXIT: u64 = 1 << 3;

/// `struct pidfd_info`, in its first version (64 bytes).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    /// pid, tgid, ppid, real uid and gid, and three more kinds of both.
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`.
const GET_INFO: Opcode = opcode::read_write::<PidfdInfo>(0xFF, 11);

/// Who a process is, as its descriptor tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidfdIdentity {
    /// Its parent; 0 where that is in a namespace that we do not see.
    pub parent_pid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its real group.
    pub gid: u32,
}

/// Who the process is. `None` once it has ended and is reaped, and before Linux 6.13.
pub fn pidfd_identity(pidfd: impl AsFd) -> Option<PidfdIdentity> {
    let wanted = NUMBERS | USERS;
    let mut info = PidfdInfo { mask: wanted, ..PidfdInfo::default() };
    // SAFETY: as in `exit_status`.
    unsafe { ioctl(pidfd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) }.ok()?;
    let [_, _, parent_pid, uid, gid, ..] = info.ids;
    (info.mask & wanted == wanted).then_some(PidfdIdentity { parent_pid, uid, gid })
}

/// The number of the process. `None` once it has ended and is reaped, and the number may be
/// another's.
pub fn process_id(pidfd: impl AsFd) -> io::Result<Option<u32>> {
    let mut info = PidfdInfo { mask: NUMBERS, ..PidfdInfo::default() };
    // SAFETY: as in `exit_status`.
    let asked = unsafe { ioctl(&pidfd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) };
    match asked {
        Ok(()) => Ok((info.mask & NUMBERS != 0).then_some(info.ids[0])),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        // Before Linux 6.13.
        Err(_) => {
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd()))?;
            let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
            Ok(number.and_then(|number: i64| u32::try_from(number).ok()))
        }
    }
}

/// How the process ended. `None` while it lives or is not reaped, and on kernels that do not tell
/// (before 6.15).
pub fn exit_status(pidfd: impl AsFd) -> io::Result<Option<ExitStatus>> {
    let mut info = PidfdInfo { mask: EXIT, ..PidfdInfo::default() };
    // SAFETY: the request has the size of the structure in it, and the kernel writes no more than
    // that.
    let asked = unsafe { ioctl(pidfd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) };
    match asked {
        Ok(()) => Ok((info.mask & EXIT != 0).then(|| ExitStatus::from_raw(info.exit_code))),
        // Gone, and nobody noted how; or a kernel without the request.
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::NOTTY | rustix::io::Errno::INVAL) => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

/// A number that the process has for as long as the machine runs, and no other ever. `None` before
/// Linux 6.9.
pub fn process_number(pidfd: impl AsFd) -> Option<u64> {
    let is_numbered = fstatfs(&pidfd).is_ok_and(|filesystem| filesystem.f_type as u64 == PID_FS_MAGIC);
    if is_numbered { fstat(&pidfd).ok().map(|file| file.st_ino) } else { None }
}
