//! What a pidfd tells of its process.

use rustix::{
    fs::{fstat, fstatfs},
    ioctl::{Opcode, Updater, ioctl, opcode},
};
use std::{io, os::fd::AsFd, os::unix::process::ExitStatusExt, process::ExitStatus};

/// The file system of pidfds (Linux 6.9), whose inode numbers name processes.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// `PIDFD_INFO_EXIT`: the status is asked for, or there.
const EXIT: u64 = 1 << 3;

/// `struct pidfd_info`, in its first version (64 bytes).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    /// pid, tgid, ppid, and the four kinds of uid and gid.
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`.
const GET_INFO: Opcode = opcode::read_write::<PidfdInfo>(0xFF, 11);

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
